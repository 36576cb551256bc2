//! Ingredients that can be left out of codes, to measure what each of them brings.

use std::fmt;
use std::str::FromStr;

use crate::settings::SettingsError;

/// What is left out: nothing, for all who do not measure what it brings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Without {
    /// The transform along time: every token's coefficients are coded as they are, all of one size.
    pub time: bool,
    /// The directions of the channels: channels are coded as they are.
    pub klt: bool,
    /// What errors matter: all dims of a layer count alike.
    pub weights: bool,
    /// The trellis: each coefficient is the nearest of as many levels as its bits can name.
    pub trellis: bool,
    /// How a plan shares rates out.
    pub shares: bool,
}

impl Without {
    const NAMES: [&'static str; 5] = ["time", "klt", "weights", "trellis", "shares"];

    /// Whether anything is left out.
    pub fn any(&self) -> bool {
        *self != Without::default()
    }

    fn all(&self) -> [bool; 5] {
        [self.time, self.klt, self.weights, self.trellis, self.shares]
    }

    fn add(&mut self, name: &str) -> Option<()> {
        *match name {
            "time" => &mut self.time,
            "klt" => &mut self.klt,
            "weights" => &mut self.weights,
            "trellis" => &mut self.trellis,
            "shares" => &mut self.shares,
            _ => return None,
        } = true;
        Some(())
    }
}

impl FromStr for Without {
    type Err = SettingsError;

    fn from_str(text: &str) -> Result<Self, SettingsError> {
        let mut without = Without::default();
        let wrong = || SettingsError::Value {
            key: "without",
            expected: format!("some of {}, with `+` between", Without::NAMES.join(", ")),
            got: text.to_owned(),
        };
        text.split('+').try_for_each(|name| without.add(name)).ok_or_else(wrong)?;
        Ok(without)
    }
}

impl fmt::Display for Without {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Without::NAMES.iter().zip(self.all()).filter(|(_, left_out)| *left_out);
        f.write_str(&names.map(|(name, _)| *name).collect::<Vec<_>>().join("+"))
    }
}
