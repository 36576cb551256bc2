//! Sessions that are put aside on disk and gone on with later, in this process or another.

use std::path::Path;

use fourier_kv_cache::park::{ParkError, Parked, ToPark, park_file};

use crate::{Engine, EngineError, Session};

impl Session<'_> {
    /// Writes the session to a file, its tokens and its cache, and returns how many bytes that takes. The file is
    /// written beside `path` and renamed: it is whole, or as it was before.
    ///
    /// # Errors
    /// If a pass of the session has failed, its cache cannot be parked, or the file cannot be written.
    pub fn park(&self, path: &Path) -> Result<u64, EngineError> {
        if self.is_broken() {
            return Err(EngineError::Broken);
        }
        let model = self.engine().model();
        let session = ToPark {
            model: &model.config().name,
            fingerprint: model.fingerprint(),
            tokens: self.tokens(),
            cache: self.cache(),
        };
        Ok(park_file(path, session)?)
    }
}

impl Engine {
    /// Goes on with a session that [`Session::park`] wrote. Its cache is the one that was parked, bit by bit, so it
    /// answers as the one that was parked would have, on any number of threads. A fingerprint is the same for every
    /// quantisation of a model: with other weights of it, the past is the old one and what follows is theirs.
    ///
    /// # Errors
    /// If the file cannot be read, is damaged, or was made with another model.
    pub fn unpark(&self, path: &Path) -> Result<Session<'_>, EngineError> {
        self.resume_parked(Parked::open(path)?)
    }

    /// As [`Engine::unpark`], of a session whose head has been read.
    ///
    /// # Errors
    /// If it is damaged, or was made with another model.
    pub fn resume_parked(&self, parked: Parked<'_>) -> Result<Session<'_>, EngineError> {
        let config = self.model().config();
        parked.check_model(self.model().fingerprint(), &config.name)?;
        if let Some(token) = parked.head().tokens.iter().find(|&&token| token as usize >= config.vocabulary) {
            let expected = format!("tokens below {}", config.vocabulary);
            return Err(ParkError::content(*b"toks", expected, token).into());
        }
        let (cache, tokens) = parked.unpark(self.cache_context()?)?;
        Session::resume(self, cache, tokens).ok_or(EngineError::Broken)
    }
}
