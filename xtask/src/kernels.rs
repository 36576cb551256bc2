//! The GPU's kernels, compiled without a GPU: NVRTC comes from the package registry.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::references::{environment, install};
use crate::steps::{Failed, cargo, in_folder, run as step};

/// What holds the compiler.
const REQUIREMENTS: &str = "tools/kernels.txt";
/// Prints where it was installed.
const WHERE: &str = "import glob, os, nvidia
print(next(iter(glob.glob(os.path.join(list(nvidia.__path__)[0], '*', 'lib', 'libnvrtc.so.*')))))";

/// Compiles every kernel for the processors that it is written for, and lints what needs the feature `cuda`.
pub(crate) fn check(root: &Path) -> Result<(), Failed> {
    let python = environment(root)?;
    install(root, &python, REQUIREMENTS)?;
    let mut test = cargo(root);
    test.env("FOURIER_KV_NVRTC", compiler(root, &python)?);
    step(test.args(["test", "--package", "fourier-kv-cuda", "--test", "kernels", "--", "--nocapture"]))?;
    let with_cuda = ["--package", "fourier-kv", "--features", "cuda"];
    for package in ["fourier-kv-engine", "fourier-kv"] {
        let linted = ["--package", package, "--features", "cuda", "--all-targets"];
        step(cargo(root).arg("clippy").args(linted).args(["--", "-D", "warnings"]))?;
    }
    step(cargo(root).arg("test").args(with_cuda).args(["--bins"]))
}

/// The library that pip installed.
fn compiler(root: &Path, python: &Path) -> Result<PathBuf, Failed> {
    let failed = |reason: String| Failed(format!("where NVRTC was installed is not known: {reason}"));
    let output = in_folder(Command::new(python), root).args(["-c", WHERE]).output();
    let output = output.map_err(|error| failed(error.to_string()))?;
    let path = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !output.status.success() || path.is_empty() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    Ok(PathBuf::from(path))
}
