//! Folders of safetensors files as the Hugging Face hub has them: `config.json`,
//! `generation_config.json` (optional), `model.safetensors` or parts of it with
//! `model.safetensors.index.json`, `tokenizer.json`, and a chat template in `chat_template.jinja` or
//! `tokenizer_config.json` (optional).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use fourier_kv_kernels::quant::WeightType;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use crate::buffer::Buffer;
use crate::config_json::{self, Object};
use crate::error::{ConfigError, ModelError};
use crate::family::RopePairs;
use crate::source::ModelSource;
use crate::stored::{StoredTensor, StoredTensors};
use crate::tokenizer_source::TokenizerSource;
use crate::weights::Weights;

const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
const CONFIG: &str = "config.json";
/// No side file of a known model comes near this size; it is read into memory.
const MAX_SIDE_FILE: u64 = 256 << 20;

/// Opens a folder.
pub(crate) fn open(folder: &Path) -> Result<ModelSource, ModelError> {
    let config = required_json(folder, CONFIG)?;
    let generation = optional_json(folder, "generation_config.json")?;
    let generation = generation.as_ref().map(|value| Object::new(value, "generation_config.json"));
    let mut config = config_json::read(Object::new(&config, CONFIG)?, generation.transpose()?)?;
    if config.name.is_empty() {
        let name = folder.file_name().unwrap_or_default();
        config.name = name.to_string_lossy().into_owned();
    }
    let mut stored = StoredTensors::default();
    for file in weight_files(folder)? {
        read_tensors(&file, Buffer::map(&folder.join(&file))?, &mut stored)?;
    }
    let weights = Weights::resolve(&config, config.family.info().safetensors_names, &stored)?;
    Ok(ModelSource {
        config,
        weights,
        pairs: RopePairs::Halves,
        tokenizer: TokenizerSource::Json(required(folder, "tokenizer.json")?),
        chat_template: chat_template(folder)?,
    })
}

/// Checks a safetensors file's header and the places and types of its tensors; returns their names.
///
/// This is the part of opening a folder that reads binary input, by itself for tests and fuzzing.
///
/// # Errors
///
/// If the bytes are not a whole, consistent safetensors file.
pub fn check_file(bytes: Vec<u8>) -> Result<Vec<String>, ModelError> {
    let mut stored = StoredTensors::default();
    read_tensors(WEIGHTS, Buffer::from(bytes), &mut stored)?;
    Ok(stored.into_names())
}

fn read_tensors(file: &str, buffer: Buffer, out: &mut StoredTensors) -> Result<(), ModelError> {
    let bytes = buffer.as_slice();
    let damaged = |reason: String| ModelError::Safetensors { file: file.to_owned(), reason };
    let tensors = SafeTensors::deserialize(bytes).map_err(|e| damaged(e.to_string()))?;
    for (name, view) in tensors.iter() {
        // the view is a slice of `bytes`: where it starts says its place
        let start = view.data().as_ptr().addr() - bytes.as_ptr().addr();
        out.insert(StoredTensor {
            name: name.to_owned(),
            shape: view.shape().to_vec(),
            ty: weight_type(view.dtype()),
            buffer: buffer.clone(),
            range: start..start + view.data().len(),
        })?;
    }
    Ok(())
}

fn weight_type(dtype: Dtype) -> Result<WeightType, String> {
    match dtype {
        Dtype::F32 => Ok(WeightType::F32),
        Dtype::F16 => Ok(WeightType::F16),
        Dtype::BF16 => Ok(WeightType::BF16),
        other => Err(format!("{other:?}")),
    }
}

/// The names of the files that hold the weights.
fn weight_files(folder: &Path) -> Result<Vec<String>, ModelError> {
    if folder.join(WEIGHTS).exists() {
        return Ok(vec![WEIGHTS.to_owned()]);
    }
    let Some(index) = optional_json(folder, INDEX)? else {
        return Err(missing(folder.join(WEIGHTS)));
    };
    let map = Object::new(&index, INDEX)?.get("weight_map").and_then(Value::as_object);
    let map = map.ok_or_else(|| ConfigError::Missing { key: format!("weight_map in {INDEX}") })?;
    let mut files = BTreeSet::new();
    for file in map.values() {
        files.insert(shard_name(file)?);
    }
    Ok(files.into_iter().collect())
}

/// A shard's name, which must not lead out of the folder.
fn shard_name(value: &Value) -> Result<String, ModelError> {
    let name = value.as_str().unwrap_or_default();
    let plain = name.ends_with(".safetensors") && !name.contains(['/', '\\', ':', '\0']);
    match plain {
        true => Ok(name.to_owned()),
        false => Err(ModelError::ShardName { found: value.to_string() }),
    }
}

/// The chat template: a file of its own, or a text or a list of named ones (`default` is meant) in
/// `tokenizer_config.json`.
fn chat_template(folder: &Path) -> Result<Option<String>, ModelError> {
    if let Some(bytes) = optional(folder, "chat_template.jinja")? {
        return Ok(Some(String::from_utf8_lossy(&bytes).into_owned()));
    }
    let file = "tokenizer_config.json";
    let Some(config) = optional_json(folder, file)? else {
        return Ok(None);
    };
    let template = match Object::new(&config, file)?.get("chat_template") {
        Some(Value::Array(named)) => {
            named.iter().find(|entry| entry["name"] == "default").map(|entry| &entry["template"])
        }
        other => other,
    };
    Ok(template.and_then(Value::as_str).map(str::to_owned))
}

fn missing(path: PathBuf) -> ModelError {
    ModelError::Io { path, source: std::io::ErrorKind::NotFound.into() }
}

fn required(folder: &Path, file: &str) -> Result<Vec<u8>, ModelError> {
    optional(folder, file)?.ok_or_else(|| missing(folder.join(file)))
}

/// A side file's bytes, if it exists.
fn optional(folder: &Path, file: &str) -> Result<Option<Vec<u8>>, ModelError> {
    let path = folder.join(file);
    let failed = |source| ModelError::Io { path: path.clone(), source };
    let found = match fs::metadata(&path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if found > MAX_SIDE_FILE {
        return Err(ModelError::TooLarge { path, found, limit: MAX_SIDE_FILE });
    }
    fs::read(&path).map(Some).map_err(failed)
}

fn optional_json(folder: &Path, file: &str) -> Result<Option<Value>, ModelError> {
    let Some(bytes) = optional(folder, file)? else {
        return Ok(None);
    };
    let parsed = serde_json::from_slice(&bytes);
    parsed.map(Some).map_err(|source| ModelError::Json { file: file.to_owned(), source })
}

fn required_json(folder: &Path, file: &str) -> Result<Value, ModelError> {
    optional_json(folder, file)?.ok_or_else(|| missing(folder.join(file)))
}
