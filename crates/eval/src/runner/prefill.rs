//! A context read once for all methods.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use fourier_kv_engine::cache::{CacheList, KvCache, TeeCache};
use fourier_kv_engine::model::decoder::LogitRows;
use fourier_kv_engine::{Engine, EngineError, Session};

use super::RunError;
use super::methods::Method;

/// A context as one method holds it.
#[derive(Debug)]
pub struct Held<'e> {
    /// The sequence so far; forked for every question.
    pub session: Session<'e>,
    /// Bytes that the cache holds.
    pub bytes: usize,
}

/// Reads `tokens` and compresses them by every method: one pass of the model. The first is what exact attention in
/// `bf16` holds, then the methods in their order.
///
/// # Errors
/// If there are no tokens, one does not fit the model, or `watch` said to stop.
pub fn prefill<'e>(
    engine: &'e Engine,
    methods: &[Method],
    tokens: &[u32],
    watch: &mut (dyn FnMut() -> ControlFlow<()> + Send),
) -> Result<Vec<Held<'e>>, RunError> {
    let context = engine.cache_context()?;
    let limit = engine.model().config().context_length;
    if tokens.len() > limit {
        return Err(EngineError::PromptTooLong { tokens: tokens.len(), context: limit }.into());
    }
    let build = |method: &Method| method.build(context, tokens.len());
    let caches = methods.iter().map(build).collect::<Result<Vec<Box<dyn KvCache>>, _>>()?;
    let others: CacheList = Arc::new(Mutex::new(caches));
    let exact = super::exact().build(context, None)?;
    let mut session = Session::new(engine, Box::new(TeeCache::new(exact, others.clone())));
    session.prompt(tokens, LogitRows::None, &mut |_| watch())?;
    let exact = session.fork().ok_or(RunError::Fork { method: "exact".to_owned() })?;
    drop(session);
    let caches = std::mem::take(&mut *others.lock().unwrap_or_else(PoisonError::into_inner));
    let resumed = caches.into_iter().zip(methods).map(|(cache, method)| {
        Session::resume(engine, cache, tokens.to_vec()).ok_or_else(|| RunError::Fork { method: method.name.clone() })
    });
    let held = |session: Session<'e>| Held { bytes: session.cache().bytes().total(), session };
    std::iter::once(Ok(exact)).chain(resumed).map(|session| session.map(held)).collect()
}
