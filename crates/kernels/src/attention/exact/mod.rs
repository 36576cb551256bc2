//! Attention over tokens whose keys and values are stored as they are.
//!
//! Shapes: queries `[R][D]`, keys and values `[T][D]` in a storage type. Bytes read: `2 T D` elements once a call;
//! operations: `4 R T D`. Tokens are taken in blocks whose numbers stay in the caches of the core; scores of a block
//! join the rows' running states, so nothing grows with `T`.
//!
//! Few query rows (decoding: those of one key/value head's group) are bound by reading memory (`few`), many (the
//! prompt) by arithmetic (`many`).

mod few;
mod many;

use crate::attention::Queries;
use crate::attention::state::AttnRowsMut;
use crate::element::Element;
use crate::isa::Isa;
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
    few: few::Scratch<T>,
    many: many::Scratch<T>,
}

impl<T> ExactScratch<T> {
    /// All memory that grows with use while single tokens are computed.
    pub(crate) fn buffers(&mut self) -> [&mut Vec<T>; 2] {
        self.few.buffers()
    }
}

/// From this many rows on, rows lie in vectors.
const MANY_ROWS: usize = 16;

/// Adds the tokens of `region` to the states of the rows of `q`.
pub fn attend_exact<T: Number, S: Element>(
    isa: Isa,
    q: Queries<'_, T>,
    region: ExactRegion<'_, S>,
    mask: Mask,
    scratch: &mut ExactScratch<T>,
    state: &mut AttnRowsMut<'_, T>,
) {
    if q.count() < MANY_ROWS {
        isa.run(few::Attend { q, region, mask, scratch: &mut scratch.few, state });
    } else {
        isa.run(many::Attend { q, region, mask, scratch: &mut scratch.many, state });
    }
}

/// How many of `tokens` row `r` sees.
#[inline(always)]
fn seen<T: Copy>(q: Queries<'_, T>, mask: Mask, tokens: usize, r: usize) -> usize {
    let hidden = if mask == Mask::Causal { q.later(r) } else { 0 };
    tokens.saturating_sub(hidden)
}
