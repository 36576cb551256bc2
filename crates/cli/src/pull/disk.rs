//! How much fits on the disk.

use std::io;
use std::path::Path;

use super::error::PullError;

/// Bytes free to this user in `folder`; `None` where the system does not say.
///
/// A folder that is not there yet will be on the disk of the nearest one above that is.
#[cfg(unix)]
pub(crate) fn free_bytes(folder: &Path) -> Option<u64> {
    let there = folder.ancestors().find(|ancestor| ancestor.is_dir())?;
    let stat = rustix::fs::statvfs(there).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

/// Bytes free to this user in `folder`; `None`, as the system was not asked.
#[cfg(not(unix))]
pub(crate) fn free_bytes(_folder: &Path) -> Option<u64> {
    None
}

/// Refuses before anything is fetched when `needed` bytes do not fit into `folder`.
pub(super) fn require(folder: &Path, needed: u64) -> Result<(), PullError> {
    match free_bytes(folder) {
        Some(free) if free < needed => Err(PullError::DiskFull { folder: folder.to_owned(), needed, free }),
        _ => Ok(()),
    }
}

/// Whether a write failed because nothing more fits.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_any_disk_holds_is_refused() {
        let folder = std::env::temp_dir();
        assert!(require(&folder, 1).is_ok());
        let refused = require(&folder, u64::MAX);
        assert!(matches!(refused, Err(PullError::DiskFull { needed: u64::MAX, .. })));
    }
}
