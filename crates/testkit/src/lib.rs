//! What the tests of several crates share: small random models, written as real model files.
#![deny(unsafe_code)] // but for the counting allocator

mod counting;
pub mod gguf_writer;
mod model_gguf;
mod model_safetensors;
pub mod parked_file;
pub mod quantise;
pub mod random_model;
pub mod tiny_tokenizer;

pub use counting::Counting;
pub use gguf_writer::{GgufWriter, Meta};
pub use quantise::Encoding;
pub use random_model::{Llama3Scaling, RandomModel, Tensor};
