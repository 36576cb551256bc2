//! A model named by its place on the hub: the hub is asked what the repository holds.
//!
//! In the cache, `owner/name/file.gguf` becomes `owner--name--file.gguf`, and a safetensors model
//! the folder `owner--name`, which takes its name only when all its files are there.

use std::path::{Path, PathBuf};

use super::error::Miss;
use super::listing::{self, Choice, Listed};
use super::local;
use super::name::HubId;
use super::part_file::{Expected, Finished, PART_ENDING};
use super::{PullError, PullSettings, Pulled, Source, cached, hub, leftovers};

/// Finds or fetches it.
pub(super) fn pull(id: &HubId, settings: &PullSettings) -> Result<Pulled, PullError> {
    leftovers::sweep(&settings.cache);
    settings.order.first(&id.to_string(), |source| match source {
        Source::Local | Source::Cache => from_cache(id, settings),
        Source::Hub => from_hub(id, settings),
        Source::Pip => {
            let reason = "the package registry carries only models with a short name";
            Err(Miss::pass_over(id.to_string(), reason))
        }
    })
}

fn flat(text: &str) -> String {
    text.replace('/', "--")
}

fn gguf_place(repository: &str, file: &str, settings: &PullSettings) -> PathBuf {
    settings.cache.join(format!("{}--{}", flat(repository), flat(file)))
}

fn folder_place(repository: &str, settings: &PullSettings) -> PathBuf {
    settings.cache.join(flat(repository))
}

/// The length and hash of such a file are only known to the hub, which put the file here
/// complete and checked; so this looks whether it is there, and hashes it for the report.
fn from_cache(id: &HubId, settings: &PullSettings) -> Result<Pulled, Miss> {
    let (place, weights) = cached_place(id, settings)?;
    let (mut bytes, mut sha256) = (0, None);
    for file in &weights {
        let found = cached::find(file, &Expected::default(), settings)?;
        bytes += found.0;
        sha256 = found.1;
    }
    let sha256 = sha256.filter(|_| weights.len() == 1);
    Ok(Pulled { model: id.to_string(), path: place, source: Source::Cache, bytes, sha256 })
}

fn cached_place(id: &HubId, settings: &PullSettings) -> Result<(PathBuf, Vec<PathBuf>), Miss> {
    let folder = folder_place(&id.repository, settings);
    if let Some(file) = id.file.as_deref().filter(|file| file.ends_with(".gguf")) {
        let place = gguf_place(&id.repository, file, settings);
        return Ok((place.clone(), vec![place]));
    }
    if let Ok(weights) = local::weight_files(&folder) {
        return Ok((folder, weights));
    }
    let mut files = cached_gguf(&id.repository, settings);
    match (files.len(), &id.file) {
        (1, None) => Ok(files.pop().map(|file| (file.clone(), vec![file])).unwrap_or_default()),
        (0, _) | (_, Some(_)) => Err(Miss::pass_over(folder.display().to_string(), "not there")),
        (several, None) => {
            let reason = format!("{several} files of this repository are there");
            Err(Miss::pass_over(settings.cache.display().to_string(), reason))
        }
    }
}

fn cached_gguf(repository: &str, settings: &PullSettings) -> Vec<PathBuf> {
    let start = format!("{}--", flat(repository));
    let entries = std::fs::read_dir(&settings.cache).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with(&start) && name.ends_with(".gguf")
    });
    ours.map(|entry| entry.path()).collect()
}

fn from_hub(id: &HubId, settings: &PullSettings) -> Result<Pulled, Miss> {
    let files = hub::list(&id.repository, settings)?;
    let asked = format!("{}/{}", settings.hub.address, id.repository);
    let wanted = id.file.as_deref().unwrap_or("*.gguf and no *.safetensors");
    let missing = || Miss::pass_over(asked, format!("the repository has no {wanted}"));
    match listing::choose(id, files)?.ok_or_else(missing)? {
        Choice::Gguf(file) => gguf_from_hub(id, file, settings),
        Choice::Folder(files) => folder_from_hub(id, &files, settings),
    }
}

fn gguf_from_hub(id: &HubId, file: Listed, settings: &PullSettings) -> Result<Pulled, Miss> {
    let place = gguf_place(&id.repository, &file.path, settings);
    let Finished { bytes, sha256 } = fetch(id, &file, &place, settings)?;
    let (model, sha256) = (id.to_string(), Some(sha256));
    Ok(Pulled { model, path: place, source: Source::Hub, bytes, sha256 })
}

fn folder_from_hub(id: &HubId, files: &[Listed], settings: &PullSettings) -> Result<Pulled, Miss> {
    let place = folder_place(&id.repository, settings);
    let name = flat(&id.repository);
    std::fs::create_dir_all(&settings.cache).map_err(PullError::write(&settings.cache))?;
    let needed = files.iter().filter_map(|file| file.expected.bytes).fold(0, u64::saturating_add);
    super::disk::require(&settings.cache, needed)?;
    let prefix = format!("{name}.");
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(PART_ENDING);
    let part = builder.tempdir_in(&settings.cache).map_err(PullError::write(&place))?;
    let (mut bytes, mut hashes) = (0, Vec::new());
    for file in files {
        let finished = fetch(id, file, &part.path().join(&file.path), settings)?;
        if file.path.ends_with(".safetensors") {
            bytes += finished.bytes;
            hashes.push(finished.sha256);
        }
    }
    put_in_place(part, &place)?;
    let sha256 = hashes.pop().filter(|_| hashes.is_empty());
    Ok(Pulled { model: id.to_string(), path: place, source: Source::Hub, bytes, sha256 })
}

/// Gives a complete folder its name; an older one of that name makes way.
fn put_in_place(part: tempfile::TempDir, place: &Path) -> Result<(), PullError> {
    if place.exists() {
        std::fs::remove_dir_all(place).map_err(PullError::write(place))?;
    }
    readable_by_all(part.path());
    std::fs::rename(part.path(), place).map_err(PullError::write(place))?;
    // Renamed away: there is nothing left to remove.
    drop(part.keep());
    Ok(())
}

/// Temporary folders are the user's own by default; a model is like any other folder.
fn readable_by_all(folder: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Others then cannot read it, which hurts nobody's pull.
        let _ = std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755));
    }
}

fn fetch(id: &HubId, file: &Listed, place: &Path, settings: &PullSettings) -> Result<Finished, Miss> {
    let from = hub::HubFile { repository: &id.repository, revision: "main", file: &file.path };
    hub::fetch(&from, place, file.expected.clone(), settings)
}
