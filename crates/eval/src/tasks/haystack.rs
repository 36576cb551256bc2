//! Long plain text to hide things in: a folder of essays, or the built-in filler.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::filler;
use super::rng::Rng;
use super::{TaskError, io};

/// Where long plain text comes from.
#[derive(Clone, Debug, Default)]
pub struct Haystack {
    /// Texts in the order of their file names; empty for the built-in filler.
    texts: Arc<[String]>,
}

impl Haystack {
    /// Prose made by a grammar, as long as it is asked for.
    pub fn filler() -> Self {
        Self::default()
    }

    /// The `.txt` files of a folder, by name.
    ///
    /// # Errors
    /// If the folder or a file in it cannot be read, or there is no text in it.
    pub fn folder(path: &Path) -> Result<Self, TaskError> {
        let mut files = Vec::new();
        for entry in fs::read_dir(path).map_err(|e| io(path, e))? {
            let file = entry.map_err(|e| io(path, e))?.path();
            if file.extension().is_some_and(|e| e == "txt") {
                files.push(file);
            }
        }
        // A folder's order differs from machine to machine.
        files.sort();
        let texts = files.iter().map(PathBuf::as_path).map(read).collect::<Result<Vec<_>, _>>()?;
        let texts: Vec<String> = texts.into_iter().filter(|text| !text.is_empty()).collect();
        if texts.is_empty() {
            return Err(TaskError::Empty { path: path.to_owned(), expected: ".txt file with text in it".into() });
        }
        Ok(Self { texts: texts.into() })
    }

    /// At least `words` words: the filler's own, or the texts in a shuffled order, again from the first when they
    /// run out.
    pub fn shuffled(&self, rng: &mut Rng, words: usize) -> String {
        if self.texts.is_empty() {
            return filler::prose(rng, words);
        }
        let mut order: Vec<usize> = (0..self.texts.len()).collect();
        rng.shuffle(&mut order);
        self.joined(&order, words)
    }

    /// At least `words` words that are the same for every item of a seed: the texts in the order of their names,
    /// again from the first when they run out.
    pub fn fixed(&self, seed: u64, words: usize) -> String {
        if self.texts.is_empty() {
            return filler::prose(&mut Rng::for_item(seed, "haystack", 0), words);
        }
        let order: Vec<usize> = (0..self.texts.len()).collect();
        self.joined(&order, words)
    }

    /// Texts in an order, in turn, until there are `words` words.
    fn joined(&self, order: &[usize], words: usize) -> String {
        let mut joined = String::new();
        let mut count = 0;
        for &number in order.iter().cycle() {
            if count >= words {
                break;
            }
            let text = &self.texts[number];
            count += text.split_whitespace().count();
            if !joined.is_empty() {
                joined.push_str("\n\n");
            }
            joined.push_str(text);
        }
        joined
    }
}

/// A file's text without space around it; what is not UTF-8 in it becomes U+FFFD.
fn read(file: &Path) -> Result<String, TaskError> {
    let bytes = fs::read(file).map_err(|e| io(file, e))?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

/// Byte offsets just after each word of a text.
pub(crate) fn word_ends(text: &str) -> Vec<usize> {
    let start = text.as_ptr() as usize;
    text.split_whitespace().map(|word| word.as_ptr() as usize - start + word.len()).collect()
}

/// Byte offsets just after each sentence: a full stop, question or exclamation mark with the quotes or brackets that
/// close after it, before white space and something other than a small letter. The end of the text is always one.
///
/// A plain rule in place of a trained splitter: `Mr. Smith` is cut, `e.g. this` is not.
pub(crate) fn sentence_ends(text: &str) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        if !matches!(letter, '.' | '?' | '!') {
            continue;
        }
        let mut end = at + letter.len_utf8();
        while let Some((at, closing)) = letters.next_if(|(_, c)| matches!(c, '"' | '\'' | ')' | ']' | '”' | '’')) {
            end = at + closing.len_utf8();
        }
        let rest = &text[end..];
        let next = rest.trim_start();
        if next.len() < rest.len() && !next.starts_with(|c: char| c.is_lowercase()) && !next.is_empty() {
            ends.push(end);
        }
    }
    ends.push(text.len());
    ends
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_sentences_end_where_they_do() {
        let text = "It was \"late.\" Why? See e.g. this one!\n\nEnd";
        let sentences: Vec<usize> = sentence_ends(text);
        let mut start = 0;
        let cut: Vec<&str> = sentences
            .iter()
            .map(|&end| {
                let s = text[start..end].trim();
                start = end;
                s
            })
            .collect();
        assert_eq!(cut, ["It was \"late.\"", "Why?", "See e.g. this one!", "End"]);
        let words: Vec<&str> = word_ends(text).iter().map(|&e| &text[..e]).collect();
        assert_eq!((words.len(), words[1], words[2]), (9, "It was", "It was \"late.\""));
    }

    #[test]
    fn a_folder_without_text_is_an_error() {
        assert!(matches!(Haystack::folder(Path::new("no/such/folder")), Err(TaskError::Io { .. })));
    }

    #[test]
    fn the_filler_is_fixed_by_its_seed() {
        let hay = Haystack::filler();
        assert_eq!(hay.fixed(1, 50), hay.fixed(1, 50));
        assert_ne!(hay.fixed(1, 50), hay.fixed(2, 50));
        assert_ne!(hay.shuffled(&mut Rng::new(1), 50), hay.shuffled(&mut Rng::new(2), 50));
    }
}
