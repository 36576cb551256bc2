//! The folder of fetched models.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::pull::free_bytes;

/// The folder of fetched models.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ModelCache {
    /// The folder; it may not be there yet.
    pub(crate) folder: PathBuf,
    /// What it holds, in the order of the names.
    pub(crate) models: Vec<CachedModel>,
    /// Bytes free on its disk, where the system says so.
    pub(crate) free_bytes: Option<u64>,
}

/// A file or folder in it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct CachedModel {
    /// Its name.
    pub(crate) name: String,
    /// Its length, with all that is in it.
    pub(crate) bytes: u64,
}

impl ModelCache {
    /// Looks at `folder`.
    pub(super) fn read(folder: &Path) -> Self {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut models: Vec<CachedModel> = entries
            .map(|entry| CachedModel {
                name: entry.file_name().to_string_lossy().into_owned(),
                bytes: length(&entry.path()),
            })
            .collect();
        models.sort_by(|a, b| a.name.cmp(&b.name));
        Self { folder: folder.to_owned(), models, free_bytes: free_bytes(folder) }
    }
}

/// Links are not followed: what they point to is elsewhere, and may point back.
fn length(path: &Path) -> u64 {
    let Ok(metadata) = path.symlink_metadata() else {
        return 0;
    };
    if !metadata.is_dir() {
        return metadata.len();
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| length(&entry.path())).fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_count_with_what_is_in_them() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("b.gguf"), [0; 5]).unwrap();
        std::fs::create_dir_all(folder.path().join("a/deep")).unwrap();
        std::fs::write(folder.path().join("a/deep/file"), [0; 7]).unwrap();
        let cache = ModelCache::read(folder.path());
        let found: Vec<_> = cache.models.iter().map(|m| (m.name.as_str(), m.bytes)).collect();
        assert_eq!(found, [("a", 7), ("b.gguf", 5)]);
        assert!(ModelCache::read(&folder.path().join("no")).models.is_empty());
    }
}
