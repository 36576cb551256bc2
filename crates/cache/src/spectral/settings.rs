//! Settings of the `spectral` cache.

use std::fmt;
use std::str::FromStr;

use super::without::Without;
use crate::CacheShape;
use crate::settings::{SettingsError, number, pairs};

/// The bits a number that can be asked for.
pub const BITS: std::ops::RangeInclusive<f64> = 0.5..=8.0;

/// Bits a number where nothing was asked for and no budget of bytes decides: more of them save few predictions from
/// changing, fewer soon change many.
pub const USUAL_BITS: f64 = 2.0;

/// Bits a number of a coded token, everything counted that is held for coded tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    /// So many: [`BITS`].
    Bits(f64),
    /// As many as a budget of bytes leaves room for ([`crate::CacheKind::within`]), or else [`USUAL_BITS`].
    Auto,
}

impl Rate {
    /// The number.
    pub fn bits(self) -> f64 {
        match self {
            Rate::Bits(bits) => bits,
            Rate::Auto => USUAL_BITS,
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rate::Bits(bits) => write!(f, "{bits}"),
            Rate::Auto => f.write_str("auto"),
        }
    }
}

/// Settings of the `spectral` cache.
#[derive(Clone, Debug, PartialEq)]
pub struct SpectralSettings {
    /// Bits a number of a coded token.
    pub rate: Rate,
    /// First tokens that stay exact, `S`.
    pub sink: usize,
    /// Last tokens that stay exact, `W`; up to a block more while they wait to be coded together.
    pub window: usize,
    /// Tokens a block, `B`: 2, 4, 8, 16, 32 or 64.
    pub block: usize,
    /// Key channels that are transformed together.
    pub keys: Span,
    /// Value channels that are transformed together.
    pub values: Span,
    /// Coding begins with no fewer tokens than this: its tables are made from them.
    pub least_middle: usize,
    /// How much errors of values count against errors of keys when there is no plan.
    pub balance: f64,
    /// What is left out, to measure what it brings.
    pub without: Without,
}

/// Channels that one transform goes over. Larger ones find more to save, take larger tables, and cost more to undo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// So many dims of one head, in whole rotary pairs.
    Dims(usize),
    /// All dims of a head.
    Head,
    /// All heads of a layer, 256 channels at most.
    Heads,
}

/// Channels of the largest transform: beyond, its table would be larger than what it saves.
pub(super) const MOST_CHANNELS: usize = 256;

impl Span {
    /// Dims of each head, in whole pairs and dividing its dims evenly, and heads that one transform goes over.
    pub(super) fn sizes(self, shape: &CacheShape) -> (usize, usize) {
        let (dim, half) = (shape.head_dim, shape.head_dim / 2);
        let divisor =
            |most: usize, of: usize| (1..=most.clamp(1, of)).rev().find(|n| of.is_multiple_of(*n)).unwrap_or(1);
        match self {
            Span::Dims(dims) => (2 * divisor(dims / 2, half), 1),
            Span::Head => (dim, 1),
            Span::Heads => (dim, divisor(MOST_CHANNELS / dim, shape.kv_heads)),
        }
    }

    /// Heads that one transform goes over.
    pub fn heads(self, shape: &CacheShape) -> usize {
        self.sizes(shape).1
    }

    /// A number for files.
    pub(super) fn number(self) -> usize {
        match self {
            Span::Heads => 0,
            Span::Head => 1,
            Span::Dims(dims) => dims,
        }
    }

    /// What such a number stands for.
    pub(super) fn of_number(number: usize) -> Option<Self> {
        match number {
            0 => Some(Span::Heads),
            1 => Some(Span::Head),
            _ => (number <= MOST_CHANNELS).then_some(Span::Dims(number)),
        }
    }

    /// Channels of one transform.
    pub(super) fn channels(self, shape: &CacheShape) -> usize {
        let (dims, heads) = self.sizes(shape);
        dims * heads
    }
}

