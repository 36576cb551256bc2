//! The model hub: files over HTTP.

use std::path::Path;

use super::error::Miss;
use super::http;
use super::listing::{self, Listed};
use super::part_file::{Expected, Finished, PartFile};
use super::{PullSettings, disk, name};

/// Longest answer that is read as a list of files.
const LISTING_LIMIT: usize = 16 << 20;

/// Where the hub is, and who asks.
#[derive(Clone)]
pub(crate) struct Hub {
    /// Address, without a slash at its end.
    pub(crate) address: String,
    /// Token, for gated models.
    pub(crate) token: Option<String>,
}

/// The token is nobody's business.
impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("address", &self.address).finish_non_exhaustive()
    }
}

/// A file on the hub.
#[derive(Debug, Clone, Copy)]
pub(super) struct HubFile<'a> {
    /// `owner/name`.
    pub(super) repository: &'a str,
    /// Branch or commit.
    pub(super) revision: &'a str,
    /// Path inside the repository.
    pub(super) file: &'a str,
}

/// Fetches one file to `place`.
pub(super) fn fetch(
    file: &HubFile<'_>,
    place: &Path,
    expected: Expected,
    settings: &PullSettings,
) -> Result<Finished, Miss> {
    let HubFile { repository, revision, file: path } = file;
    let url = format!("{}/{repository}/resolve/{revision}/{path}", settings.hub.address);
    stream(&url, place, expected, settings).map_err(|miss| miss.of(&url))
}

fn stream(url: &str, place: &Path, expected: Expected, settings: &PullSettings) -> Result<Finished, Miss> {
    disk::require(&settings.cache, expected.bytes.unwrap_or(0))?;
    let mut body = http::get(url, settings.hub.token.as_deref(), &settings.cancel)?;
    let bytes = expected.bytes.or(body.length);
    let bar = settings.progress.bytes("fetching", bytes);
    let mut part = PartFile::create(place, Expected { bytes, ..expected })?;
    while let Some(block) = body.next_block()? {
        part.append(&block)?;
        bar.inc(block.len() as u64);
    }
    bar.finish_and_clear();
    part.finish()
}

/// The files of a repository's main branch, as far as their names are safe to use.
pub(super) fn list(repository: &str, settings: &PullSettings) -> Result<Vec<Listed>, Miss> {
    // One page, a thousand entries: no repository of one model has more.
    let url = format!("{}/api/models/{repository}/tree/main?recursive=true", settings.hub.address);
    let mut body = http::get(&url, settings.hub.token.as_deref(), &settings.cancel)?;
    let text = body.read_all(LISTING_LIMIT).map_err(|miss| miss.of(&url))?;
    let mut files = listing::parse(&text).map_err(|reason| Miss::pass_over(&url, reason))?;
    files.retain(|file| name::is_safe_path(&file.path));
    Ok(files)
}
