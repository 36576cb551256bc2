//! A model's shape and constants, the same whatever file they were read from.

use serde::Serialize;

use crate::error::ConfigError;
use crate::family::Family;

/// Larger dimensions than this are a damaged file: it keeps every product of two from overflowing.
const MAX_DIMENSION: usize = 1 << 28;
const MAX_LAYERS: usize = 1 << 12;

/// What the forward pass needs to know besides the weights.
///
/// Letters: L layers, H query heads, G key/value heads, D head dims. Values are checked when a
/// model is opened: no dimension is zero, H is a multiple of G, D is even.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelConfig {
    /// The family.
    pub family: Family,
    /// The model's own name; empty where its files do not give one.
    pub name: String,
    /// L: layers.
    pub layers: usize,
    /// H: query heads.
    pub heads: usize,
    /// G: key/value heads.
    pub kv_heads: usize,
    /// D: dims of a head.
    pub head_dim: usize,
    /// Width of the residual stream. H times D may differ from it.
    pub width: usize,
    /// Width of the feed-forward layers.
    pub hidden: usize,
    /// Number of tokens in the vocabulary.
    pub vocabulary: usize,
    /// Tokens that the model was trained to see at once.
    pub context_length: usize,
    /// What RMS norms add to the mean square.
    pub norm_eps: f32,
    /// Rotary positions.
    pub rope: RopeConfig,
    /// Whether the output matrix is the token embedding.
    pub tied_output: bool,
    /// Whether query, key and value projections have biases.
    pub attention_bias: bool,
    /// Whether the attention's output projection has a bias.
    pub attention_output_bias: bool,
    /// The token that texts begin with.
    pub bos: Option<u32>,
    /// The tokens that end a text or a turn.
    pub eos: Vec<u32>,
}

/// Rotary positions: dims pair `i` turns by `theta^(-2 i / D)` radians a token, then scaled.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RopeConfig {
    /// The base of the frequencies.
    pub theta: f64,
    /// How the frequencies are scaled for long contexts.
    pub scaling: RopeScaling,
}

/// How rotary frequencies are scaled for long contexts.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// All are divided by a factor.
    Linear {
        /// The factor.
        factor: f64,
    },
    /// Low frequencies are divided by a factor, high ones kept, those between interpolated.
    Llama3 {
        /// The factor.
        factor: f64,
        /// Pairs that turn fewer times than this within the original context are divided.
        low_freq_factor: f64,
        /// Pairs that turn more times than this within the original context are kept.
        high_freq_factor: f64,
        /// The context length before scaling, in tokens.
        original_context: usize,
    },
    /// Each is divided by a factor of its own (D/2 of them): how GGUF files hold the `llama3` kind.
    FrequencyFactors {
        /// The factors.
        factors: Vec<f32>,
    },
}

impl ModelConfig {
    /// Checks what the decoder relies on.
    ///
    /// # Errors
    ///
    /// Names the first value that is out of range or contradicts another.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let dimensions = [
            ("layers", self.layers, MAX_LAYERS),
            ("heads", self.heads, MAX_DIMENSION),
            ("kv_heads", self.kv_heads, MAX_DIMENSION),
            ("head_dim", self.head_dim, MAX_DIMENSION),
            ("width", self.width, MAX_DIMENSION),
            ("hidden", self.hidden, MAX_DIMENSION),
            ("vocabulary", self.vocabulary, MAX_DIMENSION),
            ("context_length", self.context_length, u32::MAX as usize),
        ];
        for (key, value, limit) in dimensions {
            require(key, value, (1..=limit).contains(&value), || format!("1 to {limit}"))?;
        }
        let (heads, kv_heads) = (self.heads, self.kv_heads);
        require("heads", heads, heads.is_multiple_of(kv_heads), || {
            format!("a multiple of the {kv_heads} key/value heads")
        })?;
        let even = self.head_dim.is_multiple_of(2);
        require("head_dim", self.head_dim, even, || "an even number".to_owned())?;
        let query_width = heads.saturating_mul(self.head_dim);
        require("heads * head_dim", query_width, query_width <= MAX_DIMENSION, || format!("at most {MAX_DIMENSION}"))?;
        let eps = self.norm_eps;
        require("norm_eps", eps, (0.0..1.0).contains(&eps), || "from 0 to 1".to_owned())?;
        for &id in self.bos.iter().chain(&self.eos) {
            require("token id", id, (id as usize) < self.vocabulary, || {
                format!("below the vocabulary's {}", self.vocabulary)
            })?;
        }
        self.rope.validate(self.head_dim)
    }
}

/// That a value is as it should be.
pub(crate) fn require<T: ToString>(
    key: &str,
    found: T,
    holds: bool,
    expected: impl FnOnce() -> String,
) -> Result<(), ConfigError> {
    if holds {
        return Ok(());
    }
    Err(ConfigError::Value { key: key.to_owned(), expected: expected(), found: found.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> ModelConfig {
        ModelConfig {
            family: Family::Llama,
            name: "tiny".to_owned(),
            layers: 2,
            heads: 6,
            kv_heads: 2,
            head_dim: 8,
            width: 48,
            hidden: 80,
            vocabulary: 96,
            context_length: 256,
            norm_eps: 1e-5,
            rope: RopeConfig { theta: 1e4, scaling: RopeScaling::None },
            tied_output: false,
            attention_bias: false,
            attention_output_bias: false,
            bos: Some(1),
            eos: vec![2, 3],
        }
    }

    #[track_caller]
    fn refused(change: impl FnOnce(&mut ModelConfig), key: &str) {
        let mut config = config();
        change(&mut config);
        match config.validate() {
            Err(ConfigError::Value { key: found, .. }) => assert_eq!(found, key),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_value_that_the_decoder_relies_on_is_checked() {
        assert_eq!(config().validate(), Ok(()));
        refused(|c| c.layers = 0, "layers");
        refused(|c| c.layers = 5000, "layers");
        refused(|c| c.heads = 0, "heads");
        refused(|c| c.heads = 5, "heads");
        refused(|c| c.kv_heads = 0, "kv_heads");
        refused(|c| c.head_dim = 7, "head_dim");
        refused(|c| c.head_dim = 1 << 28, "heads * head_dim");
        refused(|c| c.width = usize::MAX, "width");
        refused(|c| c.hidden = 0, "hidden");
        refused(|c| c.vocabulary = 0, "vocabulary");
        refused(|c| c.context_length = 0, "context_length");
        refused(|c| c.norm_eps = f32::NAN, "norm_eps");
        refused(|c| c.norm_eps = -1.0, "norm_eps");
        refused(|c| c.bos = Some(96), "token id");
        refused(|c| c.eos.push(96), "token id");
        refused(|c| c.rope.theta = 0.0, "rope.theta");
        refused(|c| c.rope.theta = f64::INFINITY, "rope.theta");
        let linear = |factor| RopeScaling::Linear { factor };
        refused(|c| c.rope.scaling = linear(0.0), "rope.scaling.factor");
        refused(|c| c.rope.scaling = linear(f64::NAN), "rope.scaling.factor");
        let factors = |factors| RopeScaling::FrequencyFactors { factors };
        refused(|c| c.rope.scaling = factors(vec![1.0; 3]), "rope frequency factors");
        refused(|c| c.rope.scaling = factors(vec![0.0; 4]), "rope frequency factor");
    }
}
