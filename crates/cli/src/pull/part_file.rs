//! A file while it is being fetched: written beside its place as `NAME.XXXXXX.part`, hashed on the
//! way, and renamed only when it is complete and checked.
//!
//! The name of the part is unique, so two processes that fetch the same model do not touch each
//! other's bytes; whichever is second replaces a file by an equal one. A part that is dropped
//! before [`PartFile::finish`] is removed.

use std::io::Write;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::disk;
use super::error::{Miss, PullError};
use crate::output::megabytes;

/// What is known beforehand of a file to fetch.
#[derive(Debug, Clone, Default)]
pub(super) struct Expected {
    /// Its length.
    pub(super) bytes: Option<u64>,
    /// Its SHA-256, in lower-case hex.
    pub(super) sha256: Option<String>,
}

/// A file that is complete.
#[derive(Debug, Clone)]
pub(super) struct Finished {
    /// Its length.
    pub(super) bytes: u64,
    /// Its SHA-256, in lower-case hex.
    pub(super) sha256: String,
}

/// A file that is not complete yet.
pub(super) struct PartFile {
    part: NamedTempFile,
    hasher: Sha256,
    written: u64,
    expected: Expected,
    place: PathBuf,
}

/// Ending of files and folders that are not complete.
pub(super) const PART_ENDING: &str = ".part";

impl PartFile {
    /// Starts a file that will be at `place`; fails at once where it cannot fit.
    pub(super) fn create(place: &Path, expected: Expected) -> Result<Self, PullError> {
        let folder = place.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(PullError::write(folder))?;
        disk::require(folder, expected.bytes.unwrap_or(0))?;
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        let prefix = format!("{name}.");
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(PART_ENDING);
        readable_by_all(&mut builder);
        let part = builder.tempfile_in(folder).map_err(PullError::write(place))?;
        let hasher = Sha256::new();
        Ok(Self { part, hasher, written: 0, expected, place: place.to_owned() })
    }

    /// Adds bytes at the end.
    ///
    /// # Errors
    /// Passes the source over when it sends more than was expected; stops on a full disk.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), Miss> {
        let length = self.written + bytes.len() as u64;
        if let Some(expected) = self.expected.bytes.filter(|&expected| length > expected) {
            let reason = format!("expected {expected} bytes, more came");
            return Err(Miss::pass_over("", reason));
        }
        self.part.write_all(bytes).map_err(|error| self.write_error(error))?;
        self.hasher.update(bytes);
        self.written = length;
        Ok(())
    }

    /// Checks length and SHA-256, makes sure that the bytes are on the disk, and gives the file
    /// its name.
    pub(super) fn finish(self) -> Result<Finished, Miss> {
        if let Some(expected) = self.expected.bytes.filter(|&bytes| bytes != self.written) {
            let reason = format!("expected {expected} bytes, {} came", self.written);
            return Err(Miss::pass_over("", reason));
        }
        self.part.as_file().sync_all().map_err(|error| self.write_error(error))?;
        let sha256 = hex(&self.hasher.finalize());
        if let Some(expected) = self.expected.sha256.filter(|expected| *expected != sha256) {
            return Err(Miss::pass_over("", wrong_sha256(&expected, &sha256)));
        }
        let place = self.place;
        self.part.persist(&place).map_err(|failed| PullError::write(&place)(failed.error))?;
        tracing::info!(path = %place.display(), size = megabytes(self.written), "written");
        Ok(Finished { bytes: self.written, sha256 })
    }

    fn write_error(&self, error: std::io::Error) -> PullError {
        if !disk::is_full(&error) {
            return PullError::write(&self.place)(error);
        }
        let folder = self.place.parent().unwrap_or(Path::new(".")).to_owned();
        // What was written here is given back when the part is removed.
        let free = disk::free_bytes(&folder).unwrap_or(0).saturating_add(self.written);
        let needed = self.expected.bytes.unwrap_or(self.written).max(self.written + 1);
        PullError::DiskFull { folder, needed, free }
    }
}

/// Temporary files are the user's own by default; a model is like any other file.
#[cfg(unix)]
fn readable_by_all(builder: &mut tempfile::Builder<'_, '_>) {
    use std::os::unix::fs::PermissionsExt;
    builder.permissions(std::fs::Permissions::from_mode(0o666));
}

#[cfg(not(unix))]
fn readable_by_all(_builder: &mut tempfile::Builder<'_, '_>) {}

/// Bytes in lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The same words wherever a hash differs.
pub(super) fn wrong_sha256(expected: &str, found: &str) -> String {
    format!("expected SHA-256 {expected}, got {found}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(bytes: u64, sha256: &str) -> Expected {
        Expected { bytes: Some(bytes), sha256: Some(sha256.to_owned()) }
    }

    /// SHA-256 of "abc", from FIPS 180-2, appendix B.1.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn fetch(expected: Expected, chunks: &[&str]) -> (Result<Finished, Miss>, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("deep/model.gguf");
        let mut part = PartFile::create(&place, expected).unwrap();
        let appended = chunks.iter().try_for_each(|chunk| part.append(chunk.as_bytes()));
        let finished = appended.and_then(|()| part.finish());
        let entries = std::fs::read_dir(place.parent().unwrap()).unwrap();
        let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        (finished, names)
    }

    #[test]
    fn a_complete_file_takes_its_name() {
        let (finished, names) = fetch(expected(3, ABC), &["a", "bc"]);
        let finished = finished.unwrap();
        assert_eq!((finished.bytes, finished.sha256.as_str()), (3, ABC));
        assert_eq!(names, ["model.gguf"]);
    }

    #[test]
    fn wrong_bytes_leave_nothing() {
        for chunks in [&["ab"][..], &["abcd"], &["abd"], &["abc", ""], &["ab", "cd"]] {
            let (finished, names) = fetch(expected(3, ABC), chunks);
            let right = chunks.concat() == "abc";
            assert_eq!(finished.is_ok(), right, "{chunks:?}");
            assert_eq!(names.len(), usize::from(right), "{chunks:?}");
        }
    }
}
