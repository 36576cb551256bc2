//! How many bytes a job's past may come to hold.

use std::sync::Arc;

use fourier_kv_cache::plan::Plan;
use fourier_kv_cache::{CacheKind, CacheShape, PromptSize, Storage};
use fourier_kv_model::decoder::TILE;

use super::SchedulerOptions;
use super::job::Job;
use crate::Engine;

/// Tokens that caches make room for at a time; in long pasts a sixteenth of them.
const ROOM: usize = 256;

/// Foretells bytes, and says how many there are.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    /// Bytes that all pasts may hold.
    pub(super) total: usize,
    kind: CacheKind,
    plan: Option<Arc<Plan>>,
    shape: Arc<CacheShape>,
}

impl Budget {
    pub(super) fn new(engine: &Engine, options: &SchedulerOptions) -> Self {
        Budget {
            total: options.cache_bytes,
            kind: options.cache.clone(),
            plan: options.plan.clone(),
            shape: Arc::new(engine.model().cache_shape()),
        }
    }

    /// What a job may come to hold if nothing of its prompt is held yet: a past an answer, and a layer that is exact
    /// while the prompt is read.
    pub(super) fn of_job(&self, job: &Job) -> usize {
        let tokens = job.prompt.len();
        let past = self.of_past(tokens, self.of_prompt(tokens), job.options.max_tokens);
        job.answers.saturating_mul(past).saturating_add(self.one_layer(tokens))
    }

    /// What a past of `tokens`, that holds so many bytes, may come to hold with up to `more` tokens.
    pub(super) fn of_past(&self, tokens: usize, bytes: usize, more: usize) -> usize {
        let exact = bytes.saturating_add(self.growth(tokens, more));
        let size = PromptSize { tokens, tile: TILE };
        let foretold = self.kind.at_most(&self.shape, self.plan.as_ref(), size, more);
        foretold.ok().flatten().map_or(exact, |most| exact.min(most.max(bytes)))
    }

    /// What a prompt takes when it has been read.
    fn of_prompt(&self, tokens: usize) -> usize {
        let size = PromptSize { tokens, tile: TILE };
        let foretold = self.kind.expected_bytes(&self.shape, self.plan.as_ref(), size);
        // The cache was built once with these settings, so they are good; and exact bytes are the most there can be.
        foretold.map_or_else(|_| self.exact(tokens + ROOM), |bytes| bytes.total())
    }

    /// What up to `more` tokens add to a past of `held`, if none of them is compressed.
    fn growth(&self, held: usize, more: usize) -> usize {
        let room = if more <= ROOM { 0 } else { ROOM + held.saturating_add(more) / 16 };
        self.exact(more.saturating_add(room))
    }

    /// What exact keys and values of so many tokens take.
    pub(super) fn exact(&self, tokens: usize) -> usize {
        self.shape.exact_bytes(1, self.width()).saturating_mul(tokens)
    }

    /// The one layer of a prompt that is exact while it is read.
    fn one_layer(&self, tokens: usize) -> usize {
        self.exact(tokens) / self.shape.layers.max(1)
    }

    /// Bytes of a number that is kept as it is.
    fn width(&self) -> usize {
        match &self.kind {
            CacheKind::Exact(storage) => storage.width(),
            CacheKind::Fourier(settings) => settings.exact.width(),
            CacheKind::Evicting(_) | CacheKind::Quantised(_) | CacheKind::LowRank(_) | CacheKind::Spectral(_) => {
                Storage::Bf16.width()
            }
        }
    }
}
