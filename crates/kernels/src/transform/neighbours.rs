//! Weighted sums of neighbours, by a pattern of weights that repeats: between a grid and the samples between its points.

use std::ops::RangeInclusive;

use super::line::Line;
use crate::number::Number;
use crate::simd::{Lanes, Simd, WIDTH};

/// Sums that are taken together where there are registers for them: the weights are loaded once for all.
const TOGETHER: usize = 16;
/// The same where there are few registers.
const FEW_TOGETHER: usize = 4;

/// What each of a pattern's sums is made of. A pattern goes on by as many places in what is summed as its `stride`.
#[derive(Clone, Debug)]
pub(super) struct Neighbours<T> {
    /// Where the neighbours of each sum begin, counted from `before` places ahead of the pattern's own first.
    firsts: Vec<usize>,
    stride: usize,
    before: usize,
    /// Neighbours a sum.
    count: usize,
    /// `[sum][neighbour]`.
    weights: Vec<Line<T>>,
}

/// What can be summed: single numbers, for all lanes the same, or vectors.
pub(super) trait Summed<T: Number>: Copy + Default {
    /// As a vector.
    fn vector<V: Simd>(&self) -> T::Lanes<V>;
}

impl<T: Number> Summed<T> for T {
    #[inline(always)]
    fn vector<V: Simd>(&self) -> T::Lanes<V> {
        T::Lanes::<V>::splat(*self)
    }
}

impl<T: Number> Summed<T> for Line<T> {
    #[inline(always)]
    fn vector<V: Simd>(&self) -> T::Lanes<V> {
        self.load::<V>()
    }
}

/// Where sums go.
pub(super) trait Sums<T: Number> {
    /// Takes the sums `first`, `first + apart` and so on.
    fn take<V: Simd>(&mut self, first: usize, apart: usize, sums: &[T::Lanes<V>]);
}

impl<T: Number> Neighbours<T> {
    /// A pattern of `sums` sums over `stride` places: which neighbours each has, by its number, and the weight of each
    /// neighbour in each lane.
    pub(super) fn new(
        (sums, stride): (usize, usize),
        which: impl Fn(i64) -> RangeInclusive<i64>,
        weight: impl Fn(i64, i64, i64) -> T,
    ) -> Self {
        let ranges: Vec<_> = (0..sums as i64).map(which).collect();
        let lowest = ranges.iter().map(|range| *range.start()).min().unwrap_or(0).min(0);
        let before = (-lowest as usize).next_multiple_of(WIDTH);
        let count = ranges.iter().map(|range| (range.end() - range.start() + 1) as usize).max().unwrap_or(0);
        let line = |sum: i64, at: i64| Line(std::array::from_fn(|lane| weight(sum, at, lane as i64)));
        let weights = ranges
            .iter()
            .zip(0..)
            .flat_map(|(range, sum)| (*range.start()..*range.start() + count as i64).map(move |at| (sum, at)));
        Neighbours {
            firsts: ranges.iter().map(|range| (before as i64 + range.start()) as usize).collect(),
            stride,
            before,
            count,
            weights: weights.map(|(sum, at)| line(sum, at)).collect(),
        }
    }

    /// Places that `length` places take with those around them, and with what sums that are taken together read.
    pub(super) fn around(&self, length: usize) -> usize {
        self.before + length + self.after() + TOGETHER * self.stride
    }

    /// Places behind the last that have a part in sums.
    fn after(&self) -> usize {
        let last = self.firsts.iter().max().map_or(0, |first| first + self.count);
        last.saturating_sub(self.before + self.stride)
    }

    /// The `length` places themselves.
    pub(super) fn inner<'a, S>(&self, places: &'a mut [S], length: usize) -> &'a mut [S] {
        &mut places[self.before..self.before + length]
    }

    /// Fills in what is around: everything goes on from its other end.
    pub(super) fn go_around<S: Copy>(&self, places: &mut [S], length: usize) {
        places.copy_within(length..length + self.before, 0);
        places.copy_within(self.before..self.before + self.after(), self.before + length);
    }

    /// The first `count` sums, some at a time.
    #[inline(always)]
    pub(super) fn sums<V: Simd, S: Summed<T>>(&self, places: &[S], count: usize, to: impl Sums<T>) {
        match (V::REGISTERS, self.stride) {
            (32.., 1) => self.sums_together::<V, S, TOGETHER, 1>(places, count, to),
            (32.., 2) => self.sums_together::<V, S, TOGETHER, 2>(places, count, to),
            (32.., 4) => self.sums_together::<V, S, TOGETHER, 4>(places, count, to),
            (_, 1) => self.sums_together::<V, S, FEW_TOGETHER, 1>(places, count, to),
            _ => self.sums_together::<V, S, FEW_TOGETHER, 0>(places, count, to),
        }
    }

    /// `STRIDE` is the stride, if it is not zero.
    #[inline(always)]
    fn sums_together<V: Simd, S: Summed<T>, const B: usize, const STRIDE: usize>(
        &self,
        places: &[S],
        count: usize,
        mut to: impl Sums<T>,
    ) {
        let stride = if STRIDE == 0 { self.stride } else { STRIDE };
        let (sums, patterns) = (self.firsts.len(), count / self.firsts.len());
        for (number, &first) in self.firsts.iter().enumerate() {
            let weights = &self.weights[number * self.count..][..self.count];
            for pattern in (0..patterns).step_by(B) {
                // Beyond the last pattern are places without meaning, whose sums nobody takes.
                let places = &places[pattern * stride + first..][..(B - 1) * stride + self.count];
                let mut sums_of = [T::Lanes::<V>::splat(T::zero()); B];
                for (at, weight) in weights.iter().enumerate() {
                    let (weight, places) = (weight.load::<V>(), &places[at..at + (B - 1) * stride + 1]);
                    for b in 0..B {
                        sums_of[b] = places[b * stride].vector::<V>().mul_add(weight, sums_of[b]);
                    }
                }
                to.take::<V>(pattern * sums + number, sums, &sums_of[..B.min(patterns - pattern)]);
            }
        }
    }
}
