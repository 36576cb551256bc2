//! Many query rows: rows lie in vectors, 32 to a panel, and everything else is broadcast to them.
//!
//! Scores of a block are `[token][row]`: products of keys with a panel of queries `[dim][row]`. Their maximum, their
//! exponentials and sums are taken over tokens, which needs no sum across a vector. Outputs are `[dim][row]`: products of
//! values with the weights. Nothing is transposed but the queries, once before, and the outputs, once after.
//!
//! A block's keys and values are turned to numbers once for all panels of the call.

use super::{ExactRegion, Mask, seen};
use crate::attention::Queries;
use crate::attention::state::AttnRowsMut;
use crate::element::Element;
use crate::isa::Operation;
use crate::number::Number;
use crate::simd::{Lanes, Simd, WIDTH};
use crate::tile::{self, Broadcast, COLUMNS, add_product, vector, vector_mut};

/// Tokens a block: keys and values of 128 dims as `f32` are 96 KB.
const BLOCK: usize = 96;
/// Stands for minus infinity where differences are taken: far below any score, far above the lowest `f32`.
const UNSEEN: f64 = -1e30;

/// A row of a panel: one number of each of its query rows.
type Row<T> = [T; COLUMNS];

/// 32 query rows and their running states.
#[derive(Clone, Debug)]
struct Panel<T> {
    /// `[D]`, scaled.
    queries: Vec<Row<T>>,
    /// `[D]`.
    out: Vec<Row<T>>,
    max: Row<T>,
    sum: Row<T>,
    /// Tokens that each row sees.
    limits: [usize; COLUMNS],
}

/// Working memory of one thread.
#[derive(Debug, Default)]
pub(super) struct Scratch<T> {
    panels: Vec<Panel<T>>,
    /// `[BLOCK][D]`.
    keys: Vec<T>,
    /// `[BLOCK][D]`.
    values: Vec<T>,
    /// `[BLOCK]`.
    scores: Vec<Row<T>>,
}

pub(super) struct Attend<'a, 'b, T, S> {
    pub(super) q: Queries<'a, T>,
    pub(super) region: ExactRegion<'a, S>,
    pub(super) mask: Mask,
    pub(super) scratch: &'a mut Scratch<T>,
    pub(super) state: &'a mut AttnRowsMut<'b, T>,
}

impl<T: Number, S: Element> Operation for Attend<'_, '_, T, S> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        let Attend { q, region, mask, scratch, state } = self;
        let dim = q.dim;
        let tokens = region.keys.len() / dim;
        let count = q.count().div_ceil(COLUMNS);
        let Scratch { panels, keys, values, scores } = scratch;
        panels.resize_with(count.max(panels.len()), Panel::empty);
        let panels = &mut panels[..count];
        for (i, panel) in panels.iter_mut().enumerate() {
            panel.begin(q, i * COLUMNS, |r| seen(q, mask, tokens, r));
        }
        scores.resize(BLOCK, [T::zero(); COLUMNS]);
        keys.resize(BLOCK * dim, T::zero());
        values.resize(BLOCK * dim, T::zero());
        let most = panels.iter().flat_map(|p| p.limits).max().unwrap_or(0);
        for first in (0..most).step_by(BLOCK) {
            let count = BLOCK.min(most - first);
            let part = first * dim..(first + count) * dim;
            load_all::<V, T, S>(&region.keys[part.clone()], keys);
            load_all::<V, T, S>(&region.values[part], values);
            for panel in panels.iter_mut() {
                // Tokens that no row of the panel sees cost nothing.
                let count = panel.limits.iter().map(|l| l.saturating_sub(first)).max().unwrap_or(0).min(count);
                panel.attend::<V>(first, &keys[..count * dim], &values[..count * dim], &mut scores[..count]);
            }
        }
        for (i, panel) in panels.iter().enumerate() {
            panel.finish(i * COLUMNS, dim, state);
        }
    }
}

impl<T: Number> Panel<T> {
    fn empty() -> Self {
        Panel {
            queries: Vec::new(),
            out: Vec::new(),
            max: [T::zero(); COLUMNS],
            sum: [T::zero(); COLUMNS],
            limits: [0; COLUMNS],
        }
    }

