//! How weights and a configuration become a forward pass; and how text becomes token ids and back.
//!
//! # Conventions
//!
//! - Letters: `L` layers, `H` query heads, `G` key/value heads, `D` head dims, `n` tokens being computed.
//! - Weight matrices are `[out][in]`, row-major, as all files have them; activations are `[n][width]`.
//! - Rotary pairs are read in whatever order a file has them and are in halves (`i`, `i + D/2`) from then on.
//! - A family of models is data (see [`family`]); the decoder is written once (see [`decoder`]).
//! - The decoder calls [`fourier_kv_cache::KvCache`] and never asks which cache it has.
#![deny(unsafe_code)] // but for the one call that maps a file into memory: see `buffer`

pub mod buffer;
pub mod chat;
pub mod config;
mod config_gguf;
mod config_json;
pub mod decoder;
pub mod error;
pub mod family;
mod fingerprint;
pub mod gguf;
mod output_gram;
mod rope;
pub mod safetensors_dir;
pub mod source;
mod stored;
pub mod tokenizer;
pub mod tokenizer_source;
pub mod weights;
