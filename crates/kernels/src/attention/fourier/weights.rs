//! The chunks of one row become one, and its weights a spectrum.

use super::scratch::{BLOCK_LINES, CHUNK_BLOCKS, Chunk, Row, TransformPool};
use super::{EXACT_BLOCK, FourierRegion};
use crate::element::Element;
use crate::isa::{Isa, Operation};
use crate::number::Number;
use crate::simd::{Lanes, Simd, WIDTH};
use crate::transform::line::{Line, flat_mut};
use crate::transform::{GridTransform, Samples, TimeTransform};

/// Fills the rest of row `r` of `rows` of a head: its largest score, sum, exact dims' outputs, and
/// `[2][N]` of `w_n F_n / P`, so that a dot product with a stored spectrum is the weighted sum of the signal.
/// `w_n` counts a bin's mirror: 2, but 1 for the bins `0` and `P/2`, which are their own.
pub(super) fn run<T: Number, S: Element, C: Element>(
    (isa, transform, pool): (Isa, &TimeTransform<T>, &TransformPool<T>),
    (rows, r): (usize, usize),
    region: &FourierRegion<'_, T, S, C>,
    chunks: &[Chunk<T>],
    row: &mut Row<T>,
) {
    let values = &region.values;
    let blocks = region.tokens.div_ceil(EXACT_BLOCK);
    let chunks = &chunks[..blocks.div_ceil(CHUNK_BLOCKS)];
    isa.run(Join { rows, r, blocks, dims: values.exact_dims, chunks, row });
    if !values.spectral.is_empty() {
        let Row { spectrum, factors, scores, .. } = row;
        let weighted = Weighted { rows, r, chunks, factors: &factors[..blocks] };
        let (numbers, rest) = flat_mut(spectrum).split_at_mut(2 * transform.harmonics());
        let to_whole_vector = numbers.len().next_multiple_of(WIDTH) - numbers.len();
        rest[..to_whole_vector].fill(T::zero());
        pool.with(|scratch| match transform.grid() {
            Some(grid) => {
                let points = &mut scores[..grid.lines()];
                isa.run(Collect { grid, shares: &weighted, points });
                grid.spectrum_of_points(isa, points, numbers, scratch);
            }
            None => transform.forward_of(isa, &weighted, numbers, scratch),
        });
        count_mirrors(transform, numbers);
    }
}

struct Join<'a, T> {
    rows: usize,
    r: usize,
    blocks: usize,
    dims: &'a [u16],
    chunks: &'a [Chunk<T>],
    row: &'a mut Row<T>,
}

impl<T: Number> Operation for Join<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        let Join { rows, r, blocks, dims, chunks, row } = self;
        let top = chunks.iter().fold(T::neg_infinity(), |top, c| if c.tops[r] > top { c.tops[r] } else { top });
        row.top = top;
        row.sum = T::zero();
        row.out.fill(T::zero());
        for chunk in chunks {
            let factor = Number::exp(chunk.tops[r] - top);
            row.sum = row.sum + factor * chunk.sums[r].load::<V>().sum();
            for (d, &dim) in dims.iter().enumerate() {
                let out = &mut row.out[usize::from(dim)];
                *out = *out + factor * chunk.outs[d * rows + r].load::<V>().sum();
            }
        }
        for (block, factor) in row.factors[..blocks].iter_mut().enumerate() {
            let shift = chunks[block / CHUNK_BLOCKS].shifts[block % CHUNK_BLOCKS * rows + r];
            *factor = Number::exp(shift - top);
        }
    }
}

/// What all blocks give to the points of a grid.
struct Collect<'a, T> {
    grid: &'a GridTransform<T>,
    /// Whose lines are a block's shares.
    shares: &'a Weighted<'a, T>,
    points: &'a mut [Line<T>],
}

impl<T: Number> Operation for Collect<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        let Collect { grid, shares: Weighted { rows, r, chunks, factors }, points } = self;
        points.fill(Line::default());
        let points = flat_mut(points);
        for (block, &factor) in factors.iter().enumerate() {
            let share = chunks[block / CHUNK_BLOCKS].weights[block % CHUNK_BLOCKS * rows + r].load::<V>();
            let points = points[grid.first_share(block * BLOCK_LINES)..].first_chunk_mut();
            let points: &mut [T; WIDTH] = points.expect("points around every sample");
            share.mul_add(T::Lanes::<V>::splat(factor), T::Lanes::<V>::load(points)).store(points);
        }
    }
}

/// `F_n` to `w_n F_n / P`.
fn count_mirrors<T: Number>(transform: &TimeTransform<T>, spectrum: &mut [T]) {
    let (harmonics, period) = (transform.harmonics(), transform.period());
    let both = T::of(2.0 / period as f64);
    spectrum.iter_mut().for_each(|x| *x = *x * both);
    for own in [0, period / 2] {
        if own < harmonics {
            spectrum[own] = spectrum[own] * T::of(0.5);
            spectrum[harmonics + own] = T::zero();
        }
    }
}

/// The weights of one row as a signal.
struct Weighted<'a, T> {
    rows: usize,
    r: usize,
    chunks: &'a [Chunk<T>],
    factors: &'a [T],
}

impl<T: Number> Samples<T> for Weighted<'_, T> {
    #[inline(always)]
    fn at<V: Simd>(&self, time: usize) -> [T::Lanes<V>; 2] {
        let (block, line) = (time / EXACT_BLOCK, time % EXACT_BLOCK / WIDTH);
        let Some(&factor) = self.factors.get(block) else {
            return [T::Lanes::<V>::splat(T::zero()); 2];
        };
        let factor = T::Lanes::<V>::splat(factor);
        let at = (block % CHUNK_BLOCKS * self.rows + self.r) * BLOCK_LINES + line;
        let lines = &self.chunks[block / CHUNK_BLOCKS].weights[at..at + 2];
        [lines[0].load::<V>().mul(factor), lines[1].load::<V>().mul(factor)]
    }
}
