//! Progress bars on the error stream, drawn only where somebody watches.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// How often a spinner turns.
const TICK: Duration = Duration::from_millis(120);

/// Makes progress bars, or hidden ones that cost nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    visible: bool,
}

impl Progress {
    /// Bars that are drawn only if `visible`.
    pub(crate) fn new(visible: bool) -> Self {
        Self { visible }
    }

    /// A bar over a number of bytes, or a counter where the number is not known.
    pub(crate) fn bytes(&self, label: impl Into<String>, total: Option<u64>) -> ProgressBar {
        let template = match total {
            Some(_) => "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}",
            None => "{msg} {bytes} {bytes_per_sec}",
        };
        let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
        self.styled(bar, template, label.into())
    }

    /// A spinner, for work whose length is not known.
    pub(crate) fn spinner(&self, label: impl Into<String>) -> ProgressBar {
        let bar = self.styled(ProgressBar::no_length(), "{spinner} {msg}", label.into());
        if self.visible {
            bar.enable_steady_tick(TICK);
        }
        bar
    }

    fn styled(&self, bar: ProgressBar, template: &str, label: String) -> ProgressBar {
        if !self.visible {
            return ProgressBar::hidden();
        }
        let style = ProgressStyle::with_template(template);
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
        bar.set_message(label);
        bar
    }
}
