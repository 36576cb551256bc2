//! Models on a GPU: an [`Engine`]'s model computed on a [`Device`], with the engine's tokenizer and settings.
//!
//! Weights are dequantised to `bf16` on the way there. The past is kept as every token in `bf16`; other caches are
//! refused.

mod session;
mod upload;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use fourier_kv_cache::{CacheKind, Storage};
use fourier_kv_cuda::attention::Heads;
use fourier_kv_cuda::model::{Batch, ExactPasts, Model, ModelShape, Weights};
pub use fourier_kv_cuda::{Compiler, CudaError, Device, DeviceInfo};
use fourier_kv_model::config::ModelConfig;
use fourier_kv_model::decoder;
use fourier_kv_model::family::RopePairs;
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

    /// Begins a sequence whose past is kept by a cache of this kind.
    ///
    /// # Errors
    /// [`EngineError::DeviceCache`] for a kind that is not there, [`EngineError::Cuda`].
    pub fn session(&self, kind: &CacheKind) -> Result<DeviceSession, EngineError> {
        if !matches!(kind, CacheKind::Exact(Storage::Bf16)) {
            return Err(EngineError::DeviceCache { has: "exact:bf16", got: kind.to_string() });
        }
        let pasts = ExactPasts::new(self.model.device(), self.model.shape(), 1)?;
        Ok(DeviceSession::new(Batch::new(Arc::clone(&self.model), Box::new(pasts))?, kind.to_string()))
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
