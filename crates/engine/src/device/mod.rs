//! Models on a GPU: an [`Engine`]'s model computed on a [`Device`], with the engine's tokenizer and settings.
//!
//! Weights are dequantised to `bf16` on the way there. The past is kept as every token in `bf16`, or as `fourier` or
//! `spectral`; other caches are refused ([`check`]).

mod caches;
mod fourier;
mod host;
mod session;
mod spectral;
mod upload;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

pub use caches::{DeviceCacheError, check};
use fourier_kv_cache::plan::{Plan, PlanError};
use fourier_kv_cache::spectral::SpectralSettings;
use fourier_kv_cache::{CacheContext, CacheKind};
use fourier_kv_cuda::attention::Heads;
use fourier_kv_cuda::model::SpectralSettings as DeviceSpectralSettings;
use fourier_kv_cuda::model::{
    Batch, ExactPasts, FourierPasts, LAYERS_AT_ONCE, Model, ModelShape, Pasts, SpectralPasts, Weights,
};
pub use fourier_kv_cuda::{Compiler, CudaError, Device, DeviceInfo};
use fourier_kv_kernels::isa::Isa;
use fourier_kv_model::config::ModelConfig;
use fourier_kv_model::decoder;
use fourier_kv_model::family::RopePairs;
use host::Host;
pub use session::DeviceSession;

use crate::{Engine, EngineError};

/// An engine's model on a GPU.
#[derive(Debug)]
pub struct DeviceModel {
    model: Arc<Model>,
}

impl DeviceModel {
    /// Takes the engine's model to `device`. `blas` is the path of cuBLASLt, where it is not found by name; `watch`
    /// hears of matrices that are there, of how many, and may stop.
    ///
    /// # Errors
    /// [`EngineError::Cuda`] if the GPU has too little memory or the model does not suit its kernels, the forward
    /// pass's `Stopped` if `watch` said so.
    pub fn load(
        engine: &Engine,
        device: Arc<Device>,
        blas: Option<&Path>,
        watch: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Self, EngineError> {
        let shape = shape(engine.model())?;
        let mut weights = Weights::new(&device, &shape)?;
        upload::upload(engine, &mut weights, watch)?;
        Ok(DeviceModel { model: Arc::new(Model::new(device, weights, blas)?) })
    }

    /// Begins a sequence of the engine's model whose past is kept by a cache of this kind.
    ///
    /// # Errors
    /// [`EngineError::DeviceCache`] for a kind or a setting that is not there, [`EngineError::Plan`] for a plan of another
    /// model or for nothing, [`EngineError::Cuda`].
    pub fn session(
        &self,
        engine: &Engine,
        kind: &CacheKind,
        plan: Option<Arc<Plan>>,
    ) -> Result<DeviceSession, EngineError> {
        check(kind)?;
        if let Some(plan) = &plan {
            plan.check_model(engine.model().fingerprint(), &engine.model().config().name)?;
        }
        let pasts = self.pasts(engine, kind, plan)?;
        let kind = as_kept(kind, self.model.shape().heads).to_string();
        Ok(DeviceSession::new(Batch::new(Arc::clone(&self.model), pasts)?, kind))
    }

    /// Pasts of one sequence.
    fn pasts(&self, engine: &Engine, kind: &CacheKind, plan: Option<Arc<Plan>>) -> Result<Box<dyn Pasts>, EngineError> {
        let (device, shape) = (self.model.device(), self.model.shape());
        Ok(match kind {
            _ if plan.is_some() && !kind.takes_plan() => {
                return Err(PlanError::NoUse { kind: kind.name() }.into());
            }
            CacheKind::Fourier(settings) => {
                let host = Arc::new(Host::new(engine, 1)?);
                let settings = fourier::settings(settings, shape.heads, plan.as_deref(), host)?;
                Box::new(FourierPasts::new(device, shape, settings, 1)?)
            }
            CacheKind::Spectral(settings) => {
                let host = Arc::new(Host::new(engine, LAYERS_AT_ONCE)?);
                let settings = spectral::settings(settings, shape.heads, plan.as_deref(), host)?;
                Box::new(SpectralPasts::new(device, shape, settings, 1)?)
            }
            _ => Box::new(ExactPasts::new(device, shape, 1)?),
        })
    }

    /// What the GPU said of itself when it was opened.
    pub fn info(&self) -> &DeviceInfo {
        self.model.device().info()
    }

    /// Bytes of the weights on the GPU.
    pub fn weight_bytes(&self) -> usize {
        self.model.weight_bytes()
    }
}

/// What a spectral past on a GPU is like for a model without an engine, whose heads are `heads`; tables are made on `threads`
/// threads.
///
/// # Errors
/// [`EngineError::DeviceCache`] for settings that are not there, [`EngineError::Threads`].
pub fn spectral_settings(
    settings: &SpectralSettings,
    heads: Heads,
    context: CacheContext,
    threads: usize,
) -> Result<DeviceSpectralSettings, EngineError> {
    check(&CacheKind::Spectral(settings.clone()))?;
    let host = Arc::new(Host::of(context, Isa::detect(), (threads, LAYERS_AT_ONCE))?);
    Ok(spectral::settings(settings, heads, None, host)?)
}

/// A kind with the settings that the device follows.
fn as_kept(kind: &CacheKind, heads: Heads) -> CacheKind {
    match kind {
        CacheKind::Spectral(settings) => CacheKind::Spectral(spectral::on_device(settings, heads)),
        other => other.clone(),
    }
}

/// A model's sizes as the device takes them.
fn shape(model: &decoder::Model) -> Result<ModelShape, EngineError> {
    let config: &ModelConfig = model.config();
    if config.attention_output_bias {
        let what = "the bias of the attention's output";
        return Err(CudaError::Shape { what, expected: "absent", got: config.width }.into());
    }
    Ok(ModelShape {
        layers: config.layers,
        heads: Heads { heads: config.heads, kv_heads: config.kv_heads, head_dim: config.head_dim },
        width: config.width,
        hidden: config.hidden,
        vocabulary: config.vocabulary,
        norm_eps: config.norm_eps,
        interleaved: model.rope_pairs() == RopePairs::Interleaved,
        frequencies: config.rope_frequencies(),
        biased: config.attention_bias,
        tied_output: config.tied_output,
    })
}
