//! The argument parser's complaints, in the same form as every other error.

use clap::error::{ContextKind, Error, ErrorKind};

use crate::failure::Failure;

/// What a command line that was not parsed comes to.
pub(crate) enum NotParsed {
    /// Help or the version was asked for; the text goes to standard output.
    Asked(String),
    /// It is wrong.
    Wrong(Failure),
}

/// Takes the parser's complaint apart.
pub(crate) fn explain(error: &Error) -> NotParsed {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => NotParsed::Asked(error.to_string()),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let message = "expected a command".to_owned();
            NotParsed::Wrong(Failure::Usage { message, hint: help_hint(error) })
        }
        _ => NotParsed::Wrong(Failure::Usage { message: message(error), hint: hint(error) }),
    }
}

/// The first paragraph of the parser's text, without its `error: `.
fn message(error: &Error) -> String {
    let text = error.to_string();
    let first = text.split("\n\n").next().unwrap_or_default();
    first.strip_prefix("error: ").unwrap_or(first).trim_end().to_owned()
}

/// The parser's own tips, and where to read more.
fn hint(error: &Error) -> String {
    let text = error.to_string();
    let tips = text.lines().filter_map(|line| line.trim().strip_prefix("tip: "));
    let tips: Vec<&str> = tips.collect();
    match tips.is_empty() {
        true => help_hint(error),
        false => tips.join("; "),
    }
}

fn help_hint(error: &Error) -> String {
    let usage = error.get(ContextKind::Usage).map(ToString::to_string).unwrap_or_default();
    let words = usage.trim_start_matches("Usage:").split_whitespace();
    let command: Vec<&str> = words.take_while(|word| !word.starts_with(['[', '<', '-'])).collect();
    match command.is_empty() {
        true => "see 'fourier-kv --help'".to_owned(),
        false => format!("see '{} --help'", command.join(" ")),
    }
}
