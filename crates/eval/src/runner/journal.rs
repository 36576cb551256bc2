//! `predictions.jsonl`: what has been done, so that a run that was stopped goes on where it was.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::RunError;
use crate::prediction::Prediction;

/// What tells one prediction from all others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The task.
    pub task: String,
    /// The document.
    pub document: String,
    /// The question.
    pub question: String,
    /// The method.
    pub method: String,
    /// When it compressed.
    pub when: String,
}

impl From<&Prediction> for Key {
    fn from(p: &Prediction) -> Self {
        Key {
            task: p.task.clone(),
            document: p.document.clone(),
            question: p.question.clone(),
            method: p.method.clone(),
            when: p.when.clone(),
        }
    }
}

/// The file of predictions, open for more.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    done: HashSet<Key>,
    predictions: Vec<Prediction>,
}

impl Journal {
    /// Opens a file or begins one. A last line that was cut short is taken back: what it told of is done again.
    ///
    /// # Errors
    /// If the file cannot be read or written, or an earlier line is no prediction.
    pub fn open(path: &Path) -> Result<Self, RunError> {
        let io = |source| RunError::Io { path: path.to_owned(), source };
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(io)?;
        let whole = text.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        file.set_len(whole as u64).map_err(io)?;
        file.seek(SeekFrom::End(0)).map_err(io)?;
        let mut journal = Journal { path: path.to_owned(), file, done: HashSet::new(), predictions: Vec::new() };
        for (i, line) in text[..whole].split(|&b| b == b'\n').enumerate().filter(|(_, line)| !line.is_empty()) {
            let prediction: Prediction = serde_json::from_slice(line).map_err(|e| RunError::Line {
                path: path.to_owned(),
                line: i + 1,
                reason: e.to_string(),
            })?;
            // A line that is there twice counts once.
            if journal.done.insert(Key::from(&prediction)) {
                journal.predictions.push(prediction);
            }
        }
        Ok(journal)
    }

    /// Whether a prediction is there.
    pub fn has(&self, key: &Key) -> bool {
        self.done.contains(key)
    }

    /// Writes a prediction, whole, before it counts as done.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn add(&mut self, prediction: Prediction) -> Result<(), RunError> {
        let io = |source| RunError::Io { path: self.path.clone(), source };
        let mut line = serde_json::to_string(&prediction).map_err(|e| io(e.into()))?;
        line.push('\n');
        self.file.write_all(line.as_bytes()).map_err(io)?;
        self.done.insert(Key::from(&prediction));
        self.predictions.push(prediction);
        Ok(())
    }

    /// All predictions, in the order in which they were made.
    pub fn predictions(&self) -> &[Prediction] {
        &self.predictions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prediction(question: &str) -> Prediction {
        Prediction { task: "t".into(), question: question.into(), text: "a\nb".into(), ..Prediction::default() }
    }

    #[test]
    fn what_was_written_is_there_again_and_cut_lines_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("predictions.jsonl");
        let mut journal = Journal::open(&path).unwrap();
        for question in ["one", "two", "three"] {
            journal.add(prediction(question)).unwrap();
        }
        drop(journal);
        let whole = std::fs::read(&path).unwrap();
        let second = whole.iter().position(|&b| b == b'\n').unwrap() + 1;
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let mut journal = Journal::open(&path).unwrap();
            let lines = whole[..cut].iter().filter(|&&b| b == b'\n').count();
            assert_eq!(journal.predictions().len(), lines, "cut at {cut}");
            for question in ["one", "two", "three"] {
                if !journal.has(&Key::from(&prediction(question))) {
                    journal.add(prediction(question)).unwrap();
                }
            }
            drop(journal);
            assert_eq!(std::fs::read(&path).unwrap(), whole, "cut at {cut}");
        }
        let mut broken = whole.clone();
        broken[second] = b'x';
        std::fs::write(&path, &broken).unwrap();
        let error = Journal::open(&path).unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
    }
}
