//! Progress bars on the error stream, drawn only where somebody watches.

use std::fmt::{self, Write};
use std::time::Duration;

use indicatif::{HumanDuration, ProgressBar, ProgressState, ProgressStyle};

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

    /// A bar over the tokens of a text.
    pub(crate) fn tokens(&self, label: impl Into<String>, total: usize) -> ProgressBar {
        let template = "{msg} [{bar:30}] {pos}/{len} tokens {rate} {left}";
        self.styled(ProgressBar::new(total as u64), template, label.into())
    }

    /// A bar over work in units of no meaning to people.
    pub(crate) fn share(&self, label: impl Into<String>) -> ProgressBar {
        self.styled(ProgressBar::new(1), "{msg} [{bar:30}] {percent} % {left}", label.into())
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
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ");
        bar.set_style(style.with_key("rate", rate).with_key("left", time_left));
        bar.set_message(label);
        bar
    }
}

/// `410 tok/s`, once there is something to go by.
fn rate(state: &ProgressState, out: &mut dyn Write) {
    let rate = state.per_sec();
    if state.pos() > 0 && rate.is_finite() {
        written(write!(out, "{rate:.0} tok/s"));
    }
}

/// `12 seconds left`, once there is something to go by.
fn time_left(state: &ProgressState, out: &mut dyn Write) {
    if state.pos() > 0 {
        written(write!(out, "{} left", HumanDuration(state.eta())));
    }
}

/// Writing to the bar's text cannot fail, and a bar is not worth an error.
fn written(_: fmt::Result) {}
