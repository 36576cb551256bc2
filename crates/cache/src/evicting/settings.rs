//! Settings of the caches that drop tokens.

use std::fmt;

use crate::settings::{SettingsError, number, pairs, ratio, word};

/// Which tokens are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The first and the last.
    Streaming,
    /// Those that the end of the prompt attends to, and the last.
    Snap,
    /// The same, more of them in the first layers than in the last.
    Pyramid,
}

/// How many tokens are kept a head, on average over the layers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Budget {
    /// So many.
    Tokens(usize),
    /// One of so many of the prompt.
    Ratio(f64),
}

/// How the votes of neighbouring tokens are brought together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pool {
    /// The largest.
    Max,
    /// Their mean.
    Mean,
}

/// Settings of the caches that drop tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct EvictingSettings {
    /// Which tokens are kept.
    pub choice: Choice,
    /// How many.
    pub budget: Budget,
    /// First tokens that `streaming` keeps.
    pub sink: usize,
    /// Last tokens of the prompt that vote on the others, and are kept.
    pub window: usize,
    /// Neighbouring tokens whose votes are pooled, an odd number.
    pub kernel: usize,
    /// How.
    pub pool: Pool,
}

impl EvictingSettings {
    /// The settings that the method's paper uses, with a budget of 1,024 tokens.
    pub fn new(choice: Choice) -> Self {
        EvictingSettings { choice, budget: Budget::Tokens(1024), sink: 4, window: 32, kernel: 7, pool: Pool::Max }
    }

    /// Reads settings as they are written after the kind's name.
    ///
    /// # Errors
    /// If a setting is not known, or its value out of range.
    pub fn parse(choice: Choice, text: &str) -> Result<Self, SettingsError> {
        let mut s = EvictingSettings::new(choice);
        let votes = choice != Choice::Streaming;
        for (key, value) in pairs(text) {
            match key {
                "ratio" => s.budget = Budget::Ratio(ratio(value)?),
                "tokens" => s.budget = Budget::Tokens(number("tokens", value, 1)?),
                "sink" if !votes => s.sink = number("sink", value, 0)?,
                "window" if votes => s.window = number("window", value, 1)?,
                "kernel" if votes => s.kernel = odd(value)?,
                "pool" if votes => s.pool = word("pool", value, &[("max", Pool::Max), ("mean", Pool::Mean)])?,
                _ => {
                    let known = if votes { "ratio, tokens, window, kernel, pool" } else { "ratio, tokens, sink" };
                    return Err(SettingsError::Key { kind: choice.name(), known: known.into(), got: key.into() });
                }
            }
        }
        Ok(s)
    }

    /// Tokens to keep of a prompt of `tokens`, a head and on average over the layers.
    pub(super) fn keep_of(&self, tokens: usize) -> usize {
        let least = if self.choice == Choice::Streaming { self.sink } else { self.window } + 1;
        match self.budget {
            Budget::Tokens(count) => count.max(least),
            Budget::Ratio(ratio) => ((tokens as f64 / ratio) as usize).max(least),
        }
    }
}

impl Choice {
    /// The kind's name.
    pub fn name(self) -> &'static str {
        match self {
            Choice::Streaming => "streaming",
            Choice::Snap => "snapkv",
            Choice::Pyramid => "pyramidkv",
        }
    }
}

impl fmt::Display for EvictingSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.budget {
            Budget::Tokens(tokens) => write!(f, "tokens={tokens}")?,
            Budget::Ratio(ratio) => write!(f, "ratio={ratio}")?,
        }
        match self.choice {
            Choice::Streaming => write!(f, ",sink={}", self.sink),
            _ => {
                let pool = if self.pool == Pool::Max { "max" } else { "mean" };
                write!(f, ",window={},kernel={},pool={pool}", self.window, self.kernel)
            }
        }
    }
}

fn odd(value: &str) -> Result<usize, SettingsError> {
    number("kernel", value, 1)?;
    value.parse().ok().filter(|n| n % 2 == 1 && *n < 1000).ok_or_else(|| SettingsError::Value {
        key: "kernel",
        expected: "an odd number below 1000".to_owned(),
        got: value.to_owned(),
    })
}
