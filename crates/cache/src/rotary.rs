//! RoPE forwards and backwards, for keys that are kept as they were before it.
//!
//! Turning by position `first + i` is turning by `i` and then by `first`. Angles of `i` below a block's length come from
//! a table, those of `first` are computed in `f64` once a block. Dot products do not change when both sides are turned
//! alike, so attention turns a block's keys by the table alone, and the few queries back by `first`.

use std::fmt;

use fourier_kv_kernels::isa::{Isa, Operation};
use fourier_kv_kernels::simd::Simd;

use crate::bytes::held;

/// Which keys are stored in fewer bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeysAs {
    /// As they come, after RoPE.
    Rotated,
    /// As they were before RoPE; positions are applied again when attending.
    Unrotated,
}

impl KeysAs {
    pub(crate) const NAMES: [(&'static str, KeysAs); 2] =
        [("rotated", KeysAs::Rotated), ("unrotated", KeysAs::Unrotated)];
}

impl fmt::Display for KeysAs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == KeysAs::Rotated { "rotated" } else { "unrotated" })
    }
}

/// Radians a token, and a table of cosines and sines.
#[derive(Clone, Debug)]
pub(crate) struct Rotary {
    frequencies: Vec<f64>,
    /// `[tokens][D/2]` cosines and sines.
    table: Vec<(f32, f32)>,
}

/// Which way rows are turned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// As RoPE does.
    Forward,
    /// RoPE undone.
    Back,
}

impl Rotary {
    /// With a table of `tokens` positions.
    pub(crate) fn new(frequencies: &[f64], tokens: usize) -> Self {
        let mut table = Vec::with_capacity(tokens * frequencies.len());
        (0..tokens).for_each(|token| table.extend(angles(frequencies, token)));
        Rotary { frequencies: frequencies.to_vec(), table }
    }

    /// Heap bytes.
    pub(crate) fn bytes(&self) -> usize {
        held(&self.frequencies) + held(&self.table)
    }

    /// Rotary pairs, `D/2`.
    pub(crate) fn pairs(&self) -> usize {
        self.frequencies.len()
    }

    /// Radians a token, `[D/2]`.
    pub(crate) fn frequencies(&self) -> &[f64] {
        &self.frequencies
    }

    /// Cosine and sine of the angle that a pair has turned by at a position of the table.
    pub(crate) fn angle(&self, position: usize, pair: usize) -> (f32, f32) {
        self.table[position * self.frequencies.len() + pair]
    }

    /// All of them, `[positions][D/2]`.
    pub(crate) fn turns(&self) -> &[(f32, f32)] {
        &self.table
    }

    /// The same of sixteen positions, `step` apart from 0 on.
    pub(crate) fn vectors(&self, pair: usize, step: usize) -> [[f32; 16]; 2] {
        let at = |i: usize| self.angle(i * step, pair);
        [std::array::from_fn(|i| at(i).0), std::array::from_fn(|i| at(i).1)]
    }

    /// Turns row `i` of `rows`, `[T][D]`, by position `first + i`.
    pub(crate) fn turn(&self, rows: &mut [f32], first: usize, way: Way) {
        let dim = 2 * self.frequencies.len();
        for (block, rows) in rows.chunks_mut(self.table.len() * 2).enumerate() {
            for (row, angles) in rows.chunks_exact_mut(dim).zip(self.table.chunks_exact(dim / 2)) {
                turn_row(row, angles, way);
            }
            self.turn_all(rows, first + block * (self.table.len() * 2 / dim), way);
        }
    }

    /// Rows `[..][D]` turned back by each of `count` positions from `first` on, `step` apart, one after another in `out`.
    pub(crate) fn turned_back(
        &self,
        isa: Isa,
        rows: &[f32],
        (first, step, count): (usize, usize, usize),
        out: &mut Vec<f32>,
    ) {
        let at = |position: usize| self.frequencies.iter().map(move |f| (position as f64 * f).sin_cos());
        let (mut angles, steps): (Vec<_>, Vec<_>) = (at(first).collect(), at(step).collect());
        let mut singles = Vec::with_capacity(angles.len());
        out.clear();
        for _ in 0..count {
            singles.clear();
            singles.extend(angles.iter().map(|&(sin, cos): &(f64, f64)| (cos as f32, sin as f32)));
            let from = out.len();
            out.extend_from_slice(rows);
            isa.run(TurnBack { rows: &mut out[from..], angles: &singles });
            for ((sin, cos), (s, c)) in angles.iter_mut().zip(&steps) {
                (*sin, *cos) = (*sin * c + *cos * s, *cos * c - *sin * s);
            }
        }
    }

