//! What can be wrong with a task's files and settings.

use std::path::PathBuf;

/// Why a task, or one document of it, could not be made. None of these ends a run: it is reported by name and the
/// other documents go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// A file or folder could not be read.
    #[error("cannot read {path}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file or folder was read, but what was expected is not in it.
    #[error("{path} has no {expected}")]
    Empty {
        /// The file or folder.
        path: PathBuf,
        /// What was expected there.
        expected: String,
    },
    /// One row of a file cannot be used.
    #[error("{path}, row {row}: {reason}")]
    Row {
        /// The file.
        path: PathBuf,
        /// The row's line in the file, the first being 1.
        row: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of settings or templates cannot be used.
    #[error("{path}: {reason}")]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// What has to be in a document does not fit the length.
    #[error("{task}: {needed} tokens are needed at least; the length allows {length}")]
    TooShort {
        /// The task's name.
        task: String,
        /// Tokens that are allowed.
        length: usize,
        /// Tokens that the smallest document takes, as far as was seen.
        needed: usize,
    },
    /// A setting makes no sense.
    #[error("{task}: {reason}")]
    Setting {
        /// The task's name.
        task: String,
        /// What was expected, and what came.
        reason: String,
    },
    /// A document that the task has not got was asked for.
    #[error("{task} has {count} documents; number {index} (from 0) was asked for")]
    NoSuchDocument {
        /// The task's name.
        task: String,
        /// What was asked for.
        index: usize,
        /// How many there are.
        count: usize,
    },
    /// The tokenizer refused a text.
    #[error("the tokenizer cannot take the text: {0}")]
    Tokens(String),
}
