//! Transforms of long periods by way of a grid: a signal of few harmonics is smooth, so `M = P / R` samples of it and a
//! window tell all others.
//!
//! - **Inverse**: `x_t = sum_m w(t / R - m) c_m`, where `c` are the grid's samples of the harmonics `X_n / W(n / M)`; `w`
//!   is the window, `W` its Fourier transform.
//! - **Forward** is its transpose: `c_m = sum_t w(t / R - m) x_t`, then the grid's harmonics over `W(n / M)`.
//!
//! Vector instructions: about `TAPS P / 16` products for the window either way, which wait for nothing, and a
//! [`LaneTransform`] of length `M`. A signal of 36,864 with 512 harmonics has a grid of 2,304: 18,000 products and a
//! transform of 7,000 instructions, against 50,000 of a lane transform of the whole period, loads and stores for the most
//! part.

use fourier_kv_spectral::period::PERIOD_STEP;

use super::forward::Samples;
use super::line::{Line, flat_mut};
use super::neighbours::{Neighbours, Sums};
use super::window::{OVERSAMPLING, TAPS, Window};
use super::{LaneScratch, LaneTransform};
use crate::isa::{Isa, Operation};
use crate::number::Number;
use crate::simd::{Lanes, Simd, WIDTH};

/// Transforms of one period for few harmonics, by way of a grid.
#[derive(Clone, Debug)]
pub struct GridTransform<T> {
    period: usize,
    grid: LaneTransform<T>,
    /// `1 / W(n / M)`.
    corrections: Vec<T>,
    /// From points of the grid to vectors of samples.
    to_samples: Neighbours<T>,
    /// From vectors of samples to points of the grid.
    to_grid: Neighbours<T>,
}

/// Working memory of one task for [`GridTransform`]s.
#[derive(Clone, Debug, Default)]
pub(super) struct GridScratch<T> {
    /// The grid, with what is around it.
    points: Vec<Line<T>>,
    /// Vectors of samples, with what is around them.
    samples: Vec<Line<T>>,
    /// `[2][N]`: the spectrum, corrected.
    spectrum: Vec<T>,
}

impl<T: Number> GridTransform<T> {
    /// Plans transforms with a grid of every `spacing`-th sample.
    ///
    /// # Panics
    /// If [`GridTransform::fits`] says no.
    pub fn new(period: usize, harmonics: usize, spacing: usize) -> Self {
        assert!(Self::fits(period, harmonics, spacing), "every {spacing}th of {period} for {harmonics} harmonics");
        let points = period / spacing;
        let window = Window::new(harmonics, points);
        let correction = |n: usize| T::of(1.0 / window.transformed(n as f64 / points as f64));
        let weight = |time: i64, point: i64| T::of(window.at(time as f64 / spacing as f64 - point as f64));
        let (vectors, width, reach) = (spacing / WIDTH, WIDTH as i64, TAPS as i64 / 2);
        GridTransform {
            period,
            grid: LaneTransform::new(points, harmonics),
            corrections: (0..harmonics).map(correction).collect(),
            to_samples: Neighbours::new(
                (vectors, 1),
                |_| 1 - reach..=reach,
                |v, point, lane| weight(v * width + lane, point),
            ),
            to_grid: Neighbours::new(
                (1, vectors),
                |_| -reach * vectors as i64..=reach * vectors as i64 - 1,
                |_, v, lane| weight(v * width + lane, 0),
            ),
        }
    }

    /// Whether a grid of every `spacing`-th sample, a multiple of sixteen, is possible and fine enough for single
    /// precision.
    pub fn fits(period: usize, harmonics: usize, spacing: usize) -> bool {
        spacing.is_multiple_of(WIDTH)
            && period.is_multiple_of(PERIOD_STEP * spacing)
            && (period / spacing) as f64 >= OVERSAMPLING * harmonics as f64
    }

    /// The period `P`.
    pub fn period(&self) -> usize {
        self.period
    }

    /// Points `M` of the grid.
    pub fn points(&self) -> usize {
        self.grid.period()
    }

    /// Harmonics `N`.
    pub fn harmonics(&self) -> usize {
        self.grid.harmonics()
    }

    /// What a transform either way costs together, in instructions about as quick as those of lane transforms.
    pub(super) fn cost(period: usize, harmonics: usize, spacing: usize) -> Option<f64> {
        Self::fits(period, harmonics, spacing)
            .then(|| super::cost(period / spacing, harmonics))
            .flatten()
            .map(|grid| grid + (period / WIDTH) as f64 * (2.0 * PRODUCT * TAPS as f64 + 8.0))
    }

