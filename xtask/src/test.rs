//! Everything that must hold, cheapest first.

use std::path::Path;
use std::process::Command;

use crate::steps::{Failed, cargo, in_folder, run as step, say, target};
use crate::{fuzz, kernels, references};

/// Runs it all; the first failure ends it.
pub(crate) fn run(root: &Path) -> Result<(), Failed> {
    step(cargo(root).args(["fmt", "--all", "--check"]))?;
    step(cargo(root).args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    let mut doc = cargo(root);
    step(doc.env("RUSTDOCFLAGS", "-D warnings").args(["doc", "--workspace", "--no-deps"]))?;
    // Tests with the real model need it; the product's own command fetches it.
    step(cargo(root).args(["build", "--package", "fourier-kv"]))?;
    let program = target(root).join("debug/fourier-kv");
    step(in_folder(Command::new(program), root).args(["pull", "smollm2"]))?;
    step(cargo(root).args(["test", "--workspace"]))?;
    references::check(root)?;
    kernels::check(root)?;
    fuzz::run(root)?;
    say("\nall tests passed");
    Ok(())
}
