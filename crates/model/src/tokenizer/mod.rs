//! Text to token ids and back.
//!
//! A [`Tokenizer`] is made from what a model's files say ([`TokenizerSource`]): the metadata of a
//! GGUF file, or a `tokenizer.json`. Either is read into one checked description, from which the
//! `tokenizers` library's normaliser, splitter and merger are built. Finding special tokens in the
//! text and decoding are done here, so that one tokenizer serves, at the same time, prompts whose
//! special tokens count and user text whose do not.
//!
//! Ids equal those of the models' published tokenizers, with two departures for texts that no
//! tokenizer makes: added tokens match the raw text even where the file asks for the normalised
//! one, and invalid UTF-8 in byte tokens decodes to one U+FFFD a broken character.

mod added;
mod decode;
mod error;
mod gguf;
mod json;
mod json_format;
mod merges;
mod pre;
mod spec;
mod vocabulary;

pub use decode::DecodeStream;
pub use error::TokenizerError;

use crate::tokenizer_source::TokenizerSource;
use added::{AddedTokens, Segment};
use spec::{Pipeline, SpacePrefix, Spec};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use vocabulary::{Alphabet, TokenKind, Vocabulary};

/// Half of what the library's patterns can take.
const MAX_BLANK_RUN: usize = 500_000;

/// How a text is to be encoded. The default adds nothing and takes all text literally.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EncodeOptions {
    /// Put the beginning-of-sequence token first. [`Tokenizer::adds_bos`] says whether the model
    /// wants that of a plain text; chat templates write the token themselves.
    pub add_bos: bool,
    /// Take the texts of special tokens, such as `<|im_end|>`, for these tokens. Right for what a
    /// chat template rendered, wrong for text of unknown origin.
    pub parse_special: bool,
}

/// Turns text into a model's token ids, and ids into text.
pub struct Tokenizer {
    vocabulary: Vocabulary,
    added: AddedTokens,
    pipeline: Pipeline,
    /// Ids of tokens that merging cannot yield, by text.
    unmergeable: HashMap<String, u32>,
    alphabet: Alphabet,
    space_prefix: SpacePrefix,
    strips_first_space: bool,
    splits_by_pattern: bool,
    bos: Option<u32>,
    eos: Option<u32>,
    adds_bos: bool,
}

impl Tokenizer {
    /// Builds the tokenizer that a model's files describe.
    ///
    /// # Errors
    ///
    /// If the description is damaged, inconsistent, or of a kind that is not supported.
    pub fn from_source(source: &TokenizerSource) -> Result<Tokenizer, TokenizerError> {
        match source {
            TokenizerSource::Gguf(vocabulary) => Tokenizer::from_spec(gguf::spec(vocabulary)?),
            TokenizerSource::Json(bytes) => Tokenizer::from_json(bytes),
        }
    }

    /// Builds a tokenizer from the bytes of a `tokenizer.json`, which may be anything.
    ///
    /// # Errors
    ///
    /// If they describe no tokenizer of a supported kind.
    pub fn from_json(bytes: &[u8]) -> Result<Tokenizer, TokenizerError> {
        Tokenizer::from_spec(json::spec(bytes)?)
    }

    fn from_spec(mut spec: Spec) -> Result<Tokenizer, TokenizerError> {
        let vocabulary = Vocabulary::new(&spec.tokens, spec.alphabet)?;
        let mut unmergeable = HashMap::new();
        for (id, token) in (0u32..).zip(&spec.tokens) {
            if let Some(token) = token.as_ref().filter(|t| !spec.mergeable.contains_key(&t.text)) {
                unmergeable.entry(token.text.clone()).or_insert(id);
            }
        }
        Ok(Tokenizer {
            vocabulary,
            unmergeable,
            splits_by_pattern: !spec.pre_tokenizers.is_empty(),
            pipeline: spec.build_pipeline()?,
            added: AddedTokens::new(spec.added)?,
            alphabet: spec.alphabet,
            space_prefix: spec.space_prefix,
            strips_first_space: spec.strips_first_space,
            bos: spec.bos,
            eos: spec.eos,
            adds_bos: spec.adds_bos && spec.bos.is_some(),
        })
    }

    /// Sets the special ids that a `tokenizer.json` does not hold but a model's `config.json` does.
    /// `None` leaves what is there.
    ///
    /// # Errors
    ///
    /// If an id lies outside the vocabulary.
    pub fn with_special_ids(mut self, bos: Option<u32>, eos: Option<u32>) -> Result<Tokenizer, TokenizerError> {
        spec::check_id("beginning-of-sequence", bos, self.vocabulary_size())?;
        spec::check_id("end-of-sequence", eos, self.vocabulary_size())?;
        self.bos = bos.or(self.bos);
        self.eos = eos.or(self.eos);
        Ok(self)
    }

