//! What of the processor's work goes into pasts on a GPU: choices and tables that are made from a prompt.

use fourier_kv_cache::{CacheContext, CacheShape, Workspace};
use fourier_kv_kernels::isa::Isa;
use fourier_kv_kernels::team::Team;

use crate::{Engine, EngineError};

/// Threads, working memory and what the model's weights say of its heads.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) context: CacheContext,
    pub(super) workspace: Workspace,
}

impl Host {
    /// With threads of its own: they work while the engine waits for the GPU.
    pub(super) fn new(engine: &Engine) -> Result<Self, EngineError> {
        Host::of(engine.cache_context()?.clone(), engine.workspace().isa(), engine.threads())
    }

    /// With three of four of so many threads: others wait for the GPU and feed it, and a team is as fast as its slowest.
    pub(super) fn of(context: CacheContext, isa: Isa, threads: usize) -> Result<Self, EngineError> {
        let threads = (threads * 3 / 4).max(1);
        let team = Team::new(threads).map_err(|error| EngineError::Threads { threads, reason: error.to_string() })?;
        Ok(Host { context, workspace: Workspace::with_team(isa, team) })
    }

    pub(super) fn shape(&self) -> &CacheShape {
        &self.context.shape
    }
}
