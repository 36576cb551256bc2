//! Transforms of long periods by way of a grid: a signal of few harmonics is smooth, so `M = P / R` samples of it and a
//! window tell all others.
//!
//! - **Inverse**: `x_t = sum_m w(t / R - m) c_m`, where `c` are the grid's samples of the harmonics `X_n / W(n / M)`; `w`
//!   is the window, `W` its Fourier transform.
//! - **Forward** is its transpose: `c_m = sum_t w(t / R - m) x_t`, then the grid's harmonics over `W(n / M)`.
//!
//! Samples need not be kept: sixteen of them are 8 products with the points around them ([`GridTransform::samples`]), and
//! 64 of them give as many back ([`GridTransform::shares`]). A signal of 36,864 with 512 harmonics has a grid of 2,304,
//! whose lane transform takes 7,000 instructions, against 50,000 of one of the whole period, loads and stores for the
//! most part.
//!
//! Points are kept with [`AROUND`] more on either side, where the grid goes on from its other end.

use fourier_kv_spectral::period::PERIOD_STEP;

use super::forward::Samples;
use super::line::{Line, flat, flat_mut};
use super::window::{OVERSAMPLING, TAPS, Window};
use super::{LaneTransform, TimeScratch};
use crate::isa::{Isa, Operation};
use crate::number::Number;
use crate::simd::{Lanes, Simd, WIDTH};

/// Points beside the grid's own on either side.
const AROUND: usize = WIDTH;
/// How many points before the one that a sample follows, or is, have a part in it.
const EARLIER: usize = TAPS / 2 - 1;
/// Vectors of samples whose shares are taken together.
pub(crate) const VECTORS: usize = 4;

/// Transforms of one period for few harmonics, by way of a grid.
#[derive(Clone, Debug)]
pub struct GridTransform<T> {
    period: usize,
    grid: LaneTransform<T>,
    /// `1 / W(n / M)`.
    corrections: Vec<T>,
    /// `[R/16][TAPS]`: what the points around have in the samples of a vector between two of them.
    window: Vec<[Line<T>; TAPS]>,
}

