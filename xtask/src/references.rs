//! The independent references, and the clients of the server: Python scripts with checks of their own, run in a
//! virtual environment below the target folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::steps::{Failed, in_folder, run as step, say, target, works};

/// What the references need.
const REQUIREMENTS: &str = "tools/requirements.txt";
/// Folders of scripts with their checks.
const FOLDERS: [&str; 3] = ["tools/goldens", "bench/peers", "tools/clients"];

/// Runs the checks of every folder that is there.
pub(crate) fn check(root: &Path) -> Result<(), Failed> {
    let folders: Vec<&str> = FOLDERS.into_iter().filter(|folder| root.join(folder).is_dir()).collect();
    if folders.is_empty() {
        say("\nno reference scripts in this tree: nothing to check there");
        return Ok(());
    }
    let python = environment(root)?;
    for folder in folders {
        let mut tests = in_folder(Command::new(&python), root);
        // Nothing is written into the source tree.
        tests.env("PYTHONDONTWRITEBYTECODE", "1");
        step(tests.args(["-m", "unittest", "discover", folder]))?;
    }
    Ok(())
}

/// The Python of a virtual environment that has what the references need.
pub(crate) fn environment(root: &Path) -> Result<PathBuf, Failed> {
    let folder = target(root).join("venv");
    let python = folder.join("bin/python");
    if !works(Command::new(&python).arg("--version")) {
        let system = ["python3", "python"].into_iter().find(|name| works(Command::new(name).arg("--version")));
        let system = system.ok_or_else(|| Failed("the references need python3, which was not found".into()))?;
        step(in_folder(Command::new(system), root).args(["-m", "venv", "--clear"]).arg(&folder))?;
    }
    install(root, &python, REQUIREMENTS)?;
    Ok(python)
}

/// Installs what a file of requirements lists.
pub(crate) fn install(root: &Path, python: &Path, requirements: &str) -> Result<(), Failed> {
    let mut install = in_folder(Command::new(python), root);
    step(install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements]))
}
