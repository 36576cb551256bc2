//! What can be wrong with a model's files.

use std::path::PathBuf;

use fourier_kv_kernels::quant::{QuantError, WeightType};

use crate::gguf::GgufError;

/// Why a model could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A file could not be read.
    #[error("cannot read {path}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is larger than any of its kind should be.
    #[error("{path} has {found} bytes; at most {limit} were expected")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        found: u64,
        /// The largest size that is read.
        limit: u64,
    },
    /// The GGUF file is damaged or of an unknown version.
    #[error("not a readable GGUF file: {0}")]
    Gguf(#[from] GgufError),
    /// The GGUF file is one of several parts.
    #[error("this file is one of {count} parts of a split GGUF; one whole file was expected")]
    Split {
        /// Number of parts.
        count: u64,
    },
    /// A safetensors file is damaged.
    #[error("{file} is not a readable safetensors file: {reason}")]
    Safetensors {
        /// The file's name in the model folder.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A JSON file is damaged.
    #[error("{file} is not the JSON that was expected: {source}")]
    Json {
        /// The file's name in the model folder.
        file: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The folder's index of weights names a file outside the folder.
    #[error("the index of weights names {found:?}; the plain name of a file in the folder was expected")]
    ShardName {
        /// The name found.
        found: String,
    },
    /// The configuration is incomplete, inconsistent or unsupported.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The weights do not fit the configuration, or are unsupported.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

/// Why a configuration was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A key is missing.
    #[error("the model's configuration lacks {key}")]
    Missing {
        /// The key.
        key: String,
    },
    /// A key has a value of the wrong kind.
    #[error("{key} in the model's configuration is {found}; {expected} was expected")]
    Kind {
        /// The key.
        key: String,
        /// The kind of value expected.
        expected: &'static str,
        /// The kind found.
        found: String,
    },
    /// A value is out of range or contradicts another.
    #[error("{key} in the model's configuration is {found}; expected {expected}")]
    Value {
        /// The key or quantity.
        key: String,
        /// The values allowed.
        expected: String,
        /// The value found.
        found: String,
    },
    /// The model's architecture is not one of the families known here.
    #[error("models of the {found:?} architecture are not supported; supported: {supported}")]
    Family {
        /// The architecture found.
        found: String,
        /// Names of the families supported.
        supported: String,
    },
    /// The model scales its rotary positions in a way not known here.
    #[error("RoPE scaling {found:?} is not supported; supported: none, linear, llama3")]
    RopeScaling {
        /// The kind of scaling found.
        found: String,
    },
    /// The model needs something that the forward pass does not have.
    #[error("the model uses {feature}, which is not supported")]
    Feature {
        /// What it uses.
        feature: String,
    },
}

/// Why a weight could not be had.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// A tensor is missing.
    #[error("the model lacks the tensor {name}")]
    Missing {
        /// The tensor's name in the file, or its role.
        name: String,
    },
    /// Two tensors share a name.
    #[error("the model has two tensors called {name}")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// A tensor's shape is not the one the configuration gives.
    #[error("tensor {name} has the shape {found:?}; the configuration gives {expected:?}")]
    Shape {
        /// The tensor's name in the file.
        name: String,
        /// Shape by the configuration, rows first.
        expected: Vec<usize>,
        /// Shape in the file, rows first.
        found: Vec<usize>,
    },
    /// A tensor is stored in a type that is not supported.
    #[error("tensor {name} is stored as {found}; supported: {}", supported_types())]
    Type {
        /// The tensor's name in the file.
        name: String,
        /// The type's name or number.
        found: String,
    },
    /// A tensor's bytes do not fit its shape.
    #[error("tensor {name}: {source}")]
    Stored {
        /// The tensor's name in the file.
        name: String,
        /// What does not fit.
        source: QuantError,
    },
    /// A vector of weights holds an infinity or something that is not a number.
    #[error("tensor {name} holds {found} at position {position}; finite numbers were expected")]
    NotFinite {
        /// The tensor's name in the file.
        name: String,
        /// Where.
        position: usize,
        /// What.
        found: f32,
    },
}

fn supported_types() -> String {
    WeightType::ALL.map(|ty| ty.to_string()).join(", ")
}
