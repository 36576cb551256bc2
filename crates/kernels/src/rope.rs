//! Rotary position encoding, and the one place where the order of rotary pairs is made the same for all files.

use crate::isa::{Isa, Operation};
use crate::simd::Simd;

/// How a projection's output orders the two dims of a rotary pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RopePairs {
    /// Pair `i` is the dims `2 i` and `2 i + 1` (GGUF files of the `llama` family).
    Interleaved,
    /// Pair `i` is the dims `i` and `i + D/2` (safetensors, and every other family).
    Halves,
}

/// Cosines and sines of consecutive positions, `[position][D/2]` each.
#[derive(Clone, Debug)]
pub struct Rotations {
    pairs: usize,
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl Rotations {
    /// Rotations of `count` positions from `first` on, by `frequencies` radians a token for each pair.
    ///
    /// Angles are computed in `f64`: at position 100,000 an `f32` angle would be off by 0.004 radians.
    pub fn new(frequencies: &[f64], first: usize, count: usize) -> Self {
        let angles = (first..first + count).flat_map(|p| frequencies.iter().map(move |f| p as f64 * f));
        let (sin, cos) = angles.map(f64::sin_cos).map(|(s, c)| (s as f32, c as f32)).unzip();
        Rotations { pairs: frequencies.len(), cos, sin }
    }

    fn row(&self, position: usize) -> (&[f32], &[f32]) {
        let at = position * self.pairs..(position + 1) * self.pairs;
        (&self.cos[at.clone()], &self.sin[at])
    }
}

/// What [`rotate_heads`] reads: projections of some tokens.
#[derive(Clone, Copy, Debug)]
pub struct Projected<'a> {
    /// `[tokens][heads][D]`.
    pub rows: &'a [f32],
    /// Heads.
    pub heads: usize,
    /// Head dims `D`.
    pub dim: usize,
}

impl Projected<'_> {
    /// The number of tokens.
    pub fn tokens(&self) -> usize {
        self.rows.len() / (self.heads * self.dim)
    }
}

/// Rotates projected queries or keys and orders them head by head: `out` is `[heads][tokens][D]`, pairs in halves.
///
/// Token `j` of `from` gets the rotation `first + j` of `rotations`.
pub fn rotate_heads(
    isa: Isa,
    from: Projected<'_>,
    pairs: RopePairs,
    rotations: &Rotations,
    first: usize,
    out: &mut [f32],
) {
    isa.run(RotateHeads { from, pairs, rotations, first, out });
}

/// Orders projected values head by head: `out` is `[heads][tokens][D]`.
pub fn order_heads(from: Projected<'_>, out: &mut [f32]) {
    let (tokens, dim) = (from.tokens(), from.dim);
    for (i, row) in from.rows.chunks_exact(dim).enumerate() {
        let (token, head) = (i / from.heads, i % from.heads);
        out[(head * tokens + token) * dim..][..dim].copy_from_slice(row);
    }
}

/// The inverse of [`order_heads`]: `[heads][tokens][D]` to `[tokens][heads][D]`.
pub fn order_tokens(from: &[f32], heads: usize, dim: usize, out: &mut [f32]) {
    let tokens = from.len() / (heads * dim);
    for (i, row) in from.chunks_exact(dim).enumerate() {
        let (head, token) = (i / tokens, i % tokens);
        out[(token * heads + head) * dim..][..dim].copy_from_slice(row);
    }
}

struct RotateHeads<'a> {
    from: Projected<'a>,
    pairs: RopePairs,
    rotations: &'a Rotations,
    first: usize,
    out: &'a mut [f32],
}

impl Operation for RotateHeads<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        let (tokens, dim) = (self.from.tokens(), self.from.dim);
        for (i, row) in self.from.rows.chunks_exact(dim).enumerate() {
            let (token, head) = (i / self.from.heads, i % self.from.heads);
            let out = &mut self.out[(head * tokens + token) * dim..][..dim];
            let (cos, sin) = self.rotations.row(self.first + token);
            let (low, high) = out.split_at_mut(dim / 2);
            for i in 0..dim / 2 {
                let (x, y) = match self.pairs {
                    RopePairs::Halves => (row[i], row[i + dim / 2]),
                    RopePairs::Interleaved => (row[2 * i], row[2 * i + 1]),
                };
                low[i] = x * cos[i] - y * sin[i];
                high[i] = x * sin[i] + y * cos[i];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_orders_of_pairs_give_the_same_rotation() {
        let (heads, dim, tokens) = (3, 8, 5);
        let frequencies: Vec<f64> = (0..dim / 2).map(|i| 10f64.powi(-(i as i32))).collect();
        let rotations = Rotations::new(&frequencies, 90, 20);
        let halves: Vec<f32> = (0..tokens * heads * dim).map(|i| (i as f32).sin()).collect();
        let mut interleaved = halves.clone();
        for (a, b) in halves.chunks_exact(dim).zip(interleaved.chunks_exact_mut(dim)) {
            for i in 0..dim / 2 {
                b[2 * i] = a[i];
                b[2 * i + 1] = a[i + dim / 2];
            }
        }
        for isa in Isa::available() {
            let (mut a, mut b) = (vec![0.0; halves.len()], vec![0.0; halves.len()]);
            rotate_heads(isa, Projected { rows: &halves, heads, dim }, RopePairs::Halves, &rotations, 3, &mut a);
            rotate_heads(
                isa,
                Projected { rows: &interleaved, heads, dim },
                RopePairs::Interleaved,
                &rotations,
                3,
                &mut b,
            );
            assert_eq!(a, b);
            let (head, token, pair) = (2, 4, 1);
            let (x, y) =
                (halves[(token * heads + head) * dim + pair], halves[(token * heads + head) * dim + pair + dim / 2]);
            let angle = 97.0 * frequencies[pair];
            let expected = f64::from(x) * angle.cos() - f64::from(y) * angle.sin();
            assert!((f64::from(a[(head * tokens + token) * dim + pair]) - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn orders_are_inverse() {
        let (heads, dim, tokens) = (3, 4, 5);
        let rows: Vec<f32> = (0..tokens * heads * dim).map(|i| i as f32).collect();
        let (mut by_head, mut back) = (vec![0.0; rows.len()], vec![0.0; rows.len()]);
        order_heads(Projected { rows: &rows, heads, dim }, &mut by_head);
        order_tokens(&by_head, heads, dim, &mut back);
        assert_eq!(rows, back);
        assert_eq!(by_head[tokens * dim], dim as f32, "head 1 of token 0 follows all of head 0");
    }
}
