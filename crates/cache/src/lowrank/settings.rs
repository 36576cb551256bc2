//! Settings of the low-rank cache.

use std::fmt;
use std::str::FromStr;

use crate::settings::{SettingsError, number, pairs, ratio, word};
use crate::{CacheShape, KeysAs};

/// Tokens that leave the exact tail together.
pub(super) const STEP: usize = 64;

/// How many directions are kept of the `D` that a head has, of keys and of values alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rank {
    /// Half of them.
    Half,
    /// So many.
    Dims(usize),
    /// As many as make the prompt so many times smaller, basis and exact tokens included; at least one.
    Ratio(f64),
}

/// Settings of the low-rank cache.
#[derive(Clone, Debug, PartialEq)]
pub struct LowRankSettings {
    /// Directions that are kept.
    pub rank: Rank,
    /// Which keys are projected.
    pub keys: KeysAs,
    /// First tokens that stay exact. Attention rests on them, and they are unlike all others: what a basis of the others
    /// loses of them shows in every output.
    pub sink: usize,
    /// Last tokens that stay exact, at least 1; up to 64 more while they wait to be projected together.
    pub residual: usize,
}

impl Default for LowRankSettings {
    fn default() -> Self {
        LowRankSettings { rank: Rank::Half, keys: KeysAs::Unrotated, sink: 4, residual: 128 }
    }
}

impl LowRankSettings {
    /// # Errors
    /// If there are not as many directions as are to be kept, or no token stays exact.
    pub(super) fn check(&self, shape: &CacheShape) -> Result<(), SettingsError> {
        let refused = |key, expected: String, got: usize| SettingsError::Value { key, expected, got: got.to_string() };
        match self.rank {
            Rank::Dims(rank) if !(1..=shape.head_dim).contains(&rank) => {
                let expected = format!("a whole number from 1 to the {} dims of a head", shape.head_dim);
                Err(refused("rank", expected, rank))
            }
            _ if self.residual == 0 => Err(refused("residual", "a whole number from 1".to_owned(), 0)),
            _ => Ok(()),
        }
    }

    /// Of the tokens of an exact tail, how many are to be projected now.
    pub(super) fn due(&self, tail: usize, has_basis: bool, dim: usize) -> usize {
        let over = tail.saturating_sub(self.residual + self.sink_in(has_basis)) / STEP * STEP;
        if over >= first_step(has_basis, dim) { over } else { 0 }
    }

    /// Tokens that a tail has at most when it is attended to token by token.
    pub(super) fn longest(&self, has_basis: bool, dim: usize) -> usize {
        self.residual + self.sink_in(has_basis) + first_step(has_basis, dim)
    }

    /// First tokens that are still in the tail.
    fn sink_in(&self, has_basis: bool) -> usize {
        if has_basis { 0 } else { self.sink }
    }
}

/// The fewest tokens that are projected at once. A basis takes up to as much as `D` tokens: it is not made for fewer.
fn first_step(has_basis: bool, dim: usize) -> usize {
    if has_basis { STEP } else { dim.next_multiple_of(STEP) }
}

impl FromStr for LowRankSettings {
    type Err = SettingsError;

    fn from_str(text: &str) -> Result<Self, SettingsError> {
        let mut s = LowRankSettings::default();
        for (key, value) in pairs(text) {
            match key {
                "rank" if value == "half" => s.rank = Rank::Half,
                "rank" => s.rank = Rank::Dims(number("rank", value, 1)?),
                "ratio" => s.rank = Rank::Ratio(ratio(value)?),
                "keys" => s.keys = word("keys", value, &KeysAs::NAMES)?,
                "sink" => s.sink = number("sink", value, 0)?,
                "residual" => s.residual = number("residual", value, 1)?,
                _ => {
                    let known = "rank, ratio, keys, sink, residual".to_owned();
                    return Err(SettingsError::Key { kind: "lowrank", known, got: key.to_owned() });
                }
            }
        }
        Ok(s)
    }
}

impl fmt::Display for LowRankSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rank {
            Rank::Half => write!(f, "rank=half")?,
            Rank::Dims(rank) => write!(f, "rank={rank}")?,
            Rank::Ratio(ratio) => write!(f, "ratio={ratio}")?,
        }
        write!(f, ",keys={},sink={},residual={}", self.keys, self.sink, self.residual)
    }
}
