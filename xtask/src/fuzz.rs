//! A short run of every fuzz target on its kept corpus.

use std::path::Path;

use crate::steps::{Failed, cargo, in_folder, run as step, say, target, works};

/// Seconds a target.
const SECONDS: u32 = 20;

/// Fuzzes, or says why it did not.
pub(crate) fn run(root: &Path) -> Result<(), Failed> {
    if !root.join("fuzz/Cargo.toml").is_file() {
        say("\nno fuzz targets in this tree");
        return Ok(());
    }
    if !works(cargo(root).args(["fuzz", "--version"])) {
        say("\nno fuzzing: cargo-fuzz is not installed ('cargo install --locked cargo-fuzz')");
        say("the parsers' smoke tests, which cargo test has run, stand alone this time");
        return Ok(());
    }
    // Seeds are kept as text; this makes the folders of bytes that a fuzzer wants.
    step(in_folder(cargo(root), &root.join("fuzz")).args(["run", "--quiet", "--package", "make_corpus"]))?;
    targets(root)?.iter().try_for_each(|name| fuzz(root, name))
}

/// One target. The pinned stable compiler is let use what fuzzing needs: the instrumentation is
/// unstable, the code that is fuzzed is compiled by the compiler that ships it.
fn fuzz(root: &Path, name: &str) -> Result<(), Failed> {
    // libFuzzer adds what it finds to the first folder: the kept corpus stays as it is.
    let found = target(root).join("fuzz-corpus").join(name);
    std::fs::create_dir_all(&found).map_err(|error| Failed(format!("{}: {error}", found.display())))?;
    let mut command = cargo(root);
    command.env("RUSTC_BOOTSTRAP", "1").args(["fuzz", "run", "--sanitizer", "none", name]).arg(found);
    let kept = root.join("fuzz/corpus").join(name);
    command.arg(kept);
    command.args(["--", &format!("-max_total_time={SECONDS}"), "-rss_limit_mb=2048", "-timeout=10"]);
    step(&mut command)
}

fn targets(root: &Path) -> Result<Vec<String>, Failed> {
    let output = cargo(root).args(["fuzz", "list"]).output().map_err(|error| Failed(error.to_string()))?;
    let names: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    match output.status.success() && !names.is_empty() {
        true => Ok(names),
        false => Err(Failed("cargo fuzz list names no target".to_owned())),
    }
}
