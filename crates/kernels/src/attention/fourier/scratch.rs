//! Working memory of spectral attention: a slot for every task, so that a later run can read what an earlier one wrote.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{EXACT_BLOCK, FourierTransforms, MOST_ROWS};
use crate::element::Element;
use crate::number::Number;
use crate::simd::{Lanes, Simd, WIDTH};
use crate::transform::line::Line;
use crate::transform::{GridTransform, TimeScratch, TimeTransform};

/// Coefficients a piece.
pub(super) const PIECE: usize = 256;
/// Blocks of tokens a chunk.
pub(super) const CHUNK_BLOCKS: usize = 16;
/// Vectors a block.
pub(super) const BLOCK_LINES: usize = EXACT_BLOCK / WIDTH;
/// Spectral dims a projection.
pub(super) const PROJECTED: usize = WIDTH;

/// Working memory of one call of [`super::attend_fourier`], kept from call to call.
#[derive(Debug, Default)]
pub struct FourierScratch<T> {
    /// `[head][piece]`.
    pub(super) pieces: Vec<Piece<T>>,
    /// `[head][row]`.
    pub(super) rows: Vec<Row<T>>,
    /// For the transforms that are going on: few, so that they stay in the cores' caches.
    pub(super) transforms: TransformPool<T>,
    /// `[head][chunk]`.
    pub(super) chunks: Vec<Chunk<T>>,
    /// `[head][projection]`.
    pub(super) projections: Vec<Projection<T>>,
}

/// Some coefficients of `sum_d q_d X_d`, of all rows.
#[derive(Debug, Default)]
pub(super) struct Piece<T> {
    /// `[row][PIECE / 16]`.
    pub(super) sums: Vec<Line<T>>,
}

/// One query row.
#[derive(Debug, Default)]
pub(super) struct Row<T> {
    /// `[2][N]`: first the keys', then that of the weights; zeros up to a whole vector.
    pub(super) spectrum: Vec<Line<T>>,
    /// `[2][P]`, only where keys have bands.
    pub(super) circle: Vec<T>,
    /// `[ceil(P / 64)][4]`: the spectral dims' part of the scores; where transforms go by way of a grid, its points: first
    /// the scores', then those of the weights.
    pub(super) scores: Vec<Line<T>>,
    /// What was left out of all scores.
    pub(super) offset: T,
    /// The largest score.
    pub(super) top: T,
    /// Sum of `exp(s - top)`.
    pub(super) sum: T,
    /// By what the weights of each block are to be multiplied.
    pub(super) factors: Vec<T>,
    /// Weighted values, `[D]`.
    pub(super) out: Vec<T>,
}

/// Some blocks of tokens, all rows.
#[derive(Debug, Default)]
pub(super) struct Chunk<T> {
    /// `[block][row][4]`: `exp(s - shift)`; where transforms go by way of a grid, `[block][row]`: what they give to its
    /// points.
    pub(super) weights: Vec<Line<T>>,
    /// `[block][row]`.
    pub(super) shifts: Vec<T>,
    /// `[row]`: the largest score.
    pub(super) tops: [T; MOST_ROWS],
    /// `[row]`, by lane: sum of `exp(s - top)`.
    pub(super) sums: [Line<T>; MOST_ROWS],
    /// `[exact dim][row]`, by lane.
    pub(super) outs: Vec<Line<T>>,
    /// `[exact dim][row]`: queries times their scale.
    pub(super) queries: Vec<T>,
}

/// Sums over the spectrum for some spectral value dims, of all rows.
#[derive(Debug, Default)]
pub(super) struct Projection<T> {
    /// `[row]`.
    pub(super) out: [Line<T>; MOST_ROWS],
}

/// Memory of transforms, one a thread: who comes takes what was used last.
#[derive(Debug, Default)]
pub(super) struct TransformPool<T>(Mutex<Vec<TimeScratch<T>>>);

impl<T: Number> TransformPool<T> {
    /// Makes room for `threads` transforms at a time.
    fn reserve(&mut self, threads: usize, transforms: FourierTransforms<'_, T>) {
        let pool = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        for scratch in slots(pool, threads) {
            transforms.keys.reserve(scratch);
            transforms.values.reserve(scratch);
        }
    }

    /// Runs `task` with memory that no other task uses meanwhile.
    pub(super) fn with<R>(&self, task: impl FnOnce(&mut TimeScratch<T>) -> R) -> R {
        let mut scratch = self.pool().pop().unwrap_or_default();
        let result = task(&mut scratch);
        self.pool().push(scratch);
        result
    }

