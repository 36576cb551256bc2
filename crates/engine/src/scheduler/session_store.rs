//! Sessions: pasts with a name, held in memory or parked on disk.
//!
//! A session's file lies in a folder of its owner's, under the session's id; both are made here and never come from
//! outside. Files are written beside and renamed, with checksums: what was parked before a crash is whole, and what is
//! damaged is seen.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fourier_kv_cache::KvCache;
use fourier_kv_cache::park::{ParkError, ToPark, park_file};

use super::job::Owner;
use crate::Engine;

/// Sessions that one owner may have.
const MOST: usize = 1000;
/// The folder of an owner without a name.
const NOBODY: &str = "open";
/// What files of sessions end with.
const ENDING: &str = "session";

/// A session, as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// Its name.
    pub id: String,
    /// Where its past is.
    pub place: SessionPlace,
    /// Tokens of its past, as far as that is known without reading its file.
    pub tokens: usize,
    /// Bytes that the past holds in memory.
    pub bytes: usize,
    /// Bytes of its file.
    pub file_bytes: u64,
}

/// Where a session's past is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionPlace {
    /// Nowhere: there is none yet.
    Empty,
    /// In memory.
    Held,
    /// With a job.
    Busy,
    /// On disk.
    Parked,
}

/// Why a session could not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The owner has no such session.
    #[error("there is no session '{0}'")]
    Unknown(String),
    /// A job goes on with it.
    #[error("the session is in use by another request")]
    Busy,
    /// It has no past that could be written.
    #[error("the session is empty: nothing has been said in it")]
    Empty,
    /// The owner has too many.
    #[error("expected at most {MOST} sessions")]
    TooMany,
    /// There is nowhere to put it.
    #[error("this engine has no folder for sessions")]
    NoFolder,
    /// There is no room for its past in memory.
    #[error("the session needs {0} bytes, and running requests leave fewer")]
    NoRoom(usize),
    /// Its file could not be written or read.
    #[error("{0}")]
    File(String),
    /// The disk is full.
    #[error("the disk is full: {0}")]
    DiskFull(String),
    /// Its file is damaged, or was made with another model.
    #[error("{0}")]
    Damaged(String),
    /// Nobody is there to do it.
    #[error("the engine is stopping")]
    Stopping,
}

/// A past, as a session hands it out and takes it back.
pub(super) type Past = (Vec<u32>, Box<dyn KvCache>);

enum State {
    Empty,
    Held(Past),
    Busy,
    Parked { tokens: usize, file_bytes: u64 },
}

struct Entry {
    owner: Owner,
    state: State,
    used: Instant,
}

/// All sessions.
pub(super) struct SessionStore {
    folder: Option<PathBuf>,
    all: HashMap<String, Entry>,
}

impl SessionStore {
    /// The sessions that the folder has.
    pub(super) fn open(folder: Option<PathBuf>) -> Self {
        let mut all = HashMap::new();
        for owner in folder.iter().flat_map(|folder| entries(folder)).filter(|path| path.is_dir()) {
            let Some(name) = owner.file_name().and_then(|name| name.to_str()) else { continue };
            let whose = Owner(if name == NOBODY { String::new() } else { name.to_owned() });
            for file in entries(&owner) {
                if let Some(id) = id_of(&file) {
                    let file_bytes = file.metadata().map_or(0, |data| data.len());
                    let state = State::Parked { tokens: 0, file_bytes };
                    all.insert(id, Entry { owner: whose.clone(), state, used: Instant::now() });
                }
            }
        }
        SessionStore { folder, all }
    }

    /// Bytes of all pasts in memory.
    pub(super) fn bytes(&self) -> usize {
        self.held().map(|(_, (_, cache))| cache.bytes().total()).sum()
    }

    /// The pasts in memory, with their owners.
    pub(super) fn held(&self) -> impl Iterator<Item = (&Owner, &Past)> {
        self.all.values().filter_map(|entry| match &entry.state {
            State::Held(past) => Some((&entry.owner, past)),
            _ => None,
        })
    }

    /// A new session of this name.
    pub(super) fn create(&mut self, owner: &Owner, id: String) -> Result<SessionInfo, SessionError> {
        if self.all.values().filter(|entry| entry.owner == *owner).count() >= MOST {
            return Err(SessionError::TooMany);
        }
        let entry = Entry { owner: owner.clone(), state: State::Empty, used: Instant::now() };
        self.all.insert(id.clone(), entry);
        self.info(owner, &id)
    }

