//! What can go wrong in a run.

use std::path::PathBuf;

use fourier_kv_engine::EngineError;
use fourier_kv_engine::cache::CacheError;
use fourier_kv_engine::model::decoder::ForwardError;

use crate::metrics::divergence::DivergenceError;
use crate::tasks::TaskError;

/// Why a prediction could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The engine refused.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A cache refused.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A document could not be made.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// Logits cannot be compared.
    #[error(transparent)]
    Divergence(#[from] DivergenceError),
    /// A cache cannot be had twice.
    #[error("expected a cache that can be forked for every question, got `{method}`")]
    Fork {
        /// The method.
        method: String,
    },
    /// Nothing to tell the model.
    #[error("expected an answer or a continuation of at least one token, got none")]
    EmptyAnswer,
    /// Nothing to compress.
    #[error("expected a context of at least one token, got none")]
    EmptyContext,
    /// The caller asked to stop.
    #[error("stopped")]
    Interrupted,
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line of earlier predictions cannot be read.
    #[error("{path}: expected a prediction in line {line}, got something else: {reason}")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Why.
        reason: String,
    },
}

impl RunError {
    /// Whether this is the caller's wish, or a failure that every further item would meet too: not to be gone over.
    pub(super) fn ends_the_run(&self) -> bool {
        self.is_stop() || matches!(self, RunError::Io { .. } | RunError::Line { .. })
    }

    /// Whether the caller asked to stop.
    pub fn is_stop(&self) -> bool {
        matches!(self, RunError::Interrupted | RunError::Engine(EngineError::Forward(ForwardError::Stopped)))
    }
}
