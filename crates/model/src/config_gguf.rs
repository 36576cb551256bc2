//! A model's configuration and vocabulary from GGUF metadata.

use crate::config::{ModelConfig, RopeConfig, RopeScaling, require};
use crate::error::{ConfigError, WeightsError};
use crate::family::{FAMILIES, Family};
use crate::gguf::Metadata;
use crate::stored::StoredTensors;
use crate::tokenizer_source::GgufVocabulary;
use crate::weights::Role;

/// Holds the divisors of the rotary frequencies of models with `llama3` scaling.
pub(crate) const ROPE_FACTORS: &str = "rope_freqs.weight";

/// Reads the keys of one architecture.
struct Keys<'m, 'a> {
    metadata: &'m Metadata<'a>,
    family: Family,
}

impl Keys<'_, '_> {
    fn name(&self, key: &str) -> String {
        format!("{}.{key}", self.family.info().name)
    }

    fn optional(&self, key: &str) -> Result<Option<usize>, ConfigError> {
        Ok(self.metadata.get_u32(&self.name(key))?.map(|value| value as usize))
    }

    fn dimension(&self, key: &str) -> Result<usize, ConfigError> {
        self.metadata.require(&self.name(key), self.optional(key)?)
    }

    fn float(&self, key: &str) -> Result<Option<f32>, ConfigError> {
        self.metadata.get_f32(&self.name(key))
    }

    fn required_float(&self, key: &str) -> Result<f32, ConfigError> {
        self.metadata.require(&self.name(key), self.float(key)?)
    }
}

/// The family that the file's `general.architecture` names.
pub(crate) fn family(metadata: &Metadata<'_>) -> Result<Family, ConfigError> {
    let key = "general.architecture";
    let found = metadata.require(key, metadata.get_str(key)?)?;
    family_named(found)
}

/// The family with this name.
pub(crate) fn family_named(found: &str) -> Result<Family, ConfigError> {
    Family::from_name(found).ok_or_else(|| ConfigError::Family {
        found: found.to_owned(),
        supported: FAMILIES.iter().map(|info| info.name).collect::<Vec<_>>().join(", "),
    })
}

/// The configuration, without having looked at any tensor but for whether it is there and for the
/// factors of the rotary frequencies, which are given.
pub(crate) fn read(
    metadata: &Metadata<'_>,
    family: Family,
    stored: &StoredTensors,
    rope_factors: Option<Vec<f32>>,
) -> Result<ModelConfig, ConfigError> {
    let keys = Keys { metadata, family };
    refuse_features(&keys)?;
    let heads = keys.dimension("attention.head_count")?;
    let width = keys.dimension("embedding_length")?;
    let names = family.info().gguf_names;
    let has = |role| stored.get(&names.of(role)).is_some();
    let config = ModelConfig {
        family,
        name: metadata.get_str("general.name")?.unwrap_or_default().to_owned(),
        layers: keys.dimension("block_count")?,
        heads,
        kv_heads: keys.optional("attention.head_count_kv")?.unwrap_or(heads),
        head_dim: head_dim(&keys, width, heads)?,
        width,
        hidden: keys.dimension("feed_forward_length")?,
        vocabulary: vocabulary_size(&keys)?,
        context_length: keys.dimension("context_length")?,
        norm_eps: keys.required_float("attention.layer_norm_rms_epsilon")?,
        rope: rope(&keys, rope_factors)?,
        tied_output: !has(Role::Output),
        attention_bias: family.info().always_biased || has(Role::QueryBias(0)),
        attention_output_bias: has(Role::AttentionOutputBias(0)),
        bos: metadata.get_u32("tokenizer.ggml.bos_token_id")?,
        eos: end_tokens(metadata)?,
    };
    config.validate()?;
    Ok(config)
}

/// Refuses what files of a supported architecture may ask for and the decoder does not do.
fn refuse_features(keys: &Keys<'_, '_>) -> Result<(), ConfigError> {
    if keys.optional("expert_count")?.is_some_and(|experts| experts > 0) {
        return Err(ConfigError::Feature { feature: "a mixture of experts".to_owned() });
    }
    let window = keys.optional("attention.sliding_window")?.unwrap_or(0);
    if window > 0 && window < keys.dimension("context_length")? {
        let feature = format!("attention within a sliding window of {window} tokens");
        return Err(ConfigError::Feature { feature });
    }
    Ok(())
}

