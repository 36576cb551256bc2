//! Ctrl-C: the first one asks the work to end cleanly, the second ends the program at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Exit status after Ctrl-C: 128 and the number of the signal, as shells report it.
pub(crate) const EXIT_INTERRUPTED: u8 = 130;

/// A flag that long work looks at between its steps.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// A flag that Ctrl-C raises from now on.
    ///
    /// # Errors
    /// When the system refuses the signal handler.
    pub(crate) fn on_ctrl_c() -> Result<Self, ctrlc::Error> {
        let cancel = Self::default();
        let raised = cancel.clone();
        ctrlc::set_handler(move || {
            if raised.0.swap(true, Ordering::SeqCst) {
                std::process::exit(i32::from(EXIT_INTERRUPTED));
            }
        })?;
        Ok(cancel)
    }

    /// Takes the request back, once it has been followed: the next Ctrl-C is a first one again.
    pub(crate) fn lower(&self) {
        self.0.store(false, Ordering::SeqCst);
    }

    /// Whether the work should end now.
    pub(crate) fn is_raised(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
