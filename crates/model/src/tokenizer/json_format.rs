//! The parts of the `tokenizer.json` format that are read.

use super::error::TokenizerError;
use super::merges::Merge;
use serde::Deserialize;
use std::collections::HashMap;
use tokenizers::tokenizer::SplitDelimiterBehavior;

#[derive(Debug, Deserialize)]
pub(super) struct File {
    #[serde(default)]
    pub(super) added_tokens: Vec<FileAddedToken>,
    pub(super) normalizer: Option<Normalizer>,
    pub(super) pre_tokenizer: Option<PreTokenizer>,
    pub(super) post_processor: Option<serde_json::Value>,
    pub(super) decoder: Option<Decoder>,
    pub(super) model: Model,
}

impl File {
    /// Parses the file; first only the model's kind, so that another kind of model is named rather
    /// than the first field it lacks.
    pub(super) fn parse(bytes: &[u8]) -> Result<File, TokenizerError> {
        #[derive(Deserialize)]
        struct Head {
            model: ModelHead,
        }
        #[derive(Deserialize)]
        struct ModelHead {
            r#type: Option<String>,
        }
        let json = |e: serde_json::Error| TokenizerError::Json(e.to_string());
        let head: Head = serde_json::from_slice(bytes).map_err(json)?;
        match head.model.r#type.as_deref() {
            None | Some("BPE") => serde_json::from_slice(bytes).map_err(json),
            Some(other) => Err(TokenizerError::UnknownKind { found: other.to_owned(), expected: "BPE" }),
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct FileAddedToken {
    pub(super) id: u32,
    pub(super) content: String,
    #[serde(default)]
    pub(super) lstrip: bool,
    #[serde(default)]
    pub(super) rstrip: bool,
    #[serde(default)]
    pub(super) special: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct Model {
    pub(super) vocab: HashMap<String, u32>,
    pub(super) merges: Vec<FileMerge>,
    pub(super) dropout: Option<f32>,
    pub(super) unk_token: Option<String>,
    pub(super) continuing_subword_prefix: Option<String>,
    pub(super) end_of_word_suffix: Option<String>,
    #[serde(default)]
    pub(super) fuse_unk: bool,
    #[serde(default)]
    pub(super) byte_fallback: bool,
    #[serde(default)]
    pub(super) ignore_merges: bool,
}

/// Older files write a merge as one text with a space, newer ones as a pair.
#[derive(Debug, Deserialize)]
#[serde(try_from = "RawMerge")]
pub(super) struct FileMerge(Merge);

#[derive(Deserialize)]
#[serde(untagged)]
enum RawMerge {
    Pair(String, String),
    Text(String),
}

impl TryFrom<RawMerge> for FileMerge {
    type Error = String;

    fn try_from(raw: RawMerge) -> Result<FileMerge, String> {
        match raw {
            RawMerge::Pair(left, right) => Ok(FileMerge((left, right))),
            RawMerge::Text(text) => {
                let parts = text.split_once(' ').filter(|(_, right)| !right.contains(' '));
                let (left, right) = parts.ok_or(format!("merge `{text}` is not two tokens"))?;
                Ok(FileMerge((left.to_owned(), right.to_owned())))
            }
        }
    }
}

impl From<FileMerge> for Merge {
    fn from(merge: FileMerge) -> Merge {
        merge.0
    }
}

#[derive(Debug, Deserialize)]
pub(super) enum Pattern {
    String(String),
    Regex(String),
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type")]
#[allow(clippy::upper_case_acronyms)] // the format's own names
pub(super) enum Normalizer {
    NFC,
    NFD,
    NFKC,
    NFKD,
    Prepend { prepend: String },
    Replace { pattern: Pattern, content: String },
    Sequence { normalizers: Vec<Normalizer> },
}

impl Normalizer {
    /// Steps in order, sequences resolved.
    pub(super) fn flatten(self) -> Vec<Normalizer> {
        match self {
            Normalizer::Sequence { normalizers } => normalizers.into_iter().flat_map(Normalizer::flatten).collect(),
            single => vec![single],
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type")]
pub(super) enum PreTokenizer {
    ByteLevel {
        #[serde(default = "yes")]
        add_prefix_space: bool,
        #[serde(default = "yes")]
        use_regex: bool,
    },
    Split {
        pattern: Pattern,
        behavior: SplitDelimiterBehavior,
        #[serde(default)]
        invert: bool,
    },
    Digits {
        #[serde(default)]
        individual_digits: bool,
    },
    Metaspace(FileMetaspace),
    Sequence {
        pretokenizers: Vec<PreTokenizer>,
    },
}

fn yes() -> bool {
    true
}

impl PreTokenizer {
    /// Steps in order, sequences resolved.
    pub(super) fn flatten(self) -> Vec<PreTokenizer> {
        match self {
            PreTokenizer::Sequence { pretokenizers } => {
                pretokenizers.into_iter().flat_map(PreTokenizer::flatten).collect()
            }
            single => vec![single],
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type")]
pub(super) enum Decoder {
    ByteLevel,
    ByteFallback,
    Fuse,
    Metaspace(FileMetaspace),
    Replace { pattern: Pattern, content: String },
    Strip { content: char, start: usize, stop: usize },
    Sequence { decoders: Vec<Decoder> },
}

impl Decoder {
    /// Steps in order, sequences resolved.
    pub(super) fn flatten(self) -> Vec<Decoder> {
        match self {
            Decoder::Sequence { decoders } => decoders.into_iter().flat_map(Decoder::flatten).collect(),
            single => vec![single],
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct FileMetaspace {
    pub(super) replacement: char,
    prepend_scheme: Option<PrependScheme>,
    add_prefix_space: Option<bool>,
    pub(super) split: Option<bool>,
}

impl FileMetaspace {
    /// The scheme, with the older `add_prefix_space` taken for what it meant.
    pub(super) fn scheme(&self) -> PrependScheme {
        match self.add_prefix_space {
            Some(false) => PrependScheme::Never,
            _ => self.prepend_scheme.unwrap_or(PrependScheme::Always),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PrependScheme {
    First,
    Never,
    Always,
}
