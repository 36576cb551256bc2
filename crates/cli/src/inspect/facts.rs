//! What a model's files say of it.

use std::path::{Path, PathBuf};

use fourier_kv_engine::EngineError;
use fourier_kv_engine::model::config::{ModelConfig, RopeScaling};
use fourier_kv_engine::model::error::ModelError;
use fourier_kv_engine::model::source::ModelSource;
use fourier_kv_engine::model::weights::Role;
use serde::Serialize;

/// A model, without its weights.
#[derive(Debug, Serialize)]
pub(super) struct ModelFacts {
    /// The .gguf file or the folder.
    pub(super) path: PathBuf,
    /// Shape and constants.
    #[serde(flatten)]
    pub(super) config: ModelConfig,
    /// Whether it says how conversations are written.
    pub(super) chat_template: bool,
    /// The same for every quantisation of one set of weights.
    pub(super) fingerprint: String,
    /// Bytes of all weights.
    pub(super) weights_bytes: usize,
    /// How many numbers the weights are.
    pub(super) parameters: usize,
    /// The types that weights are stored in, the largest part first.
    pub(super) weights: Vec<WeightFacts>,
}

/// The weights that are stored in one type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct WeightFacts {
    /// The type, as GGUF files name it.
    #[serde(rename = "type")]
    pub(super) ty: String,
    /// Tensors of it.
    pub(super) tensors: usize,
    /// Their bytes.
    pub(super) bytes: usize,
}

impl ModelFacts {
    pub(super) fn new(path: &Path, source: &ModelSource, fingerprint: String) -> Result<Self, EngineError> {
        let (weights, parameters) = weights(source)?;
        Ok(ModelFacts {
            path: path.to_owned(),
            config: source.config.clone(),
            chat_template: source.chat_template.is_some(),
            fingerprint,
            weights_bytes: source.weights.bytes(),
            parameters,
            weights,
        })
    }
}

/// Weights by type, and the count of their numbers; an output matrix that is the embedding counts once.
fn weights(source: &ModelSource) -> Result<(Vec<WeightFacts>, usize), ModelError> {
    let mut types: Vec<WeightFacts> = Vec::new();
    let mut parameters = 0;
    let shared = |role: Role| role == Role::Output && source.config.tied_output;
    for role in Role::all(&source.config).into_iter().filter(|&role| !shared(role)) {
        let matrix = source.weights.matrix(role)?;
        parameters += matrix.rows() * matrix.cols();
        let ty = matrix.ty().to_string();
        let known = types.iter().position(|facts| facts.ty == ty).unwrap_or_else(|| {
            types.push(WeightFacts { ty, tensors: 0, bytes: 0 });
            types.len() - 1
        });
        types[known].tensors += 1;
        types[known].bytes += matrix.bytes().len();
    }
    types.sort_by_key(|facts| std::cmp::Reverse(facts.bytes));
    Ok((types, parameters))
}

/// `theta 10000`, and how it is scaled.
pub(super) fn rope_text(config: &ModelConfig) -> String {
    let scaling = match &config.rope.scaling {
        RopeScaling::None => String::new(),
        RopeScaling::Linear { factor } => format!(", all frequencies divided by {factor}"),
        RopeScaling::Llama3 { factor, original_context, .. } => {
            format!(", low frequencies divided by {factor} (llama3, {original_context} tokens before)")
        }
        RopeScaling::FrequencyFactors { factors } => {
            let most = factors.iter().copied().fold(1.0, f32::max);
            format!(", frequencies divided by up to {most} (factors in the file)")
        }
    };
    format!("theta {}{scaling}", config.rope.theta)
}
