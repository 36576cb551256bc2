//! The running state of softmax attention, and its merge.
//!
//! A row that has seen scores `s_t` and values `v_t` is `max = max s_t`, `sum = sum exp(s_t - max)`,
//! `out = sum exp(s_t - max) v_t`. States of disjoint sets of tokens merge into the state of the union, in any
//! order, so attention over sink, middle and window is three states and two merges. A row that has seen nothing
//! has `max = -inf` and zeros: this file is the only place that knows about it.

use crate::number::Number;

/// The states of `R` rows.
#[derive(Clone, Debug, Default)]
pub struct AttnRows<T> {
    dim: usize,
    max: Vec<T>,
    sum: Vec<T>,
    out: Vec<T>,
}

/// A run of rows, borrowed for writing.
#[derive(Debug)]
pub struct AttnRowsMut<'a, T> {
    dim: usize,
    max: &'a mut [T],
    sum: &'a mut [T],
    out: &'a mut [T],
}

/// One row, borrowed for writing.
#[derive(Debug)]
pub struct AttnRowMut<'a, T> {
    /// Largest score seen, minus infinity for none.
    pub max: &'a mut T,
    /// `sum exp(s_t - max)`.
    pub sum: &'a mut T,
    /// `sum exp(s_t - max) v_t`, `[D]`.
    pub out: &'a mut [T],
}

impl<T: Number> AttnRows<T> {
    /// `rows` rows of `dim` that have seen nothing.
    pub fn new(rows: usize, dim: usize) -> Self {
        let mut state = AttnRows { dim, max: Vec::new(), sum: Vec::new(), out: Vec::new() };
        state.reset(rows);
        state
    }

    /// Makes it `rows` rows that have seen nothing, keeping the memory.
    pub fn reset(&mut self, rows: usize) {
        self.max.clear();
        self.max.resize(rows, T::neg_infinity());
        self.sum.clear();
        self.sum.resize(rows, T::zero());
        self.out.clear();
        self.out.resize(rows * self.dim, T::zero());
    }

    /// Makes it `rows` rows of `dim` that have seen nothing, keeping the memory.
    pub fn reshape(&mut self, rows: usize, dim: usize) {
        self.dim = dim;
        self.reset(rows);
    }

    /// All memory that grows with use.
    pub(crate) fn buffers(&mut self) -> [&mut Vec<T>; 3] {
        [&mut self.max, &mut self.sum, &mut self.out]
    }

    /// The number of rows `R`.
    pub fn count(&self) -> usize {
        self.max.len()
    }

    /// Head dims `D`.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The largest score, the sum and the outputs of a row.
    pub fn row(&self, r: usize) -> (T, T, &[T]) {
        (self.max[r], self.sum[r], &self.out[r * self.dim..(r + 1) * self.dim])
    }

    /// All rows.
    pub fn all(&mut self) -> AttnRowsMut<'_, T> {
        AttnRowsMut { dim: self.dim, max: &mut self.max, sum: &mut self.sum, out: &mut self.out }
    }

    /// Merges another state of the same shape into this one.
    pub fn merge(&mut self, other: &AttnRows<T>) {
        let mut all = self.all();
        for r in 0..other.count() {
            let out = &other.out[r * other.dim..(r + 1) * other.dim];
            all.row(r).absorb(other.max[r], other.sum[r], out);
        }
    }

    /// Divides every row by its sum and returns `[R][D]`: the attention outputs. Rows that saw nothing are zero.
    pub fn finish(&mut self) -> &[T] {
        for r in 0..self.max.len() {
            let factor = if self.sum[r] > T::zero() { T::one() / self.sum[r] } else { T::zero() };
            for o in &mut self.out[r * self.dim..(r + 1) * self.dim] {
                *o = *o * factor;
            }
        }
        &self.out
    }
}

impl<'a, T: Number> AttnRowsMut<'a, T> {
    /// The number of rows.
    pub fn count(&self) -> usize {
        self.max.len()
    }

    /// Head dims `D`.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Row `r`.
    #[inline(always)]
    pub fn row(&mut self, r: usize) -> AttnRowMut<'_, T> {
        AttnRowMut {
            max: &mut self.max[r],
            sum: &mut self.sum[r],
            out: &mut self.out[r * self.dim..(r + 1) * self.dim],
        }
    }

    /// Splits into runs of `rows` rows, the last perhaps shorter.
    pub fn chunks(self, rows: usize) -> Vec<AttnRowsMut<'a, T>> {
        let (dim, rows) = (self.dim, rows.max(1));
        let parts = self.max.chunks_mut(rows).zip(self.sum.chunks_mut(rows)).zip(self.out.chunks_mut(rows * dim));
        parts.map(|((max, sum), out)| AttnRowsMut { dim, max, sum, out }).collect()
    }

    /// The maxima, the sums and the outputs, each of all rows, with the head dims `D` between rows of the last.
    pub(super) fn into_slices(self) -> (usize, &'a mut [T], &'a mut [T], &'a mut [T]) {
        (self.dim, self.max, self.sum, self.out)
    }

    /// The reverse of [`AttnRowsMut::into_slices`].
    pub(super) fn from_slices(dim: usize, max: &'a mut [T], sum: &'a mut [T], out: &'a mut [T]) -> Self {
        debug_assert!(max.len() == sum.len() && max.len() * dim == out.len());
        AttnRowsMut { dim, max, sum, out }
    }

    /// Makes room for scores up to `score` in row `r`: after it, `exp(s - max)` cannot overflow.
    /// Returns the row's largest score, by which new exponentials are to be shifted.
    #[inline(always)]
    pub fn raise(&mut self, r: usize, score: T) -> T {
        let row = self.row(r);
        if score > *row.max {
            let factor = if *row.max == T::neg_infinity() { T::zero() } else { Number::exp(*row.max - score) };
            *row.sum = *row.sum * factor;
            for o in row.out.iter_mut() {
                *o = *o * factor;
            }
            *row.max = score;
        }
        *row.max
    }

    /// The outputs of all rows, `[R][D]`, not yet divided by their sums.
    #[inline(always)]
    pub fn outputs(&mut self) -> &mut [T] {
        self.out
    }
}

impl<T: Number> AttnRowMut<'_, T> {
    /// Merges the state `(max, sum, out)` of other tokens into this row.
    #[inline(always)]
    pub fn absorb(&mut self, max: T, sum: T, out: &[T]) {
        self.absorb_with(max, sum, out.len(), |d| out[d]);
    }

    /// The same, the outputs of the `dim` dims given one by one.
    #[inline(always)]
    pub fn absorb_with(&mut self, max: T, sum: T, dim: usize, out: impl Fn(usize) -> T) {
        if max == T::neg_infinity() {
            return;
        }
        let top = if *self.max > max { *self.max } else { max };
        let mine = if *self.max == T::neg_infinity() { T::zero() } else { Number::exp(*self.max - top) };
        let theirs = Number::exp(max - top);
        *self.sum = *self.sum * mine + sum * theirs;
        for (d, o) in self.out[..dim].iter_mut().enumerate() {
            *o = *o * mine + out(d) * theirs;
        }
        *self.max = top;
    }
}