fn head_dim(keys: &Keys<'_, '_>, width: usize, heads: usize) -> Result<usize, ConfigError> {
    let head_dim = match keys.optional("attention.key_length")? {
        Some(head_dim) => head_dim,
        None => {
            let even = heads > 0 && width.is_multiple_of(heads);
            require(&keys.name("embedding_length"), width, even, || {
                format!("a multiple of the {heads} heads, or the head's length given")
            })?;
            width / heads
        }
    };
    for key in ["attention.value_length", "rope.dimension_count"] {
        if let Some(found) = keys.optional(key)? {
            require(&keys.name(key), found, found == head_dim, || format!("the length of a head, {head_dim}"))?;
        }
    }
    Ok(head_dim)
}

fn vocabulary_size(keys: &Keys<'_, '_>) -> Result<usize, ConfigError> {
    if let Some(size) = keys.optional("vocab_size")? {
        return Ok(size);
    }
    let key = "tokenizer.ggml.tokens";
    match keys.metadata.get(key) {
        Some(crate::gguf::Value::Array(tokens)) => Ok(tokens.len() as usize),
        _ => Err(ConfigError::Missing { key: format!("{key} or {}", keys.name("vocab_size")) }),
    }
}

fn rope(keys: &Keys<'_, '_>, factors: Option<Vec<f32>>) -> Result<RopeConfig, ConfigError> {
    // llama.cpp's own default, which its converter leaves out of old files
    let theta = f64::from(keys.float("rope.freq_base")?.unwrap_or(10_000.0));
    let kind = keys.metadata.get_str(&keys.name("rope.scaling.type"))?;
    let factor = match keys.float("rope.scaling.factor")? {
        Some(factor) => Some(factor),
        None => keys.float("rope.scale_linear")?,
    };
    let scaling = match (factors, kind, factor) {
        (Some(factors), None | Some("none" | "llama3"), _) => RopeScaling::FrequencyFactors { factors },
        (None, Some("none"), _) | (None, None, None) => RopeScaling::None,
        (None, Some("linear") | None, Some(factor)) => RopeScaling::Linear { factor: f64::from(factor) },
        (_, kind, _) => {
            let found = kind.unwrap_or("none").to_owned();
            return Err(ConfigError::RopeScaling { found });
        }
    };
    Ok(RopeConfig { theta, scaling })
}

/// The end of a text and, where the file names it, the end of a turn.
fn end_tokens(metadata: &Metadata<'_>) -> Result<Vec<u32>, ConfigError> {
    let mut ends = Vec::new();
    for key in ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"] {
        match metadata.get_u32(key)? {
            Some(id) if !ends.contains(&id) => ends.push(id),
            _ => {}
        }
    }
    Ok(ends)
}

/// The vocabulary, copied out of the file.
pub(crate) fn vocabulary(metadata: &Metadata<'_>) -> Result<GgufVocabulary, ConfigError> {
    let model_key = "tokenizer.ggml.model";
    let tokens_key = "tokenizer.ggml.tokens";
    let model = metadata.require(model_key, metadata.get_str(model_key)?)?;
    Ok(GgufVocabulary {
        model: model.to_owned(),
        pre: metadata.get_str("tokenizer.ggml.pre")?.unwrap_or_default().to_owned(),
        tokens: metadata.require(tokens_key, metadata.get_strings(tokens_key)?)?,
        merges: metadata.get_strings("tokenizer.ggml.merges")?.unwrap_or_default(),
        scores: metadata.get_f32s("tokenizer.ggml.scores")?.unwrap_or_default(),
        token_types: metadata.get_i32s("tokenizer.ggml.token_type")?.unwrap_or_default(),
        bos: metadata.get_u32("tokenizer.ggml.bos_token_id")?,
        eos: metadata.get_u32("tokenizer.ggml.eos_token_id")?,
        add_bos: metadata.get_bool("tokenizer.ggml.add_bos_token")?,
        add_space_prefix: metadata.get_bool("tokenizer.ggml.add_space_prefix")?,
        unknown: metadata.get_u32("tokenizer.ggml.unknown_token_id")?,
    })
}

/// The factors of the rotary frequencies, if the file has them.
pub(crate) fn rope_factors(stored: &StoredTensors) -> Result<Option<Vec<f32>>, WeightsError> {
    let Some(tensor) = stored.get(ROPE_FACTORS) else {
        return Ok(None);
    };
    match tensor.shape[..] {
        [len] => tensor.floats(1, len).map(Some),
        _ => {
            let (name, found) = (tensor.name.clone(), tensor.shape.clone());
            Err(WeightsError::Shape { name, expected: vec![found.iter().product()], found })
        }
    }
}
