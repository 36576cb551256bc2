//! Parts that a killed process left behind.

use std::path::Path;
use std::time::{Duration, SystemTime};

use super::part_file::PART_ENDING;

/// A living pull writes every few seconds, or gives up; after an hour without a change its
/// process is gone.
const ABANDONED_AFTER: Duration = Duration::from_secs(3600);

/// Removes the parts in `cache` that nobody writes any more. What cannot be looked at or removed
/// stays: it is only tidying.
pub(super) fn sweep(cache: &Path) {
    let Ok(entries) = std::fs::read_dir(cache) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let is_part = entry.file_name().to_string_lossy().ends_with(PART_ENDING);
        if is_part && is_abandoned(&path) {
            let removed = match path.is_dir() {
                true => std::fs::remove_dir_all(&path),
                false => std::fs::remove_file(&path),
            };
            tracing::info!(path = %path.display(), ok = removed.is_ok(), "removed an old part");
        }
    }
}

fn is_abandoned(path: &Path) -> bool {
    let age = last_change(path).and_then(|time| SystemTime::now().duration_since(time).ok());
    age.is_some_and(|age| age > ABANDONED_AFTER)
}

/// The newest change of a file, or of a folder and what lies in it.
fn last_change(path: &Path) -> Option<SystemTime> {
    let own = path.symlink_metadata().ok()?.modified().ok()?;
    let inside = std::fs::read_dir(path).into_iter().flatten().flatten();
    let newest = inside.filter_map(|entry| last_change(&entry.path())).max();
    Some(newest.map_or(own, |newest| newest.max(own)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn only_old_parts_are_removed() {
        let cache = tempfile::tempdir().unwrap();
        let old = SystemTime::now() - 2 * ABANDONED_AFTER;
        for (name, time) in [("a.part", old), ("b.part", SystemTime::now()), ("c.gguf", old)] {
            File::create(cache.path().join(name)).unwrap().set_modified(time).unwrap();
        }
        let folder = cache.path().join("d.part");
        std::fs::create_dir(&folder).unwrap();
        File::create(folder.join("new")).unwrap();
        File::open(&folder).unwrap().set_modified(old).unwrap();
        sweep(cache.path());
        let left = |name: &str| cache.path().join(name).exists();
        assert_eq!(["a.part", "b.part", "c.gguf", "d.part"].map(left), [false, true, true, true]);
    }
}
