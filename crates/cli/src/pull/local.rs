//! A model given by its path: nothing is fetched.

use std::path::{Path, PathBuf};

use super::cached::file_sha256;
use super::error::PullError;
use super::source::Source;
use super::{CachedCheck, PullSettings, Pulled};

/// Looks whether `path` can be a model at all.
pub(super) fn check(model: &str, path: PathBuf, settings: &PullSettings) -> Result<Pulled, PullError> {
    let weights = weight_files(&path)?;
    let length = |file: &PathBuf| Ok(file.metadata().map_err(PullError::read(file))?.len());
    let bytes = weights.iter().map(length).sum::<Result<u64, PullError>>()?;
    let sha256 = match (&weights[..], settings.check) {
        ([file], CachedCheck::Sha256) => Some(file_sha256(file, settings)?),
        _ => None,
    };
    Ok(Pulled { model: model.to_owned(), path, source: Source::Local, bytes, sha256 })
}

/// The .gguf file itself, or the safetensors files of a folder, in the order of their names.
///
/// # Errors
/// [`PullError::NotAModel`] where the path is neither.
pub(super) fn weight_files(path: &Path) -> Result<Vec<PathBuf>, PullError> {
    let not = |found| PullError::NotAModel { path: path.to_owned(), found };
    if !path.is_dir() {
        let is_gguf = has_ending(path, "gguf");
        return is_gguf.then(|| vec![path.to_owned()]).ok_or_else(|| not("the name ends otherwise"));
    }
    if !path.join("config.json").is_file() {
        return Err(not("the folder has no config.json"));
    }
    let entries = std::fs::read_dir(path).map_err(PullError::read(path))?;
    let files = entries.flatten().map(|entry| entry.path());
    let mut weights: Vec<PathBuf> = files.filter(|file| has_ending(file, "safetensors")).collect();
    weights.sort();
    if weights.is_empty() {
        return Err(not("the folder has no *.safetensors"));
    }
    Ok(weights)
}

fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|found| found.eq_ignore_ascii_case(ending))
}
