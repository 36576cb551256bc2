//! What every command works with.

use crate::cancel::Cancel;
use crate::environment::Environment;
use crate::output::Output;
use crate::progress::Progress;

/// The surroundings of one command, and how it speaks and ends.
#[derive(Debug)]
pub(crate) struct Session {
    /// What was found around the program.
    pub(crate) environment: Environment,
    /// Where results and remarks go.
    pub(crate) output: Output,
    /// Draws bars.
    pub(crate) progress: Progress,
    /// Raised by Ctrl-C.
    pub(crate) cancel: Cancel,
}

/// How a command that gave a result ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It did what it was asked.
    Done,
    /// Ctrl-C came, and the result is what there was until then.
    Interrupted,
}
