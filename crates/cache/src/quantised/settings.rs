//! Settings of the quantised caches, and what they are without any.

use std::fmt;

use super::coding::Coding;
use crate::KeysAs;
use crate::settings::{SettingsError, number, pairs, word};

/// Tokens of exact past that the `int` caches keep by default, as KIVI does.
const RESIDUAL: usize = 128;
/// Tokens, and dims, of a group by default.
const GROUP: usize = 32;
/// Largest group: a block of tokens that is rebuilt for attention holds whole groups.
const MOST_GROUP: usize = 256;
/// Tokens that leave an exact window together where the coding itself asks for no number.
const STEP: usize = 32;

/// Settings of a quantised cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuantisedSettings {
    /// How numbers are coded.
    pub scheme: Scheme,
    /// Last tokens that stay exact; up to a group more while they wait for their group to be whole.
    pub residual: usize,
}

/// How numbers are coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `int8`, `int4`, `int3`, `int2`: between the least and the largest of a group.
    Groups {
        /// Bits a number.
        bits: Bits,
        /// Tokens of a group of one key dim, and dims of a group of one token's values: 1 to 256.
        group: usize,
        /// Which keys are coded.
        keys: KeysAs,
    },
    /// `q8_0`, `q4_0`: multiples of a scale for 32 dims of a token.
    Blocks {
        /// Which of them.
        format: BlockFormat,
        /// Whether keys and values are turned by a Walsh-Hadamard transform first.
        hadamard: bool,
    },
}

/// Bits a number of the `int` caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bits {
    /// `int2`
    Two,
    /// `int3`
    Three,
    /// `int4`
    Four,
    /// `int8`
    Eight,
}

/// The block formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockFormat {
    /// 32 numbers in 18 bytes.
    Q4_0,
    /// 32 numbers in 34 bytes.
    Q8_0,
}

impl Bits {
    /// How many.
    pub(super) const fn count(self) -> usize {
        match self {
            Bits::Two => 2,
            Bits::Three => 3,
            Bits::Four => 4,
            Bits::Eight => 8,
        }
    }

    /// The largest code.
    pub(super) const fn levels(self) -> u8 {
        (u8::MAX as u16 >> (8 - self.count())) as u8
    }
}

impl QuantisedSettings {
    const SCHEMES: [(&'static str, Scheme); 6] = [
        ("int8", Scheme::Groups { bits: Bits::Eight, group: GROUP, keys: KeysAs::Rotated }),
        ("int4", Scheme::Groups { bits: Bits::Four, group: GROUP, keys: KeysAs::Rotated }),
        ("int3", Scheme::Groups { bits: Bits::Three, group: GROUP, keys: KeysAs::Rotated }),
        ("int2", Scheme::Groups { bits: Bits::Two, group: GROUP, keys: KeysAs::Rotated }),
        ("q4_0", Scheme::Blocks { format: BlockFormat::Q4_0, hadamard: false }),
        ("q8_0", Scheme::Blocks { format: BlockFormat::Q8_0, hadamard: false }),
    ];

    /// The settings that the kind `name` has when none is given; `None` if no quantised cache has that name.
    pub fn usual(name: &str) -> Option<Self> {
        let (_, scheme) = Self::SCHEMES.into_iter().find(|(known, _)| *known == name)?;
        let residual = if matches!(scheme, Scheme::Groups { .. }) { RESIDUAL } else { 0 };
        Some(QuantisedSettings { scheme, residual })
    }

    /// The kind's name.
    pub fn name(&self) -> &'static str {
        match self.scheme {
            Scheme::Groups { bits: Bits::Eight, .. } => "int8",
            Scheme::Groups { bits: Bits::Four, .. } => "int4",
            Scheme::Groups { bits: Bits::Three, .. } => "int3",
            Scheme::Groups { bits: Bits::Two, .. } => "int2",
            Scheme::Blocks { format: BlockFormat::Q4_0, .. } => "q4_0",
            Scheme::Blocks { format: BlockFormat::Q8_0, .. } => "q8_0",
        }
    }