    /// The owner's sessions, in the order of their names.
    pub(super) fn list(&self, owner: &Owner) -> Vec<SessionInfo> {
        let own = self.all.iter().filter(|(_, entry)| entry.owner == *owner);
        let mut infos: Vec<SessionInfo> = own.map(|(id, entry)| entry.info(id)).collect();
        infos.sort_by(|a, b| a.id.cmp(&b.id));
        infos
    }

    pub(super) fn info(&self, owner: &Owner, id: &str) -> Result<SessionInfo, SessionError> {
        Ok(self.entry(owner, id)?.info(id))
    }

    /// Hands out a session's past, reading its file if it is parked; the session is busy until [`SessionStore::put`].
    pub(super) fn take(&mut self, engine: &Engine, owner: &Owner, id: &str) -> Result<Option<Past>, SessionError> {
        if matches!(self.entry(owner, id)?.state, State::Parked { .. }) {
            self.restore(engine, owner, id, usize::MAX)?;
        }
        let entry = self.entry_mut(owner, id)?;
        match std::mem::replace(&mut entry.state, State::Busy) {
            State::Held(past) => Ok(Some(past)),
            State::Busy => Err(SessionError::Busy),
            State::Empty | State::Parked { .. } => Ok(None),
        }
    }

    /// Takes a past back, or nothing: then the session is empty. A file with an older past is removed.
    pub(super) fn put(&mut self, id: &str, past: Option<Past>) {
        if let Some(entry) = self.all.get_mut(id) {
            entry.state = past.map_or(State::Empty, State::Held);
            entry.used = Instant::now();
        }
    }

    /// Writes a session's past to its file and gives its memory back.
    pub(super) fn save(&mut self, engine: &Engine, owner: &Owner, id: &str) -> Result<SessionInfo, SessionError> {
        let path = self.path(owner, id)?;
        let entry = self.entry_mut(owner, id)?;
        match &entry.state {
            State::Held((tokens, cache)) => {
                let file_bytes = write(engine, &path, tokens, cache.as_ref())?;
                entry.state = State::Parked { tokens: tokens.len(), file_bytes };
            }
            State::Busy => return Err(SessionError::Busy),
            State::Empty => return Err(SessionError::Empty),
            State::Parked { .. } => {}
        }
        self.info(owner, id)
    }

    /// Reads a parked session's past into memory, if it takes no more than `most` bytes.
    pub(super) fn restore(
        &mut self,
        engine: &Engine,
        owner: &Owner,
        id: &str,
        most: usize,
    ) -> Result<SessionInfo, SessionError> {
        let path = self.path(owner, id)?;
        let entry = self.entry_mut(owner, id)?;
        match entry.state {
            State::Parked { .. } => {
                let (tokens, cache) = read(engine, &path)?;
                let bytes = cache.bytes().total();
                if bytes > most {
                    return Err(SessionError::NoRoom(bytes));
                }
                entry.state = State::Held((tokens, cache));
                entry.used = Instant::now();
            }
            State::Busy => return Err(SessionError::Busy),
            State::Held(_) | State::Empty => {}
        }
        self.info(owner, id)
    }

    /// Forgets a session and removes its file.
    pub(super) fn delete(&mut self, owner: &Owner, id: &str) -> Result<SessionInfo, SessionError> {
        let info = self.info(owner, id)?;
        if info.place == SessionPlace::Busy {
            return Err(SessionError::Busy);
        }
        if let Ok(path) = self.path(owner, id)
            && path.exists()
        {
            std::fs::remove_file(&path).map_err(|e| SessionError::File(format!("the file stays: {e}")))?;
        }
        self.all.remove(id);
        Ok(info)
    }

    /// Parks the past that was not used for the longest time, or drops it where it cannot be parked: what was said
    /// comes again with the next request. False if none is in memory.
    pub(super) fn make_room(&mut self, engine: &Engine) -> bool {
        let held = self.all.iter().filter(|(_, entry)| matches!(entry.state, State::Held(_)));
        let oldest = held.min_by_key(|(_, entry)| entry.used).map(|(id, entry)| (id.clone(), entry.owner.clone()));
        let Some((id, owner)) = oldest else { return false };
        if self.save(engine, &owner, &id).is_err() {
            self.put(&id, None);
        }
        true
    }

