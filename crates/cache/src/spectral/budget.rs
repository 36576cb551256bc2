//! The rate that fits a budget of bytes: by numbers of tokens alone, whatever their content.

use fourier_kv_kernels::coded::LANES;

use super::settings::{BITS, Rate, SpectralSettings};
use super::shares::Shares;
use super::size::{Room, expected_bytes};
use crate::expected::{ByteBudget, PromptSize};
use crate::tokens::growth;
use crate::{CacheError, CacheShape};

/// Rates that are tried, to a bit.
const STEPS: f64 = 8.0;

/// The settings with the highest rate at which a cache never holds more than the budget.
///
/// # Errors
/// If it does so at every rate.
pub(crate) fn within(
    settings: &SpectralSettings,
    shape: &CacheShape,
    shares: Option<&Shares>,
    budget: &ByteBudget,
) -> Result<SpectralSettings, CacheError> {
    let shares = shares.filter(|_| !settings.without.shares);
    let mut least = usize::MAX;
    let mut bits = *BITS.end();
    while bits >= *BITS.start() {
        let tried = SpectralSettings { rate: Rate::Bits(bits), ..settings.clone() };
        let bytes = most_bytes(&tried, shape, shares, budget);
        if bytes <= budget.bytes {
            return Ok(tried);
        }
        least = least.min(bytes);
        bits -= 1.0 / STEPS;
    }
    Err(CacheError::Budget { least, tokens: budget.prompt.tokens.saturating_add(budget.more), budget: budget.bytes })
}

/// The most that a cache holds from the end of the prompt on.
fn most_bytes(settings: &SpectralSettings, shape: &CacheShape, shares: Option<&Shares>, budget: &ByteBudget) -> usize {
    let sealed = expected_bytes(settings, shape, shares, budget.prompt);
    if budget.more == 0 {
        return sealed.total();
    }
    let of = Past { settings, shape, shares, total: budget.prompt.tokens.saturating_add(budget.more) };
    let first = settings.due(budget.prompt.tokens, false);
    let grown = if first > 0 { of.coded(first) } else { of.coded_later().max(of.exact()) };
    sealed.total().max(sealed.bookkeeping.saturating_add(grown))
}

/// The most that a cache holds from the end of a prompt on, with up to `more` tokens after it, however both come: in one
/// pass, in turns, token by token.
pub(crate) fn at_most(
    settings: &SpectralSettings,
    shape: &CacheShape,
    shares: Option<&Shares>,
    prompt: PromptSize,
    more: usize,
) -> usize {
    let shares = shares.filter(|_| !settings.without.shares);
    let sealed = expected_bytes(settings, shape, shares, prompt);
    let of = Past { settings, shape, shares, total: prompt.tokens.saturating_add(more) };
    let grown = match settings.due(prompt.tokens, false) {
        0 => of.exact(),
        first => of.coded(first),
    };
    sealed.total().max(sealed.bookkeeping.saturating_add(grown.max(of.coded_later())))
}

/// A past that may come to `total` tokens.
struct Past<'a> {
    settings: &'a SpectralSettings,
    shape: &'a CacheShape,
    shares: Option<&'a Shares>,
    total: usize,
}

impl Past<'_> {
    /// Bytes of the tokens as long as none is coded, with the room that is made for more of them.
    fn exact(&self) -> usize {
        let tokens = self.total.min(self.settings.longest(false));
        self.tokens(tokens + growth(tokens))
    }

    /// All that a past has at its end whose coding begins at some moment after the prompt: with one block after the
    /// other, or with many at the end of a long turn. Tables count less in long beginnings: between the two, a block may
    /// have a word a side more than in either.
    fn coded_later(&self) -> usize {
        let first = self.settings.due(self.settings.longest(false), false);
        let last = self.last();
        if last < first {
            return 0;
        }
        let slack = if first == last { 0 } else { self.codes(2 * self.shape.layers, self.room_at_most(last)) };
        self.coded(first).max(self.coded(last)).saturating_add(slack)
    }

    /// All that a past has at its end whose coding began with `first` tokens.
    fn coded(&self, first: usize) -> usize {
        let (settings, shape) = (self.settings, self.shape);
        let [words, tables] = Room::new(settings, shape, self.shares, first).totals();
        let superblocks = match self.superblocks(first) {
            held if held >= self.superblocks(self.last()) => held,
            _ => self.room_at_most(self.last()),
        };
        // A tail keeps room for a block more than it had when it was last cut.
        let exact = settings.sink + settings.window + 2 * settings.block - 1;
        self.tokens(exact).saturating_add(tables).saturating_add(self.codes(words, superblocks))
    }

    /// Coded tokens at the end.
    fn last(&self) -> usize {
        let (settings, exact) = (self.settings, self.settings.sink + self.settings.window);
        self.total.saturating_sub(exact) / settings.block * settings.block
    }

    fn superblocks(&self, tokens: usize) -> usize {
        tokens.div_ceil(LANES * self.settings.block)
    }

    /// Superblocks that there may be room for when so many tokens have been coded, some of them after the first.
    fn room_at_most(&self, tokens: usize) -> usize {
        let (needed, size) = (self.superblocks(tokens), LANES * self.settings.block);
        let before = needed.saturating_sub(1);
        needed.max(before + growth(before * size).div_ceil(size))
    }

    fn codes(&self, words: usize, superblocks: usize) -> usize {
        superblocks.saturating_mul(words).saturating_mul(size_of::<[u32; LANES]>())
    }

    fn tokens(&self, tokens: usize) -> usize {
        self.shape.exact_bytes(1, 2).saturating_mul(tokens)
    }
}
