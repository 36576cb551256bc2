//! Everything that ends a command, and the exit status it ends with.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use fourier_kv_engine::EngineError;
use fourier_kv_engine::cache::plan::PlanError;
use fourier_kv_engine::model::error::ModelError;
use fourier_kv_eval::evaluate::EvaluationError;
use fourier_kv_server::ServeError;

use crate::cancel::EXIT_INTERRUPTED;
use crate::doctor::DoctorError;
use crate::pull::PullError;
use crate::requests::RequestError;

/// Exit status of a command that failed.
const EXIT_FAILED: u8 = 1;
/// Exit status of a command that was typed wrongly.
const EXIT_USAGE: u8 = 2;

/// Why a command ended before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// What was typed cannot be read.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What the parser suggests.
        hint: String,
    },
    /// What was typed makes no sense.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The model could not be got.
    #[error(transparent)]
    Pull(#[from] PullError),
    /// The model could not be opened.
    #[error("{}: {source}", .path.display())]
    Open {
        /// Its file or folder.
        path: PathBuf,
        /// Why.
        source: EngineError,
    },
    /// The model could not be used.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Ctrl-C, before there was a result.
    #[error("interrupted")]
    Interrupted,
    /// The machine could not be measured.
    #[error(transparent)]
    Doctor(#[from] DoctorError),
    /// The evaluation's folder cannot be used.
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
    /// Standard output cannot be written.
    #[error("cannot write the result: {0}")]
    Output(io::Error),
    /// The address cannot be listened on.
    #[error("cannot listen on {at}: {source}")]
    Listen {
        /// Host and port.
        at: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The server ended.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// Ctrl-C cannot be caught.
    #[error("cannot watch for Ctrl-C: {0}")]
    CtrlC(#[from] ctrlc::Error),
}

impl Failure {
    /// The exit status.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage { .. } => EXIT_USAGE,
            Self::Request(RequestError::Text { .. } | RequestError::NotText { .. } | RequestError::NoCacheFolder) => {
                EXIT_FAILED
            }
            Self::Request(_) => EXIT_USAGE,
            Self::Pull(PullError::UnknownModel(_) | PullError::Ambiguous { .. }) => EXIT_USAGE,
            Self::Pull(PullError::Interrupted) | Self::Doctor(DoctorError::Interrupted) => EXIT_INTERRUPTED,
            Self::Interrupted => EXIT_INTERRUPTED,
            Self::Pull(_)
            | Self::Open { .. }
            | Self::Engine(_)
            | Self::Doctor(_)
            | Self::Evaluation(_)
            | Self::Output(_)
            | Self::Listen { .. }
            | Self::Serve(_)
            | Self::CtrlC(_) => EXIT_FAILED,
        }
    }

    /// For `map_err` on opening the model at `path`.
    pub(crate) fn open<E: Into<EngineError>>(path: &Path) -> impl FnOnce(E) -> Self {
        let path = path.to_owned();
        move |error| match error.into() {
            // These say the path themselves.
            error @ EngineError::Model(ModelError::Io { .. } | ModelError::TooLarge { .. }) => Self::Engine(error),
            source => Self::Open { path, source },
        }
    }

    /// What went wrong, with its causes.
    pub(crate) fn message(&self) -> String {
        let mut message = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Many errors say their cause themselves.
            if !message.contains(&text) {
                message += &format!(": {text}");
            }
            cause = error.source();
        }
        message
    }

    /// Whether the reader of our output has simply gone, as `head` does: nothing to report.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        Self::Engine(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_said_once() {
        let source = io::Error::other("the disk is on fire");
        let error = PlanError::Io { action: "write", path: "a.plan".into(), source };
        assert_eq!(Failure::from(error).message(), "cannot write the plan a.plan: the disk is on fire");
        let error = RequestError::Text { what: "b".into(), source: io::Error::other("gone") };
        assert_eq!(Failure::from(error).message(), "cannot read b: gone");
    }
}
