//! What a model file says about its tokenizer, before a tokenizer is built from it.
//!
//! Readers of model files fill these in; the tokenizer module turns them into a tokenizer. Keeping
//! the two apart means that neither has to know the other's formats.

/// Where a model's tokenizer comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum TokenizerSource {
    /// Vocabulary and merges found in the metadata of a GGUF file.
    Gguf(GgufVocabulary),
    /// The bytes of a `tokenizer.json` file, not yet parsed.
    Json(Vec<u8>),
}

/// The `tokenizer.ggml.*` metadata of a GGUF file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GgufVocabulary {
    /// Kind of tokenizer: `gpt2` (byte-level BPE) or `llama` (SentencePiece-like with scores).
    pub model: String,
    /// Name of the pre-tokenisation rule, such as `llama-bpe`, `qwen2` or `smollm`; `default` or
    /// empty where the file names none.
    pub pre: String,
    /// Token texts by id, in the tokenizer kind's own alphabet.
    pub tokens: Vec<String>,
    /// BPE merges, best first, each as `left right`; empty for the `llama` kind.
    pub merges: Vec<String>,
    /// Scores by id; empty where the file has none.
    pub scores: Vec<f32>,
    /// Token types by id (1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte);
    /// empty where the file has none.
    pub token_types: Vec<i32>,
    /// Id of the beginning-of-sequence token.
    pub bos: Option<u32>,
    /// Id of the end-of-sequence token.
    pub eos: Option<u32>,
    /// Whether a text starts with the beginning-of-sequence token; `None` where the file is silent.
    pub add_bos: Option<bool>,
    /// Whether a space is put before the text; `None` where the file is silent.
    pub add_space_prefix: Option<bool>,
    /// Id of the token that stands for what the vocabulary cannot say.
    pub unknown: Option<u32>,
}