/// Working memory of one task for [`GridTransform`]s.
#[derive(Clone, Debug, Default)]
pub(super) struct GridScratch<T> {
    /// The grid, and what is around it.
    points: Vec<Line<T>>,
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
        // Of the sample `time` after a point, the part of the point `tap - EARLIER` after that.
        let part =
            |time: usize, tap: usize| T::of(window.at(time as f64 / spacing as f64 + EARLIER as f64 - tap as f64));
        let line = |vector: usize, tap: usize| Line(std::array::from_fn(|lane| part(WIDTH * vector + lane, tap)));
        GridTransform {
            period,
            grid: LaneTransform::new(points, harmonics),
            corrections: (0..harmonics).map(correction).collect(),
            window: (0..spacing / WIDTH).map(|vector| std::array::from_fn(|tap| line(vector, tap))).collect(),
        }
    }

    /// Whether a grid of every `spacing`-th sample is possible and fine enough for single precision. Points are 16 or 32
    /// samples apart or a multiple of 64, so that 64 samples lie between as few points as possible.
    pub fn fits(period: usize, harmonics: usize, spacing: usize) -> bool {
        (matches!(spacing, 16 | 32) || spacing > 0 && spacing.is_multiple_of(VECTORS * WIDTH))
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

    /// Lines that the points take with what is around them.
    pub(crate) fn lines(&self) -> usize {
        (self.points() + 2 * AROUND) / WIDTH
    }

    /// Makes the scratch large enough, so that the transforms allocate nothing.
    pub(super) fn reserve(&self, scratch: &mut TimeScratch<T>) {
        self.grid.reserve(&mut scratch.lanes);
        let scratch = &mut scratch.grid;
        if scratch.points.len() < self.lines() {
            scratch.points.resize(self.lines(), Line::default());
        }
        if scratch.spectrum.len() < 2 * self.harmonics() {
            scratch.spectrum.resize(2 * self.harmonics(), T::zero());
        }
    }

    /// From `[2][N]` to points, in [`GridTransform::lines`] lines: those of [`LaneTransform::inverse`]'s samples.
    pub(crate) fn to_points(
        &self,
        isa: Isa,
        spectrum: &[T],
        factor: T,
        points: &mut [Line<T>],
        scratch: &mut TimeScratch<T>,
    ) {
        self.reserve(scratch);
        let (n, m) = (self.harmonics(), self.points());
        let corrected = &mut scratch.grid.spectrum[..2 * n];
        for (to, from) in corrected.chunks_exact_mut(n).zip(spectrum.chunks_exact(n)) {
            for ((to, &x), &correction) in to.iter_mut().zip(from).zip(&self.corrections) {
                *to = x * correction;
            }
        }
        let points = flat_mut(points);
        self.grid.inverse(isa, corrected, factor, &mut points[AROUND..AROUND + m], &mut scratch.lanes);
        points.copy_within(m..m + AROUND, 0);
        points.copy_within(AROUND..2 * AROUND, AROUND + m);
    }

    /// From points that shares have been added to, to `[2][N]`, as [`LaneTransform::forward`]. The points are used up.
    pub(crate) fn spectrum_of_points(
        &self,
        isa: Isa,
        points: &mut [Line<T>],
        out: &mut [T],
        scratch: &mut TimeScratch<T>,
    ) {
        let m = self.points();
        let points = flat_mut(points);
        for i in 0..AROUND {
            points[m + i] = points[m + i] + points[i];
            points[AROUND + i] = points[AROUND + i] + points[AROUND + m + i];
        }
        self.grid.forward(isa, &points[AROUND..AROUND + m], out, &mut scratch.lanes);
        for out in out.chunks_exact_mut(self.harmonics()) {
            out.iter_mut().zip(&self.corrections).for_each(|(x, &correction)| *x = *x * correction);
        }
    }

    /// Sixteen samples, of vector number `vector`, of the signals whose points are given.
    #[inline(always)]
    pub(crate) fn samples<V: Simd, const R: usize>(&self, vector: usize, points: [&[T]; R]) -> [T::Lanes<V>; R] {
        let window = &self.window[vector % self.window.len()];
        let first = AROUND - EARLIER + vector / self.window.len();
        let points = points.map(|points| points[first..].first_chunk::<TAPS>().expect("points around every sample"));
        let mut sums = [T::Lanes::<V>::splat(T::zero()); R];
        for tap in 0..TAPS {
            let window = window[tap].load::<V>();
            for r in 0..R {
                sums[r] = T::Lanes::<V>::splat(points[r][tap]).mul_add(window, sums[r]);
            }
        }
        sums
    }

    /// What 64 samples, from vector number `vector` on, a multiple of four, give to the points from
    /// [`GridTransform::first_share`] on.
    #[inline(always)]
    pub(crate) fn shares<V: Simd>(&self, vector: usize, samples: [T::Lanes<V>; VECTORS]) -> T::Lanes<V> {
        match self.window.len() {
            1 => self.shares_apart::<V, 1>(vector, samples),
            2 => self.shares_apart::<V, 2>(vector, samples),
            _ => self.shares_apart::<V, VECTORS>(vector, samples),
        }
    }

    /// [`GridTransform::shares`] where `APART` of the vectors have the same points around them.
    #[inline(always)]
    fn shares_apart<V: Simd, const APART: usize>(&self, vector: usize, samples: [T::Lanes<V>; VECTORS]) -> T::Lanes<V> {
        let mut sums = [T::Lanes::<V>::splat(T::zero()); WIDTH];
        for i in 0..VECTORS {
            let window = &self.window[(vector + i) % self.window.len()];
            for tap in 0..TAPS {
                sums[i / APART + tap] = samples[i].mul_add(window[tap].load::<V>(), sums[i / APART + tap]);
            }
        }
        T::Lanes::<V>::sums(sums)
    }

    /// The place, among the points and what is around them, of the first share of vector number `vector`.
    #[inline(always)]
    pub(crate) fn first_share(&self, vector: usize) -> usize {
        AROUND - EARLIER + vector / self.window.len()
    }

    /// As [`LaneTransform::inverse`].
    pub(super) fn inverse(&self, isa: Isa, spectrum: &[T], factor: T, out: &mut [T], scratch: &mut TimeScratch<T>) {
        self.with_points(scratch, |points, scratch| {
            self.to_points(isa, spectrum, factor, points, scratch);
            isa.run(Interpolate { transform: self, points: flat(points), out: &mut out[..self.period] });
        });
    }

    /// As [`LaneTransform::forward_of`].
    pub(super) fn forward_of(&self, isa: Isa, samples: &impl Samples<T>, out: &mut [T], scratch: &mut TimeScratch<T>) {
        self.with_points(scratch, |points, scratch| {
            points.fill(Line::default());
            isa.run(Spread { transform: self, samples, points: flat_mut(points) });
            self.spectrum_of_points(isa, points, out, scratch);
        });
    }

    /// Lends the scratch's points, and the rest of it.
    fn with_points(&self, scratch: &mut TimeScratch<T>, task: impl FnOnce(&mut [Line<T>], &mut TimeScratch<T>)) {
        self.reserve(scratch);
        let mut points = std::mem::take(&mut scratch.grid.points);
        task(&mut points[..self.lines()], scratch);
        scratch.grid.points = points;
    }
}

/// What a product with a window's weight costs, by a lane transform's instruction.
const PRODUCT: f64 = 0.5;

/// From points to samples.
struct Interpolate<'a, T> {
    transform: &'a GridTransform<T>,
    points: &'a [T],
    out: &'a mut [T],
}

impl<T: Number> Operation for Interpolate<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        for (vector, out) in self.out.as_chunks_mut().0.iter_mut().enumerate() {
            let [samples] = self.transform.samples::<V, 1>(vector, [self.points]);
            samples.store(out);
        }
    }
}

/// From samples to points.
struct Spread<'a, T, S> {
    transform: &'a GridTransform<T>,
    samples: &'a S,
    points: &'a mut [T],
}

impl<T: Number, S: Samples<T>> Operation for Spread<'_, T, S> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        for time in (0..self.transform.period).step_by(VECTORS * WIDTH) {
            let [a, b] = self.samples.at::<V>(time);
            let [c, d] = self.samples.at::<V>(time + PERIOD_STEP);
            let shares = self.transform.shares::<V>(time / WIDTH, [a, b, c, d]);
            let points = self.points[self.transform.first_share(time / WIDTH)..].first_chunk_mut();
            let points: &mut [T; WIDTH] = points.expect("points around every sample");
            T::Lanes::<V>::load(points).add(shares).store(points);
        }
    }
}
