//! Why the engine could not do what it was asked.

use fourier_kv_cache::CacheError;
use fourier_kv_cache::park::ParkError;
use fourier_kv_cache::plan::PlanError;
use fourier_kv_model::chat::ChatError;
use fourier_kv_model::decoder::ForwardError;
use fourier_kv_model::error::ModelError;
use fourier_kv_model::tokenizer::TokenizerError;

use crate::sampler::SamplerError;

/// Why the engine could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The model's files.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The tokenizer, or a text it cannot take.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The chat template, or a conversation it refuses.
    #[error(transparent)]
    Chat(#[from] ChatError),
    /// The model has no chat template.
    #[error("the model has no chat template")]
    NoChatTemplate,
    /// The model's chat template does not put turns one after another.
    #[error("the model's chat template has no place for a further turn")]
    NoFurtherTurn,
    /// The cache's settings.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A session that is to be parked, or was.
    #[error(transparent)]
    Park(#[from] ParkError),
    /// How tokens are to be chosen.
    #[error(transparent)]
    Sampler(#[from] SamplerError),
    /// The forward pass.
    #[error(transparent)]
    Forward(#[from] ForwardError),
    /// The GPU.
    #[cfg(feature = "cuda")]
    #[error(transparent)]
    Cuda(#[from] fourier_kv_cuda::CudaError),
    /// A cache that a GPU cannot keep.
    #[cfg(feature = "cuda")]
    #[error(transparent)]
    DeviceCache(#[from] crate::device::DeviceCacheError),
    /// Threads could not be started.
    #[error("cannot start {threads} threads: {reason}")]
    Threads {
        /// Threads asked for.
        threads: usize,
        /// What the system said.
        reason: String,
    },
    /// There is nothing to continue.
    #[error("expected a prompt of at least one token, got none")]
    EmptyPrompt,
    /// The prompt leaves no room for an answer.
    #[error("expected a prompt of fewer than {context} tokens, the model's context, got {tokens}")]
    PromptTooLong {
        /// Tokens of the past and the prompt.
        tokens: usize,
        /// The model's context length.
        context: usize,
    },
    /// An earlier pass of this session ended early: its cache is not whole.
    #[error("this session was stopped in the middle of a pass and cannot go on")]
    Broken,
    /// Too little text to calibrate with.
    #[error("expected a text of at least {expected} tokens to calibrate with, got {got}")]
    ShortText {
        /// Tokens needed.
        expected: usize,
        /// Tokens of the text.
        got: usize,
    },
    /// Sequences that have no middle.
    #[error("expected sequences of at least {expected} tokens to calibrate with, got {got}")]
    ShortSequence {
        /// Tokens needed.
        expected: usize,
        /// Tokens asked for.
        got: usize,
    },
}
