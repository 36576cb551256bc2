//! The options of `long-text`.

use std::path::PathBuf;

use crate::steps::Failed;

/// What text to write, and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TextOptions {
    /// Where to; `None` for the usual place.
    pub(crate) output: Option<PathBuf>,
    /// Sections of the text.
    pub(crate) stations: usize,
    /// Seed of its random numbers.
    pub(crate) seed: u64,
}

impl Default for TextOptions {
    /// About 6,000 tokens.
    fn default() -> Self {
        Self { output: None, stations: 52, seed: 1 }
    }
}

impl TextOptions {
    /// Reads `--name value` pairs.
    ///
    /// # Errors
    /// What was not understood.
    pub(crate) fn read(words: &[String]) -> Result<Self, Failed> {
        let mut options = Self::default();
        for pair in words.chunks(2) {
            let [name, value] = pair else {
                return Err(Failed(format!("{} expects a value", pair.concat())));
            };
            match name.as_str() {
                "--output" => options.output = Some(value.into()),
                "--stations" => options.stations = number(name, value)?,
                "--seed" => options.seed = number(name, value)?,
                _ => return Err(Failed(format!("unknown option '{name}'"))),
            }
        }
        Ok(options)
    }
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, Failed> {
    value.parse().map_err(|_| Failed(format!("{name} expects a whole number, got '{value}'")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &str) -> Result<TextOptions, String> {
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        TextOptions::read(&words).map_err(|Failed(reason)| reason)
    }

    #[test]
    fn options_are_pairs() {
        assert_eq!(read(""), Ok(TextOptions::default()));
        let expected = TextOptions { output: Some("a.txt".into()), stations: 3, seed: 9 };
        assert_eq!(read("--seed 9 --output a.txt --stations 3"), Ok(expected));
        assert!(read("--seed").unwrap_err().contains("expects a value"));
        assert!(read("--seed x").unwrap_err().contains("whole number"));
        assert!(read("--sead 1").unwrap_err().contains("unknown option"));
    }
}