    /// These settings with those changed that `text` names.
    ///
    /// # Errors
    /// If the kind has no such setting, or it cannot have that value.
    pub(crate) fn changed_by(mut self, text: &str) -> Result<Self, SettingsError> {
        let kind = self.name();
        for (key, value) in pairs(text) {
            match (key, &mut self.scheme) {
                ("residual", _) => self.residual = number("residual", value, 0)?,
                ("group", Scheme::Groups { group, .. }) => *group = checked_group(number("group", value, 1)?)?,
                ("keys", Scheme::Groups { keys, .. }) => *keys = word("keys", value, &KeysAs::NAMES)?,
                ("hadamard", Scheme::Blocks { hadamard, .. }) => *hadamard = word("hadamard", value, &SWITCH)?,
                (_, Scheme::Groups { .. }) => return Err(unknown(kind, "keys, group, residual", key)),
                (_, Scheme::Blocks { .. }) => return Err(unknown(kind, "hadamard, residual", key)),
            }
        }
        Ok(self)
    }

    /// # Errors
    /// If a group is empty or larger than a block of tokens.
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        match self.scheme {
            Scheme::Groups { group, .. } => checked_group(group).map(|_| ()),
            Scheme::Blocks { .. } => Ok(()),
        }
    }

    /// How keys are coded.
    pub(super) fn key_coding(&self) -> Coding {
        match self.scheme {
            Scheme::Groups { bits, group, .. } => Coding::ByChannel { bits, group },
            Scheme::Blocks { format, .. } => Coding::Blocks(format),
        }
    }

    /// How values are coded.
    pub(super) fn value_coding(&self) -> Coding {
        match self.scheme {
            Scheme::Groups { bits, group, .. } => Coding::ByToken { bits, group },
            Scheme::Blocks { format, .. } => Coding::Blocks(format),
        }
    }

    /// Whether every token is coded as soon as it comes, once the prompt is complete.
    pub(super) fn codes_at_once(&self) -> bool {
        matches!(self.scheme, Scheme::Blocks { .. }) && self.residual == 0
    }

    /// Of the tokens of an exact tail, how many are to be coded now.
    pub(super) fn due(&self, tail: usize) -> usize {
        tail.saturating_sub(self.residual) / self.step() * self.step()
    }

    /// Tokens that an exact tail has room for beyond what it holds.
    pub(super) fn spare(&self) -> usize {
        if self.codes_at_once() { 0 } else { self.step() }
    }

    /// Tokens that are coded together.
    pub(super) fn step(&self) -> usize {
        match self.scheme {
            Scheme::Groups { group, .. } => group,
            Scheme::Blocks { .. } if self.codes_at_once() => 1,
            Scheme::Blocks { .. } => STEP,
        }
    }
}

const SWITCH: [(&str, bool); 2] = [("on", true), ("off", false)];

fn unknown(kind: &'static str, known: &str, got: &str) -> SettingsError {
    SettingsError::Key { kind, known: known.to_owned(), got: got.to_owned() }
}

fn checked_group(group: usize) -> Result<usize, SettingsError> {
    match (1..=MOST_GROUP).contains(&group) {
        true => Ok(group),
        false => Err(SettingsError::Value {
            key: "group",
            expected: format!("a whole number from 1 to {MOST_GROUP}"),
            got: group.to_string(),
        }),
    }
}

impl fmt::Display for QuantisedSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, residual) = (self.name(), self.residual);
        match self.scheme {
            Scheme::Groups { group, keys, .. } => {
                write!(f, "{name}:keys={keys},group={group},residual={residual}")
            }
            Scheme::Blocks { hadamard, .. } => {
                let hadamard = if hadamard { "on" } else { "off" };
                write!(f, "{name}:hadamard={hadamard},residual={residual}")
            }
        }
    }
}
