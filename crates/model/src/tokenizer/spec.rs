//! A tokenizer as checked plain data, whichever file format it came from, and the library pipeline
//! built from it.
//!
//! The library trusts what it is given and may panic on what is inconsistent, so nothing reaches it
//! that has not been checked here.

use super::added::AddedToken;
use super::error::TokenizerError;
use super::merges::{Merge, check_merges};
use super::vocabulary::{Alphabet, Token};
use std::collections::HashMap;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::pre_tokenizers::{PreTokenizerWrapper, sequence::Sequence as PreSequence};
use tokenizers::{DecoderWrapper, PostProcessorWrapper, TokenizerImpl};

/// The library's pipeline for one stretch of text: normalise, split, merge. Added tokens and
/// decoding are this crate's own.
pub(super) type Pipeline =
    TokenizerImpl<BPE, NormalizerWrapper, PreTokenizerWrapper, PostProcessorWrapper, DecoderWrapper>;

/// Which stretches of text get a space put before them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SpacePrefix {
    /// None.
    Never,
    /// Each stretch between added tokens, even one that starts with a space.
    Always,
    /// Each stretch that does not start with a space.
    UnlessThere,
    /// The start of the whole text, if it does not start with a space.
    FirstUnlessThere,
}

/// All that makes a tokenizer.
#[derive(Debug)]
pub(super) struct Spec {
    /// By id; `None` where no token has the id.
    pub(super) tokens: Vec<Option<Token>>,
    /// Tokens that merging may yield: text to id.
    pub(super) mergeable: HashMap<String, u32>,
    pub(super) merges: Vec<Merge>,
    pub(super) added: Vec<AddedToken>,
    pub(super) alphabet: Alphabet,
    pub(super) space_prefix: SpacePrefix,
    /// Decoding drops one space at the start of the text.
    pub(super) strips_first_space: bool,
    pub(super) normalizers: Vec<NormalizerWrapper>,
    pub(super) pre_tokenizers: Vec<PreTokenizerWrapper>,
    pub(super) ignore_merges: bool,
    pub(super) byte_fallback: bool,
    pub(super) fuse_unknown: bool,
    /// Text of the token for what the vocabulary cannot spell.
    pub(super) unknown: Option<String>,
    pub(super) bos: Option<u32>,
    pub(super) eos: Option<u32>,
    pub(super) adds_bos: bool,
}

impl Spec {
    /// The library's pipeline. Takes the mergeable tokens and the merges out of the spec, as they
    /// are large.
    pub(super) fn build_pipeline(&mut self) -> Result<Pipeline, TokenizerError> {
        let merges = std::mem::take(&mut self.merges);
        check_merges(&merges, &self.mergeable)?;
        let vocabulary: Vocab = self.mergeable.drain().collect();
        let mut model = BPE::builder()
            .vocab_and_merges(vocabulary, merges)
            .ignore_merges(self.ignore_merges)
            .byte_fallback(self.byte_fallback)
            .fuse_unk(self.fuse_unknown);
        if let Some(unknown) = &self.unknown {
            model = model.unk_token(unknown.clone());
        }
        let model = model.build();
        let model = model.map_err(|e| TokenizerError::Library(e.to_string()))?;
        let mut pipeline = Pipeline::new(model);
        let steps = std::mem::take(&mut self.pre_tokenizers);
        let normalizers = std::mem::take(&mut self.normalizers);
        pipeline.with_pre_tokenizer((!steps.is_empty()).then(|| PreSequence::new(steps)));
        pipeline.with_normalizer(
            (!normalizers.is_empty())
                .then(|| NormalizerWrapper::Sequence(tokenizers::normalizers::Sequence::new(normalizers))),
        );
        Ok(pipeline)
    }
}

/// An id that must lie in a vocabulary of `size` ids, if there is one.
pub(super) fn check_id(what: &'static str, id: Option<u32>, size: usize) -> Result<(), TokenizerError> {
    match id {
        Some(id) if id as usize >= size => Err(TokenizerError::IdOutOfRange { what, id, size }),
        _ => Ok(()),
    }
}