    /// Makes the scratch large enough, so that the transforms allocate nothing.
    pub(super) fn reserve(&self, lanes: &mut LaneScratch<T>, scratch: &mut GridScratch<T>) {
        self.grid.reserve(lanes);
        let points = self.to_samples.around(self.grid.period()).div_ceil(WIDTH);
        for (lines, count) in
            [(&mut scratch.points, points), (&mut scratch.samples, self.to_grid.around(self.period / WIDTH))]
        {
            if lines.len() < count {
                lines.resize(count, Line::default());
            }
        }
        if scratch.spectrum.len() < 2 * self.harmonics() {
            scratch.spectrum.resize(2 * self.harmonics(), T::zero());
        }
    }

    /// As [`LaneTransform::inverse`].
    pub(super) fn inverse(
        &self,
        isa: Isa,
        spectrum: &[T],
        factor: T,
        out: &mut [T],
        (lanes, scratch): (&mut LaneScratch<T>, &mut GridScratch<T>),
    ) {
        self.reserve(lanes, scratch);
        let n = self.harmonics();
        let corrected = &mut scratch.spectrum[..2 * n];
        for (to, from) in corrected.chunks_exact_mut(n).zip(spectrum.chunks_exact(n)) {
            for ((to, &x), &correction) in to.iter_mut().zip(from).zip(&self.corrections) {
                *to = x * correction;
            }
        }
        let points = flat_mut(&mut scratch.points);
        self.grid.inverse(isa, corrected, factor, self.to_samples.inner(points, self.grid.period()), lanes);
        self.to_samples.go_around(points, self.grid.period());
        isa.run(Interpolate { weights: &self.to_samples, points, out: &mut out[..self.period] });
    }

    /// As [`LaneTransform::forward_of`].
    pub(super) fn forward_of(
        &self,
        isa: Isa,
        samples: &impl Samples<T>,
        out: &mut [T],
        (lanes, scratch): (&mut LaneScratch<T>, &mut GridScratch<T>),
    ) {
        self.reserve(lanes, scratch);
        let vectors = self.period / WIDTH;
        isa.run(Take { samples, to: self.to_grid.inner(&mut scratch.samples, vectors) });
        self.to_grid.go_around(&mut scratch.samples, vectors);
        let points = &mut flat_mut(&mut scratch.points)[..self.grid.period()];
        isa.run(Spread { weights: &self.to_grid, samples: &scratch.samples, points });
        self.grid.forward(isa, points, out, lanes);
        for out in out.chunks_exact_mut(self.harmonics()) {
            out.iter_mut().zip(&self.corrections).for_each(|(x, &correction)| *x = *x * correction);
        }
    }
}

/// What a product with a window's weight costs, by a lane transform's instruction.
const PRODUCT: f64 = 0.5;

/// All samples, in vectors.
struct Take<'a, T, S> {
    samples: &'a S,
    to: &'a mut [Line<T>],
}

impl<T: Number, S: Samples<T>> Operation for Take<'_, T, S> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        for (i, [first, second]) in self.to.as_chunks_mut::<2>().0.iter_mut().enumerate() {
            let samples = self.samples.at::<V>(i * PERIOD_STEP);
            first.store::<V>(samples[0]);
            second.store::<V>(samples[1]);
        }
    }
}

/// From points of the grid to samples.
struct Interpolate<'a, T> {
    weights: &'a Neighbours<T>,
    points: &'a [T],
    out: &'a mut [T],
}

impl<T: Number> Operation for Interpolate<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        let (out, _) = self.out.as_chunks_mut();
        self.weights.sums::<V, T>(self.points, out.len(), Vectors(out));
    }
}

/// From samples to points of the grid.
struct Spread<'a, T> {
    weights: &'a Neighbours<T>,
    samples: &'a [Line<T>],
    points: &'a mut [T],
}

impl<T: Number> Operation for Spread<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        self.weights.sums::<V, Line<T>>(self.samples, self.points.len(), OverLanes(self.points));
    }
}

/// Sums that are vectors of samples.
struct Vectors<'a, T>(&'a mut [[T; WIDTH]]);

impl<T: Number> Sums<T> for Vectors<'_, T> {
    #[inline(always)]
    fn take<V: Simd>(&mut self, first: usize, apart: usize, sums: &[T::Lanes<V>]) {
        for (i, sum) in sums.iter().enumerate() {
            sum.store(&mut self.0[first + i * apart]);
        }
    }
}

/// Sums that are to be added up over their lanes.
struct OverLanes<'a, T>(&'a mut [T]);

impl<T: Number> Sums<T> for OverLanes<'_, T> {
    #[inline(always)]
    fn take<V: Simd>(&mut self, first: usize, apart: usize, sums: &[T::Lanes<V>]) {
        if let Some(whole) = sums.first_chunk::<WIDTH>() {
            let mut all = [T::zero(); WIDTH];
            T::Lanes::<V>::sums(*whole).store(&mut all);
            for (i, &sum) in all.iter().enumerate() {
                self.0[first + i * apart] = sum;
            }
        } else {
            for (i, sum) in sums.iter().enumerate() {
                self.0[first + i * apart] = sum.sum();
            }
        }
    }
}