    /// The ids of `text`.
    ///
    /// # Errors
    ///
    /// If the beginning-of-sequence token is asked for and there is none, or the text holds a run of
    /// more than half a million white-space characters.
    pub fn encode(&self, text: &str, options: EncodeOptions) -> Result<Vec<u32>, TokenizerError> {
        let mut ids = Vec::new();
        if options.add_bos {
            ids.push(self.bos.ok_or(TokenizerError::NoBos)?);
        }
        let segments = self.added.split(text, options.parse_special);
        for (index, segment) in segments.into_iter().enumerate() {
            match segment {
                Segment::Token(id) => ids.push(id),
                Segment::Text(text) => self.encode_stretch(text, index == 0, &mut ids)?,
            }
        }
        Ok(ids)
    }

    /// Encodes a stretch of text between added tokens.
    fn encode_stretch(&self, text: &str, is_first: bool, ids: &mut Vec<u32>) -> Result<(), TokenizerError> {
        if self.splits_by_pattern {
            check_blank_runs(text)?;
        }
        let text = self.with_spaces(text, is_first);
        let encoding = self.pipeline.encode_fast(text, false);
        let encoding = encoding.map_err(|e| TokenizerError::Library(e.to_string()))?;
        ids.extend_from_slice(encoding.get_ids());
        Ok(())
    }

    /// The text with the space that goes before it, spaces spelled as the alphabet has them.
    fn with_spaces<'t>(&self, text: &'t str, is_first: bool) -> Cow<'t, str> {
        let has_space = match self.alphabet {
            Alphabet::ByteLevel => text.starts_with(' '),
            Alphabet::Metaspace => text.starts_with([' ', '▁']),
        };
        let prefix = match self.space_prefix {
            SpacePrefix::Never => false,
            SpacePrefix::Always => true,
            SpacePrefix::UnlessThere => !has_space,
            SpacePrefix::FirstUnlessThere => is_first && !has_space,
        };
        match (self.alphabet, prefix) {
            (Alphabet::ByteLevel, false) => Cow::Borrowed(text),
            (Alphabet::ByteLevel, true) => Cow::Owned(format!(" {text}")),
            (Alphabet::Metaspace, false) => Cow::Owned(text.replace(' ', "▁")),
            (Alphabet::Metaspace, true) => Cow::Owned(format!("▁{}", text.replace(' ', "▁"))),
        }
    }

    /// The text of `ids`, without the special ones where `skip_special`. Ids outside the vocabulary
    /// (models pad it) give nothing; bytes that are not UTF-8 give U+FFFD.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> String {
        let mut bytes = Vec::new();
        for id in ids {
            if !(skip_special && self.is_special(*id)) {
                self.vocabulary.push_bytes(*id, &mut bytes);
            }
        }
        let stripped = bytes.strip_prefix(b" ").filter(|_| self.strips_first_space);
        String::from_utf8_lossy(stripped.unwrap_or(&bytes)).into_owned()
    }

    /// A decoder for ids that come one by one.
    pub fn decode_stream(&self, skip_special: bool) -> DecodeStream<'_> {
        DecodeStream::new(self, skip_special)
    }

    /// The token's text as the vocabulary spells it (`Ġthe`, `▁the`), for people to look at.
    pub fn token_text(&self, id: u32) -> Option<&str> {
        self.vocabulary.text(id)
    }

    /// The bytes that the token stands for, which may be part of a character only.
    pub fn token_bytes(&self, id: u32) -> Option<Vec<u8>> {
        self.vocabulary.text(id)?;
        let mut bytes = Vec::new();
        self.vocabulary.push_bytes(id, &mut bytes);
        Some(bytes)
    }

    /// The id of the token that the vocabulary spells so.
    pub fn id_of(&self, text: &str) -> Option<u32> {
        let mergeable = self.pipeline.token_to_id(text);
        mergeable.or_else(|| self.unmergeable.get(text).copied())
    }

    /// Number of ids, gaps included. A model may have more rows than its tokenizer has ids.
    pub fn vocabulary_size(&self) -> usize {
        self.vocabulary.len()
    }

    /// Whether the token stands for a role in the prompt rather than for text.
    pub fn is_special(&self, id: u32) -> bool {
        self.vocabulary.kind(id) == TokenKind::Special
    }

    /// The token that starts a sequence.
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// The token that ends a sequence. Chat models may use another one to end a turn.
    pub fn eos(&self) -> Option<u32> {
        self.eos
    }

    /// Whether the model wants a plain text to start with [`bos`](Tokenizer::bos).
    pub fn adds_bos(&self) -> bool {
        self.adds_bos
    }
}

/// Longer runs of white space than any text has a use for would exhaust the backtracking of the
/// library's patterns, which then silently stop splitting: an error is better than wrong ids.
fn check_blank_runs(text: &str) -> Result<(), TokenizerError> {
    let mut run = 0usize;
    for c in text.chars() {
        run = if c.is_whitespace() { run + 1 } else { 0 };
        vocabulary::check_limit("run of white space in characters", run, MAX_BLANK_RUN)?;
    }
    Ok(())
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer")
            .field("vocabulary_size", &self.vocabulary_size())
            .field("alphabet", &self.alphabet)
            .field("bos", &self.bos)
            .field("eos", &self.eos)
            .finish_non_exhaustive()
    }
}
