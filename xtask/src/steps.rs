//! Running one command after another, each printed before it runs.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Why a chore ended before its end.
#[derive(Debug)]
pub(crate) struct Failed(pub(crate) String);

/// A line of output; when nobody reads it any more, the chore goes on.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// The cargo that runs this.
pub(crate) fn cargo(root: &Path) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    in_folder(Command::new(program), root)
}

/// A command in the repository, with nothing to read.
pub(crate) fn in_folder(mut command: Command, root: &Path) -> Command {
    command.current_dir(root).stdin(Stdio::null());
    command
}

/// Where cargo puts what it builds.
pub(crate) fn target(root: &Path) -> PathBuf {
    let set = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    root.join(set.unwrap_or_else(|| "target".into()))
}

/// Prints the command and runs it.
///
/// # Errors
/// When it cannot be started or fails.
pub(crate) fn run(command: &mut Command) -> Result<(), Failed> {
    let line = line(command);
    say(&format!("\n$ {line}"));
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failed(format!("{line}: {status}"))),
        Err(error) => Err(Failed(format!("{line}: {error}"))),
    }
}

/// Whether the command can be started and succeeds; nothing is printed.
pub(crate) fn works(command: &mut Command) -> bool {
    let silent = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    silent.status().is_ok_and(|status| status.success())
}

/// The command as it would be typed.
fn line(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let variables = variables.map(|(name, value)| format!("{}={}", name.to_string_lossy(), quoted(value)));
    let words = std::iter::once(command.get_program()).chain(command.get_args()).map(quoted);
    variables.chain(words).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.into_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_printed_as_they_would_be_typed() {
        let mut command = Command::new("cargo");
        command.env("RUSTDOCFLAGS", "-D warnings").args(["doc", "what's this?", ""]);
        assert_eq!(line(&command), "RUSTDOCFLAGS='-D warnings' cargo doc 'what'\\''s this?' ''");
    }

    #[test]
    fn failures_name_the_command() {
        assert!(run(Command::new("true").arg("a")).is_ok());
        let Failed(reason) = run(Command::new("false").arg("a b")).unwrap_err();
        assert!(reason.starts_with("false 'a b': "), "{reason}");
        assert!(!works(&mut Command::new("no-such-program-anywhere")));
    }
}