    /// Turns all rows, `[..][D]`, by one position.
    pub(crate) fn turn_all(&self, rows: &mut [f32], position: usize, way: Way) {
        if position == 0 {
            return;
        }
        let angles: Vec<(f32, f32)> = angles(&self.frequencies, position).collect();
        rows.chunks_exact_mut(2 * angles.len()).for_each(|row| turn_row(row, &angles, way));
    }
}

struct TurnBack<'a> {
    rows: &'a mut [f32],
    angles: &'a [(f32, f32)],
}

impl Operation for TurnBack<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        self.rows.chunks_exact_mut(2 * self.angles.len()).for_each(|row| turn_row(row, self.angles, Way::Back));
    }
}

fn angles(frequencies: &[f64], position: usize) -> impl Iterator<Item = (f32, f32)> {
    frequencies.iter().map(move |frequency| {
        let (sin, cos) = (position as f64 * frequency).sin_cos();
        (cos as f32, sin as f32)
    })
}

#[inline(always)]
fn turn_row(row: &mut [f32], angles: &[(f32, f32)], way: Way) {
    let sign = if way == Way::Forward { 1.0 } else { -1.0 };
    let (low, high) = row.split_at_mut(angles.len());
    for ((x, y), &(cos, sin)) in low.iter_mut().zip(high).zip(angles) {
        let sin = sign * sin;
        (*x, *y) = (*x * cos - *y * sin, *x * sin + *y * cos);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frequencies() -> Vec<f64> {
        (0..8).map(|i| 10_000f64.powf(-f64::from(i) / 8.0)).collect()
    }

    fn rows(tokens: usize) -> Vec<f32> {
        (0..tokens * 16).map(|i| (i as f32 * 0.7).sin() * 3.0).collect()
    }

    #[test]
    fn turning_is_rope() {
        let (rotary, rows, first) = (Rotary::new(&frequencies(), 32), rows(70), 99_000);
        let mut turned = rows.clone();
        rotary.turn(&mut turned, first, Way::Forward);
        for (t, (row, turned)) in rows.chunks_exact(16).zip(turned.chunks_exact(16)).enumerate() {
            for (i, frequency) in frequencies().iter().enumerate() {
                let (x, y) = (f64::from(row[i]), f64::from(row[i + 8]));
                let (sin, cos) = ((first + t) as f64 * frequency).sin_cos();
                assert!((f64::from(turned[i]) - (x * cos - y * sin)).abs() < 2e-6, "{t} {i}");
                assert!((f64::from(turned[i + 8]) - (x * sin + y * cos)).abs() < 2e-6, "{t} {i}");
            }
        }
    }

    #[test]
    fn turning_back_by_many_positions_is_turning_by_each() {
        let (rotary, rows, mut all) = (Rotary::new(&frequencies(), 32), rows(3), Vec::new());
        for isa in Isa::available() {
            rotary.turned_back(isa, &rows, (90_004, 256, 4), &mut all);
            for (i, turned) in all.chunks_exact(rows.len()).enumerate() {
                let mut expected = rows.clone();
                rotary.turn_all(&mut expected, 90_004 + 256 * i, Way::Back);
                assert!(turned.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 2e-6), "{isa} {i}");
            }
        }
    }

    /// Exact to what `f32` rounds: four products and sums of numbers up to 3 sqrt(2).
    #[test]
    fn turning_back_gives_the_rows() {
        let (rotary, rows) = (Rotary::new(&frequencies(), 32), rows(70));
        for first in [0, 1, 31, 32, 12_345, 1_000_000] {
            let mut back = rows.clone();
            rotary.turn(&mut back, first, Way::Back);
            rotary.turn(&mut back, first, Way::Forward);
            assert!(rows.iter().zip(&back).all(|(a, b)| (a - b).abs() < 4e-6), "{first}");
        }
    }

    /// What attention rests on.
    #[test]
    fn dot_products_stay_when_queries_are_turned_instead() {
        let (rotary, mut keys, queries, first) = (Rotary::new(&frequencies(), 32), rows(32), rows(3), 4_321);
        let (mut whole, mut turned) = (keys.clone(), queries.clone());
        rotary.turn(&mut whole, first, Way::Forward);
        rotary.turn(&mut keys, 0, Way::Forward);
        rotary.turn_all(&mut turned, first, Way::Back);
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
        for (q, t) in queries.chunks_exact(16).zip(turned.chunks_exact(16)) {
            for (a, b) in whole.chunks_exact(16).zip(keys.chunks_exact(16)) {
                assert!((dot(q, a) - dot(t, b)).abs() < 3e-5);
            }
        }
    }
}
