//! How weights and a config become a forward pass; and how text becomes token ids and back.
#![forbid(unsafe_code)]

pub mod chat;
pub mod tokenizer;
pub mod tokenizer_source;
