//! Scores to weights, a block of tokens after the other, and all that exact dims have to do with it: each is read once.

use super::scratch::{BLOCK_LINES, CHUNK_BLOCKS, Chunk, Row};
use super::{EXACT_BLOCK, FourierRegion, FourierSide, FourierTransforms};
use crate::attention::Queries;
use crate::element::Element;
use crate::isa::{Isa, Operation};
use crate::number::Number;
use crate::simd::{Lanes, Simd, WIDTH};
use crate::transform::GridTransform;
use crate::transform::line::{Line, flat};

/// Rows whose sums over four vectors of tokens stay in 32 registers.
const TILE: usize = 6;

/// Bytes that come from memory together.
pub(super) const CACHE_LINE: usize = 64;
/// Bytes between what is computed with and what memory is asked for.
const AHEAD: usize = 8_192;

/// How many of `left` rows to take together: as few times as possible, about as many each time.
#[inline(always)]
pub(super) fn tile(left: usize) -> usize {
    left.div_ceil(left.div_ceil(TILE))
}

/// Does the blocks of chunk `number` of a head. `rows` hold the spectral dims' part of the scores.
pub(super) fn run<T: Number, S: Element, C: Element>(
    (isa, transforms): (Isa, FourierTransforms<'_, T>),
    q: Queries<'_, T>,
    region: &FourierRegion<'_, T, S, C>,
    rows: &[Row<T>],
    number: usize,
    chunk: &mut Chunk<T>,
) {
    let blocks = region.tokens.div_ceil(EXACT_BLOCK);
    let first = (number * CHUNK_BLOCKS).min(blocks);
    let end = (first + CHUNK_BLOCKS).min(blocks);
    let (keys, values) = (Exact::new(&region.keys), Exact::new(&region.values));
    let grids = Grids { keys: transforms.keys.grid(), values: transforms.values.grid() };
    isa.run(Blocks { q, tokens: region.tokens, keys, values, grids, rows, first, end, chunk });
}

/// The exact dims of a side.
struct Exact<'a, S> {
    dims: &'a [u16],
    numbers: &'a [S],
}

impl<'a, S> Exact<'a, S> {
    fn new<T, C>(side: &FourierSide<'a, T, S, C>) -> Self {
        Exact { dims: side.exact_dims, numbers: side.exact }
    }

    /// `[dim][64]`.
    #[inline(always)]
    fn block(&self, block: usize) -> &'a [[S; EXACT_BLOCK]] {
        let width = self.dims.len() * EXACT_BLOCK;
        self.numbers[block * width..][..width].as_chunks().0
    }
}

/// The grids by way of which scores come and weights go, where they do.
struct Grids<'a, T> {
    keys: Option<&'a GridTransform<T>>,
    values: Option<&'a GridTransform<T>>,
}

struct Blocks<'a, T, S> {
    q: Queries<'a, T>,
    tokens: usize,
    keys: Exact<'a, S>,
    values: Exact<'a, S>,
    grids: Grids<'a, T>,
    rows: &'a [Row<T>],
    first: usize,
    end: usize,
    chunk: &'a mut Chunk<T>,
}

impl<T: Number, S: Element> Operation for Blocks<'_, T, S> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(mut self) {
        let rows = self.rows.len();
        self.begin();
        for block in self.first..self.end {
            let mut first = 0;
            while first < rows {
                let count = tile(rows - first);
                match count {
                    1 => self.block::<V, 1>(block, first),
                    2 => self.block::<V, 2>(block, first),
                    3 => self.block::<V, 3>(block, first),
                    4 => self.block::<V, 4>(block, first),
                    5 => self.block::<V, 5>(block, first),
                    _ => self.block::<V, 6>(block, first),
                }
                first += count;
            }
        }
    }
}

