//! The local cache: files that an earlier pull left, looked at before they are used.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::error::{Miss, PullError};
use super::part_file::{Expected, hex, wrong_sha256};
use super::{CachedCheck, PullSettings};

/// Read at a time while hashing.
const BLOCK: usize = 1 << 20;

/// The file at `path`, if it is what is expected.
///
/// Returns its length, and its SHA-256 where [`CachedCheck::Sha256`] asks for it.
///
/// # Errors
/// Passes over a file that is not there or differs; stops on Ctrl-C.
pub(super) fn find(path: &Path, expected: &Expected, settings: &PullSettings) -> Result<(u64, Option<String>), Miss> {
    let miss = |reason: String| Miss::pass_over(path.display().to_string(), reason);
    let metadata = path.metadata().map_err(|error| miss(absence(&error)))?;
    if !metadata.is_file() {
        return Err(miss("not a file".to_owned()));
    }
    if let Some(bytes) = expected.bytes.filter(|&bytes| bytes != metadata.len()) {
        return Err(miss(format!("expected {bytes} bytes, found {}", metadata.len())));
    }
    if settings.check == CachedCheck::Length {
        return Ok((metadata.len(), None));
    }
    let found = file_sha256(path, settings)?;
    match &expected.sha256 {
        Some(sha256) if *sha256 != found => Err(miss(wrong_sha256(sha256, &found))),
        _ => Ok((metadata.len(), Some(found))),
    }
}

fn absence(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "not there".to_owned(),
        _ => error.to_string(),
    }
}

/// SHA-256 of a whole file, in lower-case hex.
pub(super) fn file_sha256(path: &Path, settings: &PullSettings) -> Result<String, PullError> {
    let mut file = File::open(path).map_err(PullError::read(path))?;
    let length = file.metadata().map_err(PullError::read(path))?.len();
    let bar = settings.progress.bytes("checking", Some(length));
    let mut hasher = Sha256::new();
    let mut block = vec![0; BLOCK];
    loop {
        if settings.cancel.is_raised() {
            return Err(PullError::Interrupted);
        }
        let read = file.read(&mut block).map_err(PullError::read(path))?;
        if read == 0 {
            bar.finish_and_clear();
            return Ok(hex(&hasher.finalize()));
        }
        hasher.update(&block[..read]);
        bar.inc(read as u64);
    }
}
