//! How weights and a configuration become a forward pass, and how text becomes token ids and back.
#![deny(unsafe_code)] // but for the one call that maps a file into memory: see `buffer`

pub mod buffer;
pub mod chat;
pub mod config;
mod config_gguf;
mod config_json;
pub mod error;
pub mod family;
mod fingerprint;
pub mod gguf;
mod rope;
pub mod safetensors_dir;
pub mod source;
mod stored;
pub mod tokenizer;
pub mod tokenizer_source;
pub mod weights;
