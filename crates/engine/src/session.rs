//! One sequence: its tokens, its cache, and the passes over them.

use std::ops::ControlFlow;

use fourier_kv_cache::KvCache;
use fourier_kv_model::decoder::{Activations, ForwardError, LogitRows, Logits, Progress, Sequence};

use crate::{Engine, EngineError};

/// One sequence of an [`Engine`].
pub struct Session<'e> {
    engine: &'e Engine,
    cache: Box<dyn KvCache>,
    activations: Activations,
    tokens: Vec<u32>,
    broken: bool,
}

impl std::fmt::Debug for Session<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("tokens", &self.tokens.len()).finish_non_exhaustive()
    }
}

impl<'e> Session<'e> {
    /// A sequence in a cache of the caller's own making; [`Engine::session`] makes one of a known kind.
    ///
    /// The cache must be empty and built for the engine's model.
    pub fn new(engine: &'e Engine, cache: Box<dyn KvCache>) -> Self {
        Session { engine, cache, activations: engine.model().activations(), tokens: Vec::new(), broken: false }
    }

    /// Goes on with a cache that holds `tokens`; `None` if it holds another number of them.
    pub fn resume(engine: &'e Engine, cache: Box<dyn KvCache>, tokens: Vec<u32>) -> Option<Self> {
        let holds = cache.len() == tokens.len();
        holds.then(|| Session { tokens, ..Session::new(engine, cache) })
    }

    /// A second session with the same past, that goes on by itself. `None` if the cache cannot be had twice, or a pass
    /// over it has failed.
    pub fn fork(&self) -> Option<Self> {
        let cache = self.cache.fork().filter(|_| !self.broken)?;
        Session::resume(self.engine, cache, self.tokens.clone())
    }

    /// Its tokens and its cache.
    pub(crate) fn into_past(self) -> (Vec<u32>, Box<dyn KvCache>) {
        (self.tokens, self.cache)
    }

    /// The engine that it is a sequence of.
    pub(crate) fn engine(&self) -> &'e Engine {
        self.engine
    }

    /// Whether a pass over it has failed, so that its cache is not whole.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    /// The cache.
    pub fn cache(&self) -> &dyn KvCache {
        self.cache.as_ref()
    }

    /// All tokens that the cache has seen.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// The logits that the last pass was asked for; none if it failed.
    pub fn logits(&self) -> &Logits {
        self.activations.logits()
    }

    /// Makes room for `tokens` more tokens. The steps that follow then allocate nothing, from the second on, as long as
    /// the cache need not begin a new piece of itself ([`KvCache::reserve`]).
    pub fn reserve(&mut self, tokens: usize) {
        self.tokens.reserve(tokens);
        self.cache.reserve(tokens, self.engine.workspace());
        self.engine.workspace().level(1);
    }

    /// Reads a prompt or a further turn, compresses, and returns the logits asked for.
    ///
    /// # Errors
    /// If a token does not fit the model, or `watch` said to stop; the session cannot go on then.
    pub fn prompt(
        &mut self,
        tokens: &[u32],
        logits: LogitRows,
        watch: &mut (dyn FnMut(Progress) -> ControlFlow<()> + Send),
    ) -> Result<&Logits, EngineError> {
        let result = self.pass(tokens, true, logits, watch);
        self.activations.release();
        result?;
        Ok(self.logits())
    }

    /// Appends one token and returns the logits of the next, one a token of the vocabulary. They stay until the next
    /// pass.
    ///
    /// # Errors
    /// If the token does not fit the model.
    pub fn step(&mut self, token: u32) -> Result<&[f32], EngineError> {
        self.pass(&[token], false, LogitRows::Last, &mut |_| ControlFlow::Continue(()))?;
        Ok(self.logits().row(0))
    }

    /// Appends tokens that are known without ending the prompt, and returns the logits asked for.
    ///
    /// # Errors
    /// As [`Session::prompt`].
    pub fn feed(&mut self, tokens: &[u32], logits: LogitRows) -> Result<&Logits, EngineError> {
        self.pass(tokens, false, logits, &mut |_| ControlFlow::Continue(()))?;
        Ok(self.logits())
    }

    fn pass(
        &mut self,
        tokens: &[u32],
        end_of_prompt: bool,
        logits: LogitRows,
        watch: &mut (dyn FnMut(Progress) -> ControlFlow<()> + Send),
    ) -> Result<(), EngineError> {
        if self.broken {
            return Err(EngineError::Broken);
        }
        let Session { engine, cache, activations, .. } = self;
        let mut batch = [Sequence { tokens, cache: cache.as_mut(), end_of_prompt, logits }];
        let result = engine.model().forward(&mut batch, engine.workspace(), activations, watch);
        // Tokens and sizes are checked before anything is appended; after that the cache may be left uneven.
        let untouched = matches!(result, Err(ForwardError::Token { .. } | ForwardError::Shape { .. }));
        self.broken = result.is_err() && !untouched;
        result?;
        self.tokens.extend_from_slice(tokens);
        Ok(())
    }
}