    /// Takes up to 32 query rows from `first` on; rows that there are not see nothing.
    #[inline(always)]
    fn begin(&mut self, q: Queries<'_, T>, first: usize, seen: impl Fn(usize) -> usize) {
        self.queries.resize(q.dim, [T::zero(); COLUMNS]);
        self.out.clear();
        self.out.resize(q.dim, [T::zero(); COLUMNS]);
        (self.max, self.sum, self.limits) = ([T::of(UNSEEN); COLUMNS], [T::zero(); COLUMNS], [0; COLUMNS]);
        for c in 0..COLUMNS {
            let here = first + c < q.count();
            if here {
                self.limits[c] = seen(first + c);
            }
            for (d, to) in self.queries.iter_mut().enumerate() {
                to[c] = if here { q.row(first + c)[d] * q.scale } else { T::zero() };
            }
        }
    }

    /// Adds a block of tokens, the first of which is token `first`.
    #[inline(always)]
    fn attend<V: Simd>(&mut self, first: usize, keys: &[T], values: &[T], scores: &mut [Row<T>]) {
        let (dim, count) = (self.queries.len(), scores.len());
        if count == 0 {
            return;
        }
        for (i, scores) in scores.chunks_mut(tile::ROWS).enumerate() {
            scores.fill([T::zero(); COLUMNS]);
            let keys = Broadcast { data: &keys[i * tile::ROWS * dim..], row_stride: dim, inner_stride: 1 };
            add_product::<V, T>(keys, &self.queries, scores.len(), scores);
        }
        if self.limits.iter().any(|&limit| limit < first + count) {
            self.hide(first, scores);
        }
        for at in [0, WIDTH] {
            self.weigh::<V>(at, scores);
        }
        for (i, out) in self.out.chunks_mut(tile::ROWS).enumerate() {
            let values = Broadcast { data: &values[i * tile::ROWS..], row_stride: 1, inner_stride: dim };
            add_product::<V, T>(values, scores, out.len(), out);
        }
    }

    /// Puts the scores of tokens that a row does not see out of reach.
    #[inline(always)]
    fn hide(&self, first: usize, scores: &mut [Row<T>]) {
        for (t, scores) in scores.iter_mut().enumerate() {
            for c in 0..COLUMNS {
                scores[c] = if first + t < self.limits[c] { scores[c] } else { T::of(UNSEEN) };
            }
        }
    }

    /// Turns the scores of the 16 rows from `at` on into weights, and scales what was summed before to match.
    #[inline(always)]
    fn weigh<V: Simd>(&mut self, at: usize, scores: &mut [Row<T>]) {
        let old = T::Lanes::<V>::load(vector(&self.max, at));
        let mut max = old;
        for scores in scores.iter() {
            max = T::Lanes::<V>::load(vector(scores, at)).max(max);
        }
        max.store(vector_mut(&mut self.max, at));
        let factor = old.sub(max).exp();
        let mut sum = T::Lanes::<V>::load(vector(&self.sum, at)).mul(factor);
        for scores in scores.iter_mut() {
            let scores = vector_mut(scores, at);
            let weight = T::Lanes::<V>::load(scores).sub(max).exp();
            sum = sum.add(weight);
            weight.store(scores);
        }
        sum.store(vector_mut(&mut self.sum, at));
        for out in &mut self.out {
            let out = vector_mut(out, at);
            T::Lanes::<V>::load(out).mul(factor).store(out);
        }
    }

    /// Merges what the rows have seen into their states. A row that has seen nothing but what is out of reach has not.
    #[inline(always)]
    fn finish(&self, first: usize, dim: usize, state: &mut AttnRowsMut<'_, T>) {
        for c in 0..COLUMNS.min(state.count().saturating_sub(first)) {
            if self.limits[c] > 0 {
                state.row(first + c).absorb_with(self.max[c], self.sum[c], dim, |d| self.out[d][c]);
            }
        }
    }
}

/// Turns stored numbers into numbers.
#[inline(always)]
fn load_all<V: Simd, T: Number, S: Element>(from: &[S], to: &mut [T]) {
    let (from, from_rest) = from.as_chunks::<WIDTH>();
    let (to, to_rest) = to.as_chunks_mut::<WIDTH>();
    for (from, to) in from.iter().zip(to.iter_mut()) {
        T::Lanes::<V>::load_stored(from).store(to);
    }
    let rest = if from.len() < to.len() { &mut to[from.len()][..] } else { to_rest };
    for (from, to) in from_rest.iter().zip(rest) {
        *to = from.load();
    }
}
