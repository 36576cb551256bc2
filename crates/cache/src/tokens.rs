//! Tokens of one head kept whole: the storage under the exact cache, the sink and the window.

use std::ops::Range;

use fourier_kv_kernels::attention::exact::ExactRegion;
use fourier_kv_kernels::element::{Element, store_all};

use crate::bytes::held;
use crate::park::{ParkError, SectionReader, SectionWriter, Tag};

const KEYS: Tag = *b"keys";
const VALUES: Tag = *b"vals";

/// Tokens that room is made for when there is none for one more: a sixteenth of those held, so that growth copies each
/// token 16 times at most and wastes 6 % at most; of short pasts 256.
pub(crate) fn growth(held: usize) -> usize {
    const LEAST: usize = 256;
    LEAST.max(held / 16)
}

/// Keys and values of consecutive tokens of one head, `[T][D]` each.
#[derive(Clone, Debug)]
pub(crate) struct Tokens<S> {
    dim: usize,
    keys: Vec<S>,
    values: Vec<S>,
}

impl<S: Element> Tokens<S> {
    pub(crate) fn new(dim: usize) -> Self {
        Tokens { dim, keys: Vec::new(), values: Vec::new() }
    }

    pub(crate) fn dim(&self) -> usize {
        self.dim
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len() / self.dim
    }

    /// Appends tokens; makes room for more of them when it must (see `growth`), or exactly what is needed if that is
    /// more.
    pub(crate) fn push(&mut self, keys: &[f32], values: &[f32]) {
        for (to, from) in [(&mut self.keys, keys), (&mut self.values, values)] {
            let (old, new) = (to.len(), to.len() + from.len());
            if new > to.capacity() {
                to.reserve_exact(from.len().max(growth(old / self.dim) * self.dim));
            }
            to.resize(new, S::default());
            store_all::<f32, S>(from, &mut to[old..]);
        }
    }

    /// Makes room for `count` tokens more, and no more than that.
    pub(crate) fn reserve(&mut self, count: usize) {
        for v in [&mut self.keys, &mut self.values] {
            v.reserve_exact(count * self.dim);
        }
    }

    /// Drops the first `count` tokens, and memory beyond what the rest and `spare` tokens need.
    ///
    /// When little is left of much, it moves to memory of its own: cutting the old piece short would leave a hole
    /// beside it that the next layer's prompt does not fit into, and the process would hold both.
    pub(crate) fn drop_first(&mut self, count: usize, spare: usize) {
        for v in [&mut self.keys, &mut self.values] {
            let room = v.len() - count * self.dim + spare * self.dim;
            if v.capacity() > 2 * room {
                let mut moved = Vec::with_capacity(room);
                moved.extend_from_slice(&v[count * self.dim..]);
                *v = moved;
            } else {
                v.drain(..count * self.dim);
                v.shrink_to(room);
            }
        }
    }

    /// Puts other numbers in place of those from token `first` on.
    pub(crate) fn replace(&mut self, first: usize, keys: Option<&[f32]>, values: Option<&[f32]>) {
        for (to, from) in [(&mut self.keys, keys), (&mut self.values, values)] {
            if let Some(from) = from {
                store_all::<f32, S>(from, &mut to[first * self.dim..][..from.len()]);
            }
        }
    }

    /// Takes the first `count` tokens into a store of their own.
    pub(crate) fn copy_first(&self, count: usize) -> Self {
        let length = count * self.dim;
        Tokens { dim: self.dim, keys: self.keys[..length].to_vec(), values: self.values[..length].to_vec() }
    }

    /// Keeps the tokens at `places`, in their order, in no more memory than they need.
    pub(crate) fn keep(&mut self, places: &[usize]) {
        for v in [&mut self.keys, &mut self.values] {
            let mut kept = Vec::with_capacity(places.len() * self.dim);
            for &at in places {
                kept.extend_from_slice(&v[at * self.dim..(at + 1) * self.dim]);
            }
            *v = kept;
        }
    }

    /// All tokens.
    pub(crate) fn region(&self) -> ExactRegion<'_, S> {
        ExactRegion { keys: &self.keys, values: &self.values }
    }

    /// The tokens of `range`, as far as they are there.
    pub(crate) fn range(&self, range: Range<usize>) -> ExactRegion<'_, S> {
        let length = self.keys.len();
        let range = (range.start * self.dim).min(length)..(range.end * self.dim).min(length);
        ExactRegion { keys: &self.keys[range.clone()], values: &self.values[range] }
    }

    /// The first `count` tokens.
    pub(crate) fn first(&self, count: usize) -> ExactRegion<'_, S> {
        let length = count * self.dim;
        ExactRegion { keys: &self.keys[..length], values: &self.values[..length] }
    }

    pub(crate) fn bytes(&self) -> usize {
        held(&self.keys) + held(&self.values)
    }

    pub(crate) fn park(&self, out: &mut SectionWriter<'_>) -> Result<(), ParkError> {
        out.numbers(KEYS, &self.keys)?;
        out.numbers(VALUES, &self.values)
    }

    /// Reads `count` tokens, into memory for no more.
    pub(crate) fn unpark(dim: usize, count: usize, sections: &mut SectionReader<'_>) -> Result<Self, ParkError> {
        let numbers = count.saturating_mul(dim);
        Ok(Tokens { dim, keys: sections.numbers(KEYS, numbers)?, values: sections.numbers(VALUES, numbers)? })
    }
}

/// Tokens that there is room for when `tokens` have been pushed, `tile` at a time.
pub(crate) fn room_after(tokens: usize, tile: usize) -> usize {
    let (mut held, mut room) = (0, 0);
    while held < tokens {
        let count = tile.max(1).min(tokens - held);
        if held + count > room {
            room = held + count.max(growth(held));
        }
        held += count;
    }
    room
}
