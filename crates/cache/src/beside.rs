//! Files that are whole or not there: written beside their place and renamed.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Lets `write` fill a file beside `path`, has the system store it, and renames it to `path`. After an error nothing is
/// left behind, and what was at `path` is as it was.
pub(crate) fn write_beside<E: From<io::Error>>(
    path: &Path,
    write: impl FnOnce(&mut File) -> Result<(), E>,
) -> Result<(), E> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let beside = path.with_file_name(name);
    let written = File::create(&beside).map_err(E::from).and_then(|mut file| {
        write(&mut file)?;
        file.sync_all()?;
        Ok(fs::rename(&beside, path)?)
    });
    if written.is_err() {
        // The part file may not exist; the error that matters is the first.
        let _ = fs::remove_file(&beside);
    }
    written
}
