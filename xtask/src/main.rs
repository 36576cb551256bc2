//! The project's own chores, run as `cargo xtask CHORE`.
//!
//! - `demo`: the main job from nothing: build, fetch the default model, write a long text, ask
//! - `test`: everything that must hold, as continuous integration runs it
//! - `long-text`: the text of the demo alone
//!
//! Every command that a chore runs is printed before it runs.

#![forbid(unsafe_code)]

mod demo;
mod fuzz;
mod kernels;
mod long_text;
mod options;
mod references;
mod steps;
mod test;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use steps::{Failed, say};

const HELP: &str = "\
usage: cargo xtask CHORE

  demo                      build, fetch the default model, write a long text, ask about it
  test                      formatting, lints, documentation, all tests, references, fuzzing
  long-text [OPTIONS]       write the demo's text
      --output FILE         where to  [default: target/demo/long.txt]
      --stations N          how long: about 118 tokens a station  [default: 52]
      --seed N              another seed, another text  [default: 1]
  help                      this text";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match chore(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed(reason)) => {
            say(&format!("error: {reason}"));
            ExitCode::FAILURE
        }
    }
}

fn chore(words: &[String]) -> Result<(), Failed> {
    let root = repository();
    match words.split_first() {
        Some((chore, [])) if chore == "demo" => demo::run(&root),
        Some((chore, [])) if chore == "test" => test::run(&root),
        Some((chore, options)) if chore == "long-text" => demo::write_text(&root, options),
        Some((chore, _)) if ["help", "--help", "-h"].contains(&chore.as_str()) => {
            say(HELP);
            Ok(())
        }
        _ => Err(Failed(format!("unknown chore '{}'\n\n{HELP}", words.join(" ")))),
    }
}

/// The folder that the workspace is in.
fn repository() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}
