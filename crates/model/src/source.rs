//! Opening a model, whatever its files.

use std::path::Path;

use fourier_kv_kernels::quant::WeightType;

use crate::buffer::Buffer;
use crate::config::ModelConfig;
use crate::config_gguf;
use crate::error::ModelError;
use crate::family::RopePairs;
use crate::fingerprint;
use crate::gguf::{Gguf, Metadata, TensorInfo};
use crate::safetensors_dir;
use crate::stored::{StoredTensor, StoredTensors};
use crate::tokenizer_source::{GgufVocabulary, TokenizerSource};
use crate::weights::Weights;

/// A model as its files hold it, checked: a decoder and a tokenizer can be built from it.
#[derive(Debug, Clone)]
pub struct ModelSource {
    /// Shape and constants.
    pub config: ModelConfig,
    /// The weights, which fit the configuration.
    pub weights: Weights,
    /// How the rotary pairs lie in the rows of query and key projections.
    pub pairs: RopePairs,
    /// What the tokenizer is made from.
    pub tokenizer: TokenizerSource,
    /// The model's chat template (Jinja), if it has one.
    pub chat_template: Option<String>,
}

/// Opens a `.gguf` file, or a folder of safetensors files. Weights are mapped, not read.
///
/// # Errors
///
/// If the files are missing, damaged, inconsistent, or need something that is not supported.
pub fn open(path: &Path) -> Result<ModelSource, ModelError> {
    if path.is_dir() {
        return safetensors_dir::open(path);
    }
    ModelSource::from_gguf(Buffer::map(path)?)
}

impl ModelSource {
    /// Reads a GGUF file's bytes.
    ///
    /// # Errors
    ///
    /// As [`open`].
    pub fn from_gguf(bytes: Buffer) -> Result<ModelSource, ModelError> {
        let file = Gguf::parse(bytes.as_slice())?;
        let metadata = &file.metadata;
        refuse_split(metadata)?;
        let family = config_gguf::family(metadata)?;
        let stored = stored_tensors(&file, &bytes)?;
        let factors = config_gguf::rope_factors(&stored)?;
        let config = config_gguf::read(metadata, family, &stored, factors)?;
        let weights = Weights::resolve(&config, family.info().gguf_names, &stored)?;
        let template = metadata.get_str("tokenizer.chat_template")?;
        Ok(ModelSource {
            config,
            weights,
            pairs: family.info().gguf_pairs,
            tokenizer: TokenizerSource::Gguf(config_gguf::vocabulary(metadata)?),
            chat_template: template.map(str::to_owned),
        })
    }

    /// What makes this the model it is: SHA-256 in hex over its shape, its rotary frequencies and
    /// its norm weights. The same for every quantisation and file format of a model; different
    /// for models trained further.
    ///
    /// # Errors
    ///
    /// None for a source that was opened; the weights' errors are passed on all the same.
    pub fn fingerprint(&self) -> Result<String, ModelError> {
        Ok(fingerprint::fingerprint(&self.config, &self.weights)?)
    }

    /// The vocabulary, if the tokenizer is made from a GGUF file.
    pub fn gguf_vocabulary(&self) -> Option<&GgufVocabulary> {
        match &self.tokenizer {
            TokenizerSource::Gguf(vocabulary) => Some(vocabulary),
            TokenizerSource::Json(_) => None,
        }
    }
}

fn refuse_split(metadata: &Metadata<'_>) -> Result<(), ModelError> {
    match metadata.get("split.count").and_then(|count| count.as_u64()) {
        Some(count @ 2..) => Err(ModelError::Split { count }),
        _ => Ok(()),
    }
}

fn stored_tensors(file: &Gguf<'_>, buffer: &Buffer) -> Result<StoredTensors, ModelError> {
    let mut stored = StoredTensors::default();
    for (name, info) in &file.tensors {
        stored.insert(stored_tensor(name, info, buffer))?;
    }
    Ok(stored)
}

fn stored_tensor(name: &str, info: &TensorInfo, buffer: &Buffer) -> StoredTensor {
    let ty = WeightType::from_ggml_id(info.type_id);
    StoredTensor {
        name: name.to_owned(),
        shape: info.shape.clone(),
        ty: ty.ok_or_else(|| ggml_type_name(info.type_id)),
        buffer: buffer.clone(),
        range: info.range.clone(),
    }
}

/// A name for a type that is not supported, for the error that says so.
fn ggml_type_name(id: u32) -> String {
    let name = match id {
        9 => "Q8_1",
        10 => "Q2_K",
        11 => "Q3_K",
        15 => "Q8_K",
        16..=23 | 29 => "an IQ type",
        24..=27 => "an integer type",
        28 => "F64",
        34 | 35 => "a ternary type",
        39 => "MXFP4",
        _ => "an unknown type",
    };
    format!("{name} (number {id})")
}
