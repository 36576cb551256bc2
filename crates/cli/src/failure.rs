//! Everything that ends a command, and the exit status it ends with.

use std::io;

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
    /// The machine could not be measured.
    #[error(transparent)]
    Doctor(#[from] DoctorError),
    /// Standard output cannot be written.
    #[error("cannot write the result: {0}")]
    Output(io::Error),
    /// Ctrl-C cannot be caught.
    #[error("cannot watch for Ctrl-C: {0}")]
    CtrlC(#[from] ctrlc::Error),
}

impl Failure {
    /// The exit status.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage { .. } => EXIT_USAGE,
            Self::Request(RequestError::Text { .. } | RequestError::NoCacheFolder) => EXIT_FAILED,
            Self::Request(_) => EXIT_USAGE,
            Self::Pull(PullError::UnknownModel(_) | PullError::Ambiguous { .. }) => EXIT_USAGE,
            Self::Pull(PullError::Interrupted) | Self::Doctor(DoctorError::Interrupted) => EXIT_INTERRUPTED,
            Self::Pull(_) | Self::Doctor(_) | Self::Output(_) | Self::CtrlC(_) => EXIT_FAILED,
        }
    }

    /// Whether the reader of our output has simply gone, as `head` does: nothing to report.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
