//! From the model that was named to one that can be used.

use std::num::NonZeroUsize;
#[cfg(feature = "cuda")]
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

#[cfg(feature = "cuda")]
use fourier_kv_engine::EngineError;
use fourier_kv_engine::cache::plan::Plan;
use fourier_kv_engine::cache::{ByteBudget, CacheKind, PromptSize};
#[cfg(feature = "cuda")]
use fourier_kv_engine::device::{self, Compiler, DeviceModel};
#[cfg(feature = "cuda")]
use fourier_kv_engine::model::decoder::ForwardError;
use fourier_kv_engine::model::decoder::TILE;
use fourier_kv_engine::{Engine, EngineOptions};

use crate::args::SourceArgs;
use crate::failure::Failure;
use crate::pull::{self, Pulled};
use crate::requests::{CacheRequest, Machine, PullRequest};
use crate::session::Session;

/// The model's place on the disk; fetches it if it is not there.
pub(crate) fn model(name: &str, sources: &SourceArgs, session: &Session) -> Result<Pulled, Failure> {
    let helpers = (session.progress, &session.cancel);
    let request = PullRequest::new(name, sources, &session.environment, helpers)?.for_use();
    Ok(pull::resolve(&request.model, &request.settings)?)
}

/// The cache that was asked for: with a budget of memory, at the rate that this leaves for a prompt and `more` tokens.
pub(crate) fn cache(
    engine: &Engine,
    request: &CacheRequest,
    plan: Option<&Arc<Plan>>,
    (prompt, more): (usize, usize),
) -> Result<CacheKind, Failure> {
    let Some(bytes) = request.memory else { return Ok(request.kind.clone()) };
    let budget = ByteBudget { bytes, prompt: PromptSize { tokens: prompt, tile: TILE }, more };
    let kind = request.kind.within(&budget, &engine.model().cache_shape(), plan);
    kind.map_err(|error| Failure::Engine(error.into()))
}

/// The model, ready to compute on the processor; what takes it to a GPU needs it, too.
pub(crate) fn engine(path: &Path, machine: Machine) -> Result<Engine, Failure> {
    let options = EngineOptions { threads: NonZeroUsize::new(machine.threads), isa: Some(machine.isa) };
    Engine::load(path, &options).map_err(Failure::open(path))
}

/// The model on GPU `number`. Compiled kernels are kept beside the models.
#[cfg(feature = "cuda")]
pub(crate) fn on_gpu(engine: &Engine, number: usize, session: &Session) -> Result<DeviceModel, Failure> {
    let kernels = session.environment.model_cache.as_deref().map(|models| models.with_file_name("fourier-kv-kernels"));
    let compiler = Compiler::new(None, kernels).map_err(EngineError::from)?;
    let device = Arc::new(device::Device::open(number, compiler).map_err(EngineError::from)?);
    let model = DeviceModel::load(engine, device, None, &mut |_, _| match session.cancel.is_raised() {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    });
    match model {
        Err(EngineError::Forward(ForwardError::Stopped)) => Err(Failure::Interrupted),
        model => Ok(model?),
    }
}
