//! The main job from nothing.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::long_text::{self, QUESTION};
use crate::options::TextOptions;
use crate::steps::{Failed, cargo, in_folder, run as step, say, target};

/// Builds the program, writes the text, and asks about it.
pub(crate) fn run(root: &Path) -> Result<(), Failed> {
    step(cargo(root).args(["build", "--release", "--package", "fourier-kv"]))?;
    let program = target(root).join("release/fourier-kv");
    step(in_folder(Command::new(&program), root).args(["pull", "smollm2"]))?;
    say("\n$ cargo xtask long-text");
    write_text(root, &[])?;
    step(&mut ask(root, &program))
}

fn ask(root: &Path, program: &Path) -> Command {
    let mut command = in_folder(Command::new(program), root);
    command.args(["run", "-m", "smollm2", "--cache", "spectral", "--file"]);
    command.arg(place(root)).arg(QUESTION);
    command
}

fn place(root: &Path) -> PathBuf {
    target(root).join("demo/long.txt")
}

/// Writes the text, beside its place first.
pub(crate) fn write_text(root: &Path, words: &[String]) -> Result<(), Failed> {
    let options = TextOptions::read(words)?;
    let output = options.output.unwrap_or_else(|| place(root));
    let text = long_text::write(options.stations, options.seed);
    let failed = |error| Failed(format!("{}: {error}", output.display()));
    if let Some(folder) = output.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let part = output.with_added_extension("part");
    std::fs::write(&part, &text).and_then(|()| std::fs::rename(&part, &output)).map_err(failed)?;
    say(&format!("{}: {} words", output.display(), text.split_whitespace().count()));
    Ok(())
}
