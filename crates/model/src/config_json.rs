//! A model's configuration from the `config.json` of a safetensors folder.

use serde_json::{Map, Value};

use crate::config::{ModelConfig, RopeConfig, RopeScaling, require};
use crate::config_gguf::family_named;
use crate::error::ConfigError;
use crate::family::Family;

/// A JSON object whose getters say what is wrong. A value of `null` counts as missing.
#[derive(Clone, Copy)]
pub(crate) struct Object<'a>(&'a Map<String, Value>);

impl<'a> Object<'a> {
    /// The object that a whole file is.
    pub(crate) fn new(value: &'a Value, file: &str) -> Result<Object<'a>, ConfigError> {
        value.as_object().map(Object).ok_or_else(|| kind_error(file, "an object", value))
    }

    pub(crate) fn get(self, key: &str) -> Option<&'a Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    fn typed<T>(
        self,
        key: &str,
        expected: &'static str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        read(value).map(Some).ok_or_else(|| kind_error(key, expected, value))
    }

    fn integer(self, key: &str) -> Result<Option<usize>, ConfigError> {
        self.typed(key, "an integer from 0", |v| v.as_u64().and_then(|v| v.try_into().ok()))
    }

    fn float(self, key: &str) -> Result<Option<f64>, ConfigError> {
        self.typed(key, "a number", Value::as_f64)
    }

    fn bool(self, key: &str) -> Result<Option<bool>, ConfigError> {
        self.typed(key, "true or false", Value::as_bool)
    }

    fn text(self, key: &str) -> Result<Option<&'a str>, ConfigError> {
        self.typed(key, "a text", Value::as_str)
    }

    fn object(self, key: &str) -> Result<Option<Object<'a>>, ConfigError> {
        self.typed(key, "an object", |value| value.as_object().map(Object))
    }

    /// One token id or several.
    fn token_ids(self, key: &str) -> Result<Option<Vec<u32>>, ConfigError> {
        let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
        self.typed(key, "a token id or several", |value| match value.as_array() {
            Some(values) => values.iter().map(id).collect(),
            None => id(value).map(|id| vec![id]),
        })
    }
}

fn kind_error(key: &str, expected: &'static str, value: &Value) -> ConfigError {
    let found = match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::String(_) => "a text".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    };
    ConfigError::Kind { key: key.to_owned(), expected, found }
}

fn required<T>(key: &str, found: Option<T>) -> Result<T, ConfigError> {
    found.ok_or_else(|| ConfigError::Missing { key: key.to_owned() })
}

/// The configuration; `generation` is the folder's `generation_config.json`, whose end tokens
/// count more.
pub(crate) fn read(config: Object<'_>, generation: Option<Object<'_>>) -> Result<ModelConfig, ConfigError> {
    let family = family_named(required("model_type", config.text("model_type")?)?)?;
    refuse_features(config)?;
    let integer = |key| required(key, config.integer(key)?);
    let (heads, width) = (integer("num_attention_heads")?, integer("hidden_size")?);
    // of the families here only Llama's configurations have the key, and then o_proj has a bias too
    let llama_bias = family == Family::Llama && config.bool("attention_bias")?.unwrap_or(false);
    let config = ModelConfig {
        family,
        name: config.text("_name_or_path")?.unwrap_or_default().to_owned(),
        layers: integer("num_hidden_layers")?,
        heads,
        kv_heads: config.integer("num_key_value_heads")?.unwrap_or(heads),
        head_dim: head_dim(config, width, heads)?,
        width,
        hidden: integer("intermediate_size")?,
        vocabulary: integer("vocab_size")?,
        context_length: integer("max_position_embeddings")?,
        norm_eps: required("rms_norm_eps", config.float("rms_norm_eps")?)? as f32,
        rope: rope(config)?,
        tied_output: config.bool("tie_word_embeddings")?.unwrap_or(false),
        attention_bias: family.info().always_biased || llama_bias,
        attention_output_bias: llama_bias,
        bos: config.token_ids("bos_token_id")?.and_then(|ids| ids.first().copied()),
        eos: end_tokens(config, generation)?,
    };
    config.validate()?;
    Ok(config)
}

fn end_tokens(config: Object<'_>, generation: Option<Object<'_>>) -> Result<Vec<u32>, ConfigError> {
    let key = "eos_token_id";
    let generation = generation.map(|generation| generation.token_ids(key)).transpose()?.flatten();
    Ok(match generation {
        Some(ids) => ids,
        None => config.token_ids(key)?.unwrap_or_default(),
    })
}

/// Refuses what configurations of a supported family may ask for and the decoder does not do.
fn refuse_features(config: Object<'_>) -> Result<(), ConfigError> {
    let refuse = |feature: String| Err(ConfigError::Feature { feature });
    match config.text("hidden_act")? {
        None | Some("silu") => {}
        Some(other) => return refuse(format!("the activation {other:?}")),
    }
    if config.bool("mlp_bias")?.unwrap_or(false) {
        return refuse("biases in its feed-forward layers".to_owned());
    }
    if config.bool("use_sliding_window")?.unwrap_or(false) {
        return refuse("attention within a sliding window".to_owned());
    }
    if let Some(quantisation) = config.object("quantization_config")? {
        let method = quantisation.text("quant_method")?.unwrap_or("unnamed");
        return refuse(format!("weights quantised by the method {method:?}"));
    }
    match config.float("partial_rotary_factor")? {
        None | Some(1.0) => Ok(()),
        Some(part) => refuse(format!("rotary positions on {part} of each head")),
    }
}

fn head_dim(config: Object<'_>, width: usize, heads: usize) -> Result<usize, ConfigError> {
    if let Some(head_dim) = config.integer("head_dim")? {
        return Ok(head_dim);
    }
    let even = heads > 0 && width.is_multiple_of(heads);
    require("hidden_size", width, even, || format!("a multiple of the {heads} heads, or head_dim given"))?;
    Ok(width / heads)
}

/// Rotary positions: `rope_theta` with `rope_scaling`, or both in one `rope_parameters` as newer
/// configurations have it.
fn rope(config: Object<'_>) -> Result<RopeConfig, ConfigError> {
    let parameters = config.object("rope_parameters")?;
    let theta = match parameters.map(|p| p.float("rope_theta")).transpose()?.flatten() {
        Some(theta) => theta,
        None => config.float("rope_theta")?.unwrap_or(10_000.0),
    };
    let scaling = match parameters {
        Some(parameters) => scaling(parameters)?,
        None => config.object("rope_scaling")?.map_or(Ok(RopeScaling::None), scaling)?,
    };
    Ok(RopeConfig { theta, scaling })
}

fn scaling(object: Object<'_>) -> Result<RopeScaling, ConfigError> {
    let kind = match object.text("rope_type")? {
        Some(kind) => Some(kind),
        None => object.text("type")?,
    };
    let float = |key| required(key, object.float(key)?);
    match kind {
        None | Some("default") => Ok(RopeScaling::None),
        Some("linear") => Ok(RopeScaling::Linear { factor: float("factor")? }),
        Some("llama3") => {
            let key = "original_max_position_embeddings";
            Ok(RopeScaling::Llama3 {
                factor: float("factor")?,
                low_freq_factor: float("low_freq_factor")?,
                high_freq_factor: float("high_freq_factor")?,
                original_context: required(key, object.integer(key)?)?,
            })
        }
        Some(other) => Err(ConfigError::RopeScaling { found: other.to_owned() }),
    }
}
