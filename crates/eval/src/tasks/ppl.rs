//! Perplexity: passages of a text, each a prefix that is compressed and a continuation that is predicted.

use std::fs;
use std::path::{Path, PathBuf};

use super::{TaskError, io};
use crate::item::TokenCount;

/// A stretch of a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passage {
    /// The file's name and where the passage begins in it, in tokens.
    pub id: String,
    /// The tokens that are read before the cache is compressed.
    pub prefix: Vec<u32>,
    /// The tokens whose probabilities are taken afterwards.
    pub continuation: Vec<u32>,
}

/// Passages from text files, their starts evenly spaced from a text's beginning to its last whole passage. They
/// overlap where a text is too short for so many.
#[derive(Clone, Debug)]
pub struct Ppl {
    /// The texts.
    pub files: Vec<PathBuf>,
    /// Tokens of a prefix.
    pub prefix: usize,
    /// Tokens of a continuation.
    pub continuation: usize,
    /// Passages a text.
    pub windows: usize,
}

impl Ppl {
    /// One passage a text of 7168 tokens and 768 to continue it.
    pub fn new(files: Vec<PathBuf>) -> Self {
        Self { files, prefix: 7168, continuation: 768, windows: 1 }
    }

    /// How many passages there are, if every text is long enough.
    pub fn count(&self) -> usize {
        self.files.len() * self.windows
    }

    /// The passages of one of the files.
    ///
    /// # Errors
    /// If the file is unknown, unreadable or shorter than a passage, or a passage has no continuation.
    pub fn passages(&self, file: usize, tokens: &dyn TokenCount) -> Result<Vec<Passage>, TaskError> {
        let task = || "ppl".to_owned();
        let count = self.files.len();
        let path =
            self.files.get(file).ok_or_else(|| TaskError::NoSuchDocument { task: task(), index: file, count })?;
        if self.continuation == 0 {
            let reason = "a continuation of at least one token was expected".into();
            return Err(TaskError::Setting { task: task(), reason });
        }
        let text = fs::read_to_string(path).map_err(|e| io(path, e))?;
        let all = tokens.encode(&text).map_err(TaskError::Tokens)?;
        let window = self.prefix.saturating_add(self.continuation);
        let Some(room) = all.len().checked_sub(window) else {
            let reason = format!("{} tokens; a passage needs {window}", all.len());
            return Err(TaskError::Config { path: path.clone(), reason });
        };
        Ok((0..self.windows).map(|i| self.passage(path, &all, spaced(i, self.windows, room))).collect())
    }

    /// The passage that begins at a token.
    fn passage(&self, path: &Path, all: &[u32], start: usize) -> Passage {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let (prefix, rest) = all[start..].split_at(self.prefix);
        Passage {
            id: format!("{name}:{start}"),
            prefix: prefix.to_vec(),
            continuation: rest[..self.continuation].to_vec(),
        }
    }
}

/// The `i`th of `n` evenly spaced numbers from 0 to `last`.
fn spaced(i: usize, n: usize, last: usize) -> usize {
    match n {
        0 | 1 => 0,
        _ => (last as u128 * i as u128 / (n as u128 - 1)) as usize,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_evenly_spaced_and_end_with_the_text() {
        let starts: Vec<usize> = (0..5).map(|i| spaced(i, 5, 1000)).collect();
        assert_eq!(starts, [0, 250, 500, 750, 1000]);
        assert_eq!((spaced(0, 1, 99), spaced(0, 0, 99)), (0, 0));
    }
}
