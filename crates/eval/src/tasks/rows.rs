//! Rows of files, each of which may be malformed without harm to the others.

use std::fs;
use std::path::{Path, PathBuf};

use super::{TaskError, io};

/// The rows of a file, as far as they could be understood.
#[derive(Clone, Debug)]
pub(crate) struct Rows<T> {
    path: PathBuf,
    /// The line's number from 1, and the row or what is wrong with it.
    rows: Vec<(usize, Result<T, String>)>,
}

impl<T> Rows<T> {
    /// Reads a file line by line, after a number of header lines; blank lines are no rows.
    pub(crate) fn read(
        path: &Path,
        header: usize,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Self, TaskError> {
        let bytes = fs::read(path).map_err(|e| io(path, e))?;
        let mut rows = Vec::new();
        for (i, line) in bytes.split(|&b| b == b'\n').enumerate().skip(header) {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.trim_ascii().is_empty() {
                continue;
            }
            let text = std::str::from_utf8(line).map_err(|e| format!("not UTF-8: {e}"));
            rows.push((i + 1, text.and_then(&parse)));
        }
        if rows.is_empty() {
            return Err(TaskError::Empty { path: path.to_owned(), expected: "rows".into() });
        }
        Ok(Self { path: path.to_owned(), rows })
    }

    /// How many rows there are, with the malformed ones.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Keeps the first rows only.
    pub(crate) fn truncate(&mut self, rows: usize) {
        self.rows.truncate(rows);
    }

    /// Whether a row could be understood.
    pub(crate) fn is_good(&self, index: usize) -> bool {
        self.rows[index].1.is_ok()
    }

    /// A row.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn get(&self, index: usize) -> Result<&T, TaskError> {
        self.rows[index].1.as_ref().map_err(|_| self.failure(index))
    }

    /// What is wrong with a row that is not good.
    pub(crate) fn failure(&self, index: usize) -> TaskError {
        let (row, parsed) = &self.rows[index];
        let reason = parsed.as_ref().err().cloned().unwrap_or_default();
        TaskError::Row { path: self.path.clone(), row: *row, reason }
    }

    /// A row's line number from 1.
    pub(crate) fn line(&self, index: usize) -> usize {
        self.rows[index].0
    }
}
