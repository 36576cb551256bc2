//! Why a model could not be got.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::source::Source;
use crate::output::megabytes;

/// One source that was asked and did not have the model.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// The source.
    pub(crate) source: Source,
    /// What was asked of it: a path, an address, a command.
    pub(crate) asked: String,
    /// Why that failed.
    pub(crate) reason: String,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.source, self.asked, self.reason)
    }
}

/// Why there is no model on the disk.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PullError {
    /// Neither a short name, nor a hub id, nor a path.
    #[error("unknown model '{0}'")]
    UnknownModel(String),
    /// A path with nothing there.
    #[error("there is no model at {}", .0.display())]
    NoSuchPath(PathBuf),
    /// A path with something else there.
    #[error("{}: expected a .gguf file, or a folder with config.json and *.safetensors, but {found}", .path.display())]
    NotAModel {
        /// The path.
        path: PathBuf,
        /// What is there.
        found: &'static str,
    },
    /// A repository with several models in it.
    #[error("{repository} holds {} models; expected one:\n  {}", .choices.len(), .choices.join("\n  "))]
    Ambiguous {
        /// `owner/name`.
        repository: String,
        /// The hub ids of the models in it.
        choices: Vec<String>,
    },
    /// No source had it.
    #[error("could not get the model {model}; tried{}", list(.tried))]
    NotFound {
        /// The model as it was asked for.
        model: String,
        /// Every source that was asked.
        tried: Vec<Attempt>,
    },
    /// The disk is full, or would be.
    #[error("the disk is full: {} needed in {}, {} free ({needed} and {free} bytes)",
        megabytes(*.needed), .folder.display(), megabytes(*.free))]
    DiskFull {
        /// Where the model was to go.
        folder: PathBuf,
        /// Bytes that the model takes there.
        needed: u64,
        /// Bytes that there were.
        free: u64,
    },
    /// A file or folder of the cache cannot be written.
    #[error("cannot write {}: {source}", .path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

impl PullError {
    /// For `map_err` on writes below `path`.
    pub(super) fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Write { path, source }
    }

    /// For `map_err` on reads of `path`.
    pub(super) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Read { path, source }
    }
}

fn list(tried: &[Attempt]) -> String {
    tried.iter().map(|attempt| format!("\n  {attempt}")).collect()
}

/// Why one source did not deliver.
#[derive(Debug)]
pub(crate) enum Miss {
    /// The next source may.
    PassOver {
        /// What was asked of it: a path, an address, a command.
        asked: String,
        /// Why that failed.
        reason: String,
    },
    /// No other source would either: a full disk, Ctrl-C.
    Stop(Box<PullError>),
}

impl Miss {
    /// Goes on with the next source.
    pub(super) fn pass_over(asked: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::PassOver { asked: asked.into(), reason: reason.into() }
    }

    /// The same miss, of something else that was asked.
    pub(super) fn of(self, asked: &str) -> Self {
        match self {
            Self::PassOver { reason, .. } => Self::pass_over(asked, reason),
            stop @ Self::Stop(_) => stop,
        }
    }
}

impl From<PullError> for Miss {
    fn from(error: PullError) -> Self {
        Self::Stop(Box::new(error))
    }
}
