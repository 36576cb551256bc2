//! The words that keys and lists are made of.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::tasks::rng::Rng;
use crate::tasks::{TaskError, io};

/// Nouns, adjectives and verbs. Sorted, each once in its list.
#[derive(Clone, Debug)]
pub struct WordLists {
    nouns: Arc<[String]>,
    adjectives: Arc<[String]>,
    verbs: Arc<[String]>,
}

impl WordLists {
    /// Lists of a folder: the files whose names end with `nounlist.txt`, `adjectivelist.txt` and `verblist.txt`, one
    /// word a line, as the package wonderwords has them.
    ///
    /// # Errors
    /// If the folder or a file cannot be read, or a list is missing or empty.
    pub fn folder(path: &Path) -> Result<Self, TaskError> {
        Ok(Self {
            nouns: list(path, "nounlist.txt")?,
            adjectives: list(path, "adjectivelist.txt")?,
            verbs: list(path, "verblist.txt")?,
        })
    }

    /// Made-up words that can be spoken: always the same ones.
    pub fn built_in() -> Self {
        let mut rng = Rng::new(0x0077_6f72_6473);
        let mut taken = BTreeSet::new();
        let mut list = |n: usize, ending: &str| -> Arc<[String]> {
            let words: BTreeSet<String> = (0..n).map(|_| made_up(&mut rng, 2, ending, &mut taken)).collect();
            words.into_iter().collect()
        };
        Self { nouns: list(2000, ""), adjectives: list(600, "ish"), verbs: list(600, "ate") }
    }

    /// A key: an adjective and a noun with a hyphen.
    pub(super) fn pair(&self, rng: &mut Rng) -> String {
        let noun = &self.nouns[rng.below(self.nouns.len())];
        format!("{}-{noun}", self.adjectives[rng.below(self.adjectives.len())])
    }

    /// All words, each once, sorted.
    pub(super) fn pool(&self) -> Vec<String> {
        let all: BTreeSet<&String> =
            [&self.nouns, &self.adjectives, &self.verbs].into_iter().flat_map(|l| l.iter()).collect();
        all.into_iter().cloned().collect()
    }
}

/// `n` made-up words that are not in `pool`: always the same ones, longer lists beginning with the shorter ones.
pub(super) fn more(pool: &[String], n: usize) -> Vec<String> {
    let mut rng = Rng::new(0x6d6f_7265);
    let mut taken: BTreeSet<String> = pool.iter().cloned().collect();
    (0..n).map(|_| made_up(&mut rng, 4, "", &mut taken)).collect()
}

/// The words of the one file of a folder whose name has this ending.
fn list(folder: &Path, ending: &str) -> Result<Arc<[String]>, TaskError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| io(folder, e))? {
        let entry = entry.map_err(|e| io(folder, e))?;
        if entry.file_name().to_string_lossy().ends_with(ending) {
            files.push(entry.path());
        }
    }
    files.sort();
    let nothing = |path: &Path, expected: &str| TaskError::Empty { path: path.to_owned(), expected: expected.into() };
    let file = files.first().ok_or_else(|| nothing(folder, &format!("file named *{ending}")))?;
    let text = fs::read_to_string(file).map_err(|e| io(file, e))?;
    let words: BTreeSet<&str> = text.lines().map(str::trim).filter(|word| !word.is_empty()).collect();
    if words.is_empty() {
        return Err(nothing(file, "words"));
    }
    Ok(words.into_iter().map(str::to_owned).collect())
}

/// A word of some syllables that was not there yet.
fn made_up(rng: &mut Rng, syllables: usize, ending: &str, taken: &mut BTreeSet<String>) -> String {
    const STARTS: &[&str] =
        &["b", "d", "f", "g", "h", "k", "l", "m", "n", "p", "r", "s", "t", "v", "w", "z", "br", "st", "tr"];
    const MIDDLES: &[&str] = &["a", "e", "i", "o", "u", "ai", "ea", "oo"];
    const ENDS: &[&str] = &["", "l", "m", "n", "r", "s", "t", "nd", "ck"];
    loop {
        let mut word = String::new();
        for _ in 0..syllables {
            for part in [STARTS, MIDDLES, ENDS] {
                word.push_str(part[rng.below(part.len())]);
            }
        }
        word.push_str(ending);
        if taken.insert(word.clone()) {
            return word;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_words_are_many_and_different() {
        let words = WordLists::built_in();
        let pool = words.pool();
        assert_eq!(pool.len(), 3200);
        assert!(pool.is_sorted());
        let extra = more(&pool, 500);
        assert!(extra.iter().all(|w| !pool.contains(w)));
        assert_eq!(extra[..10], more(&pool, 10));
        assert_eq!(pool, WordLists::built_in().pool());
    }
}