    /// Parks what has been in memory without use for so long. What cannot be parked stays.
    pub(super) fn park_idle(&mut self, engine: &Engine, longer_than: Duration) {
        if self.folder.is_none() {
            return;
        }
        let is_idle = |entry: &Entry| matches!(entry.state, State::Held(_)) && entry.used.elapsed() >= longer_than;
        let idle = self.all.iter().filter(|(_, entry)| is_idle(entry));
        let idle: Vec<(String, Owner)> = idle.map(|(id, entry)| (id.clone(), entry.owner.clone())).collect();
        for (id, owner) in idle {
            if self.save(engine, &owner, &id).is_err()
                && let Some(entry) = self.all.get_mut(&id)
            {
                // Tried again after as long a time.
                entry.used = Instant::now();
            }
        }
    }

    fn entry(&self, owner: &Owner, id: &str) -> Result<&Entry, SessionError> {
        let entry = self.all.get(id).filter(|entry| entry.owner == *owner);
        entry.ok_or_else(|| SessionError::Unknown(id.to_owned()))
    }

    fn entry_mut(&mut self, owner: &Owner, id: &str) -> Result<&mut Entry, SessionError> {
        let entry = self.all.get_mut(id).filter(|entry| entry.owner == *owner);
        entry.ok_or_else(|| SessionError::Unknown(id.to_owned()))
    }

    /// The file of a session that is known; its name so is one that was made here.
    fn path(&self, owner: &Owner, id: &str) -> Result<PathBuf, SessionError> {
        self.entry(owner, id)?;
        let folder = self.folder.as_ref().ok_or(SessionError::NoFolder)?;
        let whose = if owner.0.is_empty() { NOBODY } else { &owner.0 };
        Ok(folder.join(whose).join(id).with_extension(ENDING))
    }
}

impl Entry {
    fn info(&self, id: &str) -> SessionInfo {
        let (place, tokens, bytes, file_bytes) = match &self.state {
            State::Empty => (SessionPlace::Empty, 0, 0, 0),
            State::Held((tokens, cache)) => (SessionPlace::Held, tokens.len(), cache.bytes().total(), 0),
            State::Busy => (SessionPlace::Busy, 0, 0, 0),
            State::Parked { tokens, file_bytes } => (SessionPlace::Parked, *tokens, 0, *file_bytes),
        };
        SessionInfo { id: id.to_owned(), place, tokens, bytes, file_bytes }
    }
}

fn write(engine: &Engine, path: &Path, tokens: &[u32], cache: &dyn KvCache) -> Result<u64, SessionError> {
    let folder = path.parent().ok_or(SessionError::NoFolder)?;
    std::fs::create_dir_all(folder).map_err(|e| file_error(&e, format!("cannot make {}: {e}", folder.display())))?;
    let model = engine.model();
    let session = ToPark { model: &model.config().name, fingerprint: model.fingerprint(), tokens, cache };
    park_file(path, session).map_err(|e| park_error(&e))
}

fn read(engine: &Engine, path: &Path) -> Result<Past, SessionError> {
    let session = engine.unpark(path).map_err(|e| match e {
        crate::EngineError::Park(error) => park_error(&error),
        other => SessionError::Damaged(other.to_string()),
    })?;
    Ok(session.into_past())
}

/// An error with its causes, so that the system's own words are among them.
fn park_error(error: &ParkError) -> SessionError {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text += &format!(": {error}");
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return file_error(io, text);
        }
        cause = error.source();
    }
    SessionError::Damaged(text)
}

fn file_error(error: &std::io::Error, text: String) -> SessionError {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    match error.kind() {
        StorageFull | QuotaExceeded | FileTooLarge => SessionError::DiskFull(text),
        _ => SessionError::File(text),
    }
}

/// What lies in a folder; nothing if it cannot be read.
fn entries(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect()
}

/// The session whose file this is.
fn id_of(file: &Path) -> Option<String> {
    let is_session = file.extension().is_some_and(|ending| ending == ENDING) && file.is_file();
    is_session.then(|| file.file_stem()?.to_str().map(str::to_owned))?
}
