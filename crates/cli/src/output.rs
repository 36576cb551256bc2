//! What the program prints: results on standard output, remarks and errors on the error stream.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::json;

/// Which form results take, and how much is said besides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    /// One JSON object on standard output instead of text.
    pub(crate) json: bool,
    /// No remarks, no progress.
    pub(crate) quiet: bool,
}

impl Output {
    /// The result of a command: `text` for people, or `value` as one JSON object.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(crate) fn result(self, text: &str, value: &impl Serialize) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            serde_json::to_writer(&mut out, value)?;
            writeln!(out)?;
        } else {
            writeln!(out, "{}", text.trim_end())?;
        }
        out.flush()
    }

    /// A remark for people, on the error stream.
    pub(crate) fn remark(self, text: &str) {
        if !self.quiet && !self.json {
            // A closed error stream must not fail the command.
            let _ = writeln!(io::stderr(), "{text}");
        }
    }

    /// A failure: `error: cause`, an empty line, `hint: what to do`; or one JSON object.
    pub(crate) fn failure(self, message: &str, hint: Option<&str>) {
        let written = if self.json {
            let object = json!({ "error": { "message": message, "hint": hint } });
            writeln!(io::stdout(), "{object}")
        } else {
            writeln!(io::stderr(), "{}", failure_text(message, hint))
        };
        // There is nowhere left to report a failure to report a failure.
        drop(written);
    }
}

fn failure_text(message: &str, hint: Option<&str>) -> String {
    match hint {
        Some(hint) => format!("error: {message}\n\nhint: {hint}"),
        None => format!("error: {message}"),
    }
}

/// `98362432` as `98.4 MB`.
pub(crate) fn megabytes(bytes: u64) -> String {
    let amount = bytes as f64;
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{:.1} kB", amount / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", amount / 1e6),
        _ => format!("{:.1} GB", amount / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_in_decimal_units() {
        assert_eq!(megabytes(999), "999 bytes");
        assert_eq!(megabytes(1_500), "1.5 kB");
        assert_eq!(megabytes(98_362_432), "98.4 MB");
        assert_eq!(megabytes(1_117_320_768), "1.1 GB");
    }

    #[test]
    fn a_hint_stands_after_an_empty_line() {
        assert_eq!(failure_text("no", Some("try")), "error: no\n\nhint: try");
        assert_eq!(failure_text("no", None), "error: no");
    }
}