impl Default for SpectralSettings {
    fn default() -> Self {
        SpectralSettings {
            rate: Rate::Auto,
            sink: 4,
            window: 1020,
            block: 16,
            keys: Span::Dims(32),
            values: Span::Heads,
            least_middle: 1024,
            balance: 0.3,
            without: Without::default(),
        }
    }
}

impl SpectralSettings {
    /// Of the tokens of an exact tail, how many are to be coded now: whole blocks.
    pub(super) fn due(&self, tail: usize, has_codes: bool) -> usize {
        let sink = if has_codes { 0 } else { self.sink };
        let over = tail.saturating_sub(self.window + sink) / self.block * self.block;
        let least = if has_codes { self.block } else { self.least_middle };
        if over >= least { over } else { 0 }
    }

    /// Tokens that a tail has at most when it grows token by token.
    pub(super) fn longest(&self, has_codes: bool) -> usize {
        match has_codes {
            true => self.window + self.block,
            false => self.window + self.sink + self.least_middle.next_multiple_of(self.block),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Span::Dims(dims) => write!(f, "{dims}"),
            Span::Head => f.write_str("head"),
            Span::Heads => f.write_str("heads"),
        }
    }
}

fn span(key: &'static str, value: &str) -> Result<Span, SettingsError> {
    match value {
        "head" => Ok(Span::Head),
        "heads" => Ok(Span::Heads),
        _ => value.parse().ok().filter(|n| (2..=MOST_CHANNELS).contains(n) && n % 2 == 0).map(Span::Dims).ok_or_else(
            || SettingsError::Value {
                key,
                expected: format!("an even number of dims from 2 to {MOST_CHANNELS}, `head` or `heads`"),
                got: value.to_owned(),
            },
        ),
    }
}

fn real(key: &'static str, value: &str, range: std::ops::RangeInclusive<f64>) -> Result<f64, SettingsError> {
    value.parse().ok().filter(|x| range.contains(x)).ok_or_else(|| SettingsError::Value {
        key,
        expected: format!("a number from {} to {}", range.start(), range.end()),
        got: value.to_owned(),
    })
}

fn rate(value: &str) -> Result<Rate, SettingsError> {
    match value {
        "auto" => Ok(Rate::Auto),
        _ => {
            value.parse().ok().filter(|bits| BITS.contains(bits)).map(Rate::Bits).ok_or_else(|| SettingsError::Value {
                key: "bits",
                expected: format!("a number from {} to {}, or `auto`", BITS.start(), BITS.end()),
                got: value.to_owned(),
            })
        }
    }
}

fn block(value: &str) -> Result<usize, SettingsError> {
    number("block", value, 2)?.checked_next_power_of_two().filter(|b| *b <= 64 && b.to_string() == value).ok_or_else(
        || SettingsError::Value { key: "block", expected: "2, 4, 8, 16, 32 or 64".to_owned(), got: value.to_owned() },
    )
}

impl FromStr for SpectralSettings {
    type Err = SettingsError;

    fn from_str(text: &str) -> Result<Self, SettingsError> {
        let mut s = SpectralSettings::default();
        for (key, value) in pairs(text) {
            match key {
                "" | "bits" => s.rate = rate(value)?,
                "sink" => s.sink = number("sink", value, 0)?,
                "window" => s.window = number("window", value, 1)?,
                "block" => s.block = block(value)?,
                "keys" => s.keys = span("keys", value)?,
                "values" => s.values = span("values", value)?,
                "least-middle" => s.least_middle = number("least-middle", value, 1)?,
                "balance" => s.balance = real("balance", value, 1e-6..=1e6)?,
                "without" => s.without = value.parse()?,
                _ => {
                    let known = "bits, sink, window, block, keys, values, least-middle, balance, without".to_owned();
                    return Err(SettingsError::Key { kind: "spectral", known, got: key.to_owned() });
                }
            }
        }
        Ok(s)
    }
}

impl fmt::Display for SpectralSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "bits={},sink={},window={},block={},keys={},values={},least-middle={},balance={}",
            self.rate, self.sink, self.window, self.block, self.keys, self.values, self.least_middle, self.balance
        )?;
        if self.without.any() { write!(f, ",without={}", self.without) } else { Ok(()) }
    }
}
