//! model
pub mod tokenizer_source;
