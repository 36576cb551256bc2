//! Attention over tokens whose keys and values are stored as they are.
//!
//! Shapes: queries `[R][D]`, keys and values `[T][D]` in a storage type. Bytes read: `2 T D` elements once a block
//! of rows; operations: `4 R T D`. Tokens are taken in blocks that stay in the cache of the core; scores of a block
//! join the rows' running states, so nothing grows with `T`.
//!
//! One query row (decoding) is two passes of dot products; many rows (the prompt) are matrix products.

use crate::attention::Queries;
use crate::attention::state::AttnRowsMut;
use crate::element::{Element, load_all};
use crate::isa::{Fma, Isa, Operation};
use crate::lanes;
use crate::matmul::{ColumnsMut, View, multiply};
use crate::number::Number;

/// Keys and values of `T` tokens of one head, each `[T][D]`.
#[derive(Clone, Copy, Debug)]
pub struct ExactRegion<'a, S> {
    /// Keys, rotated.
    pub keys: &'a [S],
    /// Values.
    pub values: &'a [S],
}

/// Which tokens of a region a query may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// All of them.
    None,
    /// The region ends with the tokens being computed: token `j` of `n` sees all but the last `n - 1 - j`.
    Causal,
}

/// Working memory of one thread.
#[derive(Debug, Default)]
pub struct ExactScratch<T> {
    block: Vec<T>,
    scores: Vec<T>,
}

impl<T> ExactScratch<T> {
    /// All memory that grows with use.
    pub(crate) fn buffers(&mut self) -> [&mut Vec<T>; 2] {
        [&mut self.block, &mut self.scores]
    }
}

/// From this many rows on, matrix products pay.
const MANY_ROWS: usize = 8;
/// Tokens a block: for a few rows, so that a block of 128 dims in `f32` fits the first-level cache.
const SHORT_BLOCK: usize = 64;
/// And for many rows, so that a product is long enough to run at full rate.
const LONG_BLOCK: usize = 256;

/// Adds the tokens of `region` to the states of the rows of `q`.
pub fn attend_exact<T: Number, S: Element>(
    isa: Isa,
    q: Queries<'_, T>,
    region: ExactRegion<'_, S>,
    mask: Mask,
    scratch: &mut ExactScratch<T>,
    state: &mut AttnRowsMut<'_, T>,
) {
    isa.run(Attend { q, region, mask, scratch, state });
}

struct Attend<'a, 'b, T, S> {
    q: Queries<'a, T>,
    region: ExactRegion<'a, S>,
    mask: Mask,
    scratch: &'a mut ExactScratch<T>,
    state: &'a mut AttnRowsMut<'b, T>,
}

impl<T: Number, S: Element> Operation for Attend<'_, '_, T, S> {
    type Output = ();

    #[inline(always)]
    fn run<F: Fma>(self) {
        let Attend { q, region, mask, scratch, state } = self;
        let (dim, rows) = (q.dim, q.count());
        let tokens = region.keys.len() / dim;
        let length = if rows < MANY_ROWS { SHORT_BLOCK } else { LONG_BLOCK };
        scratch.block.resize(length * dim, T::zero());
        scratch.scores.resize(rows * length, T::zero());
        let hidden_from_all = match mask {
            Mask::None => 0,
            Mask::Causal => (0..rows).map(|r| q.later(r)).min().unwrap_or(0),
        };
        let tokens_seen = tokens.saturating_sub(hidden_from_all);
        for first in (0..tokens_seen).step_by(length) {
            let count = length.min(tokens - first);
            let block = &mut scratch.block[..count * dim];
            let scores = &mut scratch.scores[..rows * count];
            load_all(&region.keys[first * dim..(first + count) * dim], block);
            score::<F, T>(q, block, scores);
            weigh(q, mask, tokens - first, scores, state);
            load_all(&region.values[first * dim..(first + count) * dim], block);
            accumulate::<F, T>(scores, block, state);
        }
    }
}

/// `scores[r][t] = q_r . k_t`.
#[inline(always)]
fn score<F: Fma, T: Number>(q: Queries<'_, T>, keys: &[T], scores: &mut [T]) {
    let (dim, rows) = (q.dim, q.count());
    let count = keys.len() / dim;
    if rows >= MANY_ROWS {
        let keys = View::new(keys, count, dim).transposed();
        return multiply(View::new(q.rows, rows, dim), keys, &mut ColumnsMut::new(scores, rows, count), false);
    }
    for r in 0..rows {
        for (t, key) in keys.chunks_exact(dim).enumerate() {
            scores[r * count + t] = lanes::dot::<F, T, _>(q.row(r), key);
        }
    }
}

/// Turns scores into weights relative to the rows' largest scores, zero where masked. `left` tokens are in the
/// region from this block's first on.
#[inline(always)]
fn weigh<T: Number>(q: Queries<'_, T>, mask: Mask, left: usize, scores: &mut [T], state: &mut AttnRowsMut<'_, T>) {
    let rows = q.count();
    let count = scores.len() / rows;
    for r in 0..rows {
        let hidden = if mask == Mask::Causal { q.later(r) } else { 0 };
        let seen = left.saturating_sub(hidden).min(count);
        let (visible, masked) = scores[r * count..(r + 1) * count].split_at_mut(seen);
        masked.fill(T::zero());
        if seen > 0 {
            lanes::scale(visible, q.scale);
            let shift = state.raise(r, lanes::maximum(visible));
            let sum = lanes::exponentials(visible, shift);
            let row = state.row(r);
            *row.sum = *row.sum + sum;
        }
    }
}

/// `out[r] += sum_t weights[r][t] v_t`.
#[inline(always)]
fn accumulate<F: Fma, T: Number>(weights: &[T], values: &[T], state: &mut AttnRowsMut<'_, T>) {
    let (dim, rows) = (state.dim(), state.count());
    let count = values.len() / dim;
    if rows >= MANY_ROWS {
        let (weights, values) = (View::new(weights, rows, count), View::new(values, count, dim));
        return multiply(weights, values, &mut ColumnsMut::new(state.outputs(), rows, dim), true);
    }
    for r in 0..rows {
        let row = state.row(r);
        for (t, value) in values.chunks_exact(dim).enumerate() {
            lanes::add_scaled::<F, T, _>(weights[r * count + t], value, row.out);
        }
    }
}