impl<T: Number, S: Element> Blocks<'_, T, S> {
    #[inline(always)]
    fn begin(&mut self) {
        let (rows, chunk) = (self.rows.len(), &mut *self.chunk);
        chunk.tops[..rows].fill(T::neg_infinity());
        chunk.sums[..rows].fill(Line::default());
        chunk.outs[..self.values.dims.len() * rows].fill(Line::default());
        for (d, &dim) in self.keys.dims.iter().enumerate() {
            for r in 0..rows {
                chunk.queries[d * rows + r] = self.q.row(r)[usize::from(dim)] * self.q.scale;
            }
        }
    }

    #[inline(always)]
    fn block<V: Simd, const R: usize>(&mut self, block: usize, first: usize) {
        let mut weights = self.scores::<V, R>(block, first);
        let seen = self.tokens - block * EXACT_BLOCK;
        if seen < EXACT_BLOCK {
            for row in &mut weights {
                hide::<V, T>(row, seen);
            }
        }
        self.weigh::<V, R>(block, first, &mut weights);
        self.add_values::<V, R>(block, first, &weights);
    }

    /// All dims' scores of 64 tokens.
    #[inline(always)]
    fn scores<V: Simd, const R: usize>(&self, block: usize, first: usize) -> [[T::Lanes<V>; BLOCK_LINES]; R] {
        let mut scores = self.spectral_scores::<V, R>(block, first);
        let queries = self.chunk.queries.chunks_exact(self.rows.len());
        for (column, queries) in self.keys.block(block).iter().zip(queries) {
            let keys = load_column::<V, T, S>(column);
            let queries: &[T; R] = queries[first..].first_chunk().expect("a number a row");
            for r in 0..R {
                let q = T::Lanes::<V>::splat(queries[r]);
                for i in 0..BLOCK_LINES {
                    scores[r][i] = keys[i].mul_add(q, scores[r][i]);
                }
            }
        }
        scores
    }

    /// The spectral dims' part of them.
    #[inline(always)]
    fn spectral_scores<V: Simd, const R: usize>(&self, block: usize, first: usize) -> [[T::Lanes<V>; BLOCK_LINES]; R] {
        let mut scores = [[T::Lanes::<V>::splat(T::zero()); BLOCK_LINES]; R];
        let rows: [&[Line<T>]; R] = std::array::from_fn(|r| &*self.rows[first + r].scores);
        for i in 0..BLOCK_LINES {
            let vector = block * BLOCK_LINES + i;
            match self.grids.keys {
                Some(grid) => {
                    let samples = grid.samples::<V, R>(vector, rows.map(flat));
                    (0..R).for_each(|r| scores[r][i] = samples[r]);
                }
                None => (0..R).for_each(|r| scores[r][i] = rows[r][vector].load::<V>()),
            }
        }
        scores
    }

    /// Scores to weights relative to the largest score so far.
    #[inline(always)]
    fn weigh<V: Simd, const R: usize>(
        &mut self,
        block: usize,
        first: usize,
        scores: &mut [[T::Lanes<V>; BLOCK_LINES]; R],
    ) {
        let (rows, at) = (self.rows.len(), block - self.first);
        for r in 0..R {
            let s = &mut scores[r];
            let top = s[0].max(s[1]).max(s[2].max(s[3])).largest();
            if top > self.chunk.tops[first + r] {
                self.raise::<V>(first + r, top);
            }
            let top = self.chunk.tops[first + r];
            let shift = T::Lanes::<V>::splat(top);
            for i in 0..BLOCK_LINES {
                s[i] = s[i].sub(shift).exp();
            }
            self.hand_on::<V>(block, first + r, s);
            let sum = &mut self.chunk.sums[first + r];
            sum.store::<V>(sum.load::<V>().add(s[0].add(s[1]).add(s[2].add(s[3]))));
            self.chunk.shifts[at * rows + first + r] = top;
        }
    }

    /// Keeps the weights of a block for their transform, or what they give to its grid.
    #[inline(always)]
    fn hand_on<V: Simd>(&mut self, block: usize, row: usize, weights: &[T::Lanes<V>; BLOCK_LINES]) {
        let at = (block - self.first) * self.rows.len() + row;
        match self.grids.values {
            Some(grid) => self.chunk.weights[at].store::<V>(grid.shares::<V>(block * BLOCK_LINES, *weights)),
            None => {
                let lines = &mut self.chunk.weights[at * BLOCK_LINES..][..BLOCK_LINES];
                (0..BLOCK_LINES).for_each(|i| lines[i].store::<V>(weights[i]));
            }
        }
    }

    /// A score above all before it: what has been added up becomes relative to it.
    #[inline(always)]
    fn raise<V: Simd>(&mut self, row: usize, top: T) {
        let rows = self.rows.len();
        let old = self.chunk.tops[row];
        self.chunk.tops[row] = top;
        if old == T::neg_infinity() {
            return; // nothing has been
        }
        let factor = T::Lanes::<V>::splat(Number::exp(old - top));
        let sum = &mut self.chunk.sums[row];
        sum.store::<V>(sum.load::<V>().mul(factor));
        for d in 0..self.values.dims.len() {
            let out = &mut self.chunk.outs[d * rows + row];
            out.store::<V>(out.load::<V>().mul(factor));
        }
    }

    #[inline(always)]
    fn add_values<V: Simd, const R: usize>(
        &mut self,
        block: usize,
        first: usize,
        weights: &[[T::Lanes<V>; BLOCK_LINES]; R],
    ) {
        let outs = self.chunk.outs.chunks_exact_mut(self.rows.len());
        for (column, outs) in self.values.block(block).iter().zip(outs) {
            let values = load_column::<V, T, S>(column);
            let outs: &mut [Line<T>; R] = outs[first..].first_chunk_mut().expect("a line a row");
            for r in 0..R {
                let mut out = outs[r].load::<V>();
                for i in 0..BLOCK_LINES {
                    out = values[i].mul_add(weights[r][i], out);
                }
                outs[r].store::<V>(out);
            }
        }
    }
}

#[inline(always)]
fn load_column<V: Simd, T: Number, S: Element>(column: &[S; EXACT_BLOCK]) -> [T::Lanes<V>; BLOCK_LINES] {
    for line in (0..size_of_val(column)).step_by(CACHE_LINE) {
        V::prefetch(column, AHEAD + line);
    }
    let (runs, _) = column.as_chunks::<WIDTH>();
    let mut out = [T::Lanes::<V>::splat(T::zero()); BLOCK_LINES];
    for i in 0..BLOCK_LINES {
        out[i] = T::Lanes::<V>::load_stored(&runs[i]);
    }
    out
}

/// Minus infinity from token `seen` of a block on.
#[inline(always)]
fn hide<V: Simd, T: Number>(scores: &mut [T::Lanes<V>; BLOCK_LINES], seen: usize) {
    for i in 0..BLOCK_LINES {
        let mut line = Line::default();
        line.store::<V>(scores[i]);
        for l in 0..WIDTH {
            if i * WIDTH + l >= seen {
                line.0[l] = T::neg_infinity();
            }
        }
        scores[i] = line.load::<V>();
    }
}
