//! What of the processor's work goes into pasts on a GPU: choices and tables that are made from a prompt.

use fourier_kv_cache::{CacheContext, CacheShape, Workspace};
use fourier_kv_kernels::isa::Isa;
use fourier_kv_kernels::team::Team;

use crate::{Engine, EngineError};

/// Threads, working memory and what the model's weights say of its heads.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) context: CacheContext,
    /// Of the teams among which threads are divided; at least one.
    workspaces: Vec<Workspace>,
}

impl Host {
    /// With threads of its own, in so many teams: they work while the engine waits for the GPU.
    pub(super) fn new(engine: &Engine, teams: usize) -> Result<Self, EngineError> {
        Host::of(engine.cache_context()?.clone(), engine.workspace().isa(), (engine.threads(), teams))
    }

    /// With three of four of so many threads: others wait for the GPU and feed it, and a team is as fast as its slowest.
    pub(super) fn of(context: CacheContext, isa: Isa, (threads, teams): (usize, usize)) -> Result<Self, EngineError> {
        let threads = (threads * 3 / 4 / teams.max(1)).max(1);
        let team = || Team::new(threads).map_err(|e| EngineError::Threads { threads, reason: e.to_string() });
        let workspaces = (0..teams.max(1)).map(|_| Ok(Workspace::with_team(isa, team()?)));
        Ok(Host { context, workspaces: workspaces.collect::<Result<_, EngineError>>()? })
    }

    /// Of the team for a layer: another one than those of the layers before it.
    pub(super) fn workspace(&self, layer: usize) -> &Workspace {
        &self.workspaces[layer % self.workspaces.len()]
    }

    pub(super) fn shape(&self) -> &CacheShape {
        &self.context.shape
    }
}