    fn pool(&self) -> MutexGuard<'_, Vec<TimeScratch<T>>> {
        // A panic elsewhere leaves nothing but memory to write over.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many tasks the runs have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) heads: usize,
    pub(super) rows: usize,
    dim: usize,
    pub(super) pieces: usize,
    pub(super) chunks: usize,
    pub(super) projections: usize,
}

impl Sizes {
    /// By the period, not by the tokens: memory does not grow while tokens are appended.
    pub(super) fn new<T: Number>(heads: usize, rows: usize, dim: usize, transforms: FourierTransforms<'_, T>) -> Self {
        let values = transforms.values;
        Sizes {
            heads,
            rows,
            dim,
            pieces: (2 * values.harmonics()).div_ceil(PIECE),
            chunks: values.period().div_ceil(CHUNK_BLOCKS * EXACT_BLOCK),
            projections: dim.div_ceil(PROJECTED),
        }
    }
}

impl<T: Number> FourierScratch<T> {
    /// Makes room.
    pub(super) fn reserve(&mut self, sizes: Sizes, threads: usize, transforms: FourierTransforms<'_, T>) {
        self.transforms.reserve(threads, transforms);
        let FourierTransforms { keys, values } = transforms;
        let (rows, heads) = (sizes.rows, sizes.heads);
        for piece in slots(&mut self.pieces, heads * sizes.pieces) {
            grow(&mut piece.sums, rows * PIECE / WIDTH);
        }
        let blocks = keys.period().div_ceil(EXACT_BLOCK);
        for row in slots(&mut self.rows, heads * rows) {
            grow(&mut row.spectrum, (2 * keys.harmonics().max(values.harmonics())).div_ceil(WIDTH));
            let lines = |plan: &TimeTransform<T>| plan.grid().map_or(blocks * BLOCK_LINES, GridTransform::lines);
            grow(&mut row.scores, lines(keys).max(lines(values)));
            grow(&mut row.factors, blocks);
            row.out.resize(sizes.dim, T::zero());
        }
        for chunk in slots(&mut self.chunks, heads * sizes.chunks) {
            let lines = if values.grid().is_some() { 1 } else { BLOCK_LINES };
            grow(&mut chunk.weights, CHUNK_BLOCKS * rows * lines);
            grow(&mut chunk.shifts, CHUNK_BLOCKS * rows);
            grow(&mut chunk.outs, sizes.dim * rows);
            grow(&mut chunk.queries, sizes.dim * rows);
        }
        slots(&mut self.projections, heads * sizes.projections);
    }
}

/// The slots of one call, run by run.
type Slots<'a, T> =
    (&'a mut [Piece<T>], &'a mut [Row<T>], &'a mut [Chunk<T>], &'a mut [Projection<T>], &'a TransformPool<T>);

impl<T> FourierScratch<T> {
    /// The slots that were reserved.
    pub(super) fn parts(&mut self, sizes: Sizes) -> Slots<'_, T> {
        (
            &mut self.pieces[..sizes.heads * sizes.pieces],
            &mut self.rows[..sizes.heads * sizes.rows],
            &mut self.chunks[..sizes.heads * sizes.chunks],
            &mut self.projections[..sizes.heads * sizes.projections],
            &self.transforms,
        )
    }
}

/// The first `count` slots, made where there are fewer.
fn slots<S: Default>(all: &mut Vec<S>, count: usize) -> &mut [S] {
    if all.len() < count {
        all.resize_with(count, S::default);
    }
    &mut all[..count]
}

/// Room for `count`.
pub(super) fn grow<S: Copy + Default>(all: &mut Vec<S>, count: usize) {
    if all.len() < count {
        all.resize(count, S::default());
    }
}

/// Up to sixteen stored numbers, zeros after them.
#[inline(always)]
pub(super) fn load_run<V: Simd, T: Number, C: Element>(run: &[C], i: usize) -> T::Lanes<V> {
    match run[i * WIDTH..].first_chunk::<WIDTH>() {
        Some(whole) => T::Lanes::<V>::load_stored(whole),
        None => {
            let mut some = [C::default(); WIDTH];
            let rest = &run[i * WIDTH..];
            some[..rest.len()].copy_from_slice(rest);
            T::Lanes::<V>::load_stored(&some)
        }
    }
}
