//! From the vocabulary in a GGUF file's metadata to a [`Spec`].

use super::added::AddedToken;
use super::error::TokenizerError;
use super::merges::{Merge, merges_from_scores, parse_merges};
use super::pre::PreRule;
use super::spec::{SpacePrefix, Spec, check_id};
use super::vocabulary::{Alphabet, MAX_TOKENS, Token, TokenKind, check_limit};
use crate::tokenizer_source::GgufVocabulary;
use std::collections::HashMap;
use tokenizers::normalizers::{NFC, NormalizerWrapper};

/// The values of `tokenizer.ggml.token_type`.
mod token_type {
    pub(super) const NORMAL: i32 = 1;
    pub(super) const UNKNOWN: i32 = 2;
    pub(super) const CONTROL: i32 = 3;
    pub(super) const USER_DEFINED: i32 = 4;
    pub(super) const UNUSED: i32 = 5;
    pub(super) const BYTE: i32 = 6;
}

/// Checks the vocabulary and says what tokenizer it makes.
pub(super) fn spec(source: &GgufVocabulary) -> Result<Spec, TokenizerError> {
    check(source)?;
    match source.model.as_str() {
        "gpt2" => byte_level(source),
        "llama" => sentence_piece(source),
        other => Err(TokenizerError::UnknownKind {
            found: other.to_owned(),
            expected: "gpt2 (byte-level BPE) or llama (SentencePiece BPE)",
        }),
    }
}

fn check(source: &GgufVocabulary) -> Result<(), TokenizerError> {
    let size = source.tokens.len();
    check_limit("vocabulary", size, MAX_TOKENS)?;
    let types = source.token_types.len();
    if types != 0 && types != size {
        return Err(length("token types", size, types));
    }
    if let Some(kind) = source.token_types.iter().find(|t| !(0..=6).contains(*t)) {
        return Err(TokenizerError::Unsupported { part: "token type", found: kind.to_string(), expected: "0 to 6" });
    }
    check_id("beginning-of-sequence", source.bos, size)?;
    check_id("end-of-sequence", source.eos, size)?;
    check_id("unknown", source.unknown, size)
}

fn length(list: &'static str, expected: usize, found: usize) -> TokenizerError {
    TokenizerError::Length { list, expected, found }
}

fn byte_level(source: &GgufVocabulary) -> Result<Spec, TokenizerError> {
    let rule = PreRule::by_name(&source.pre)?;
    let nfc = rule.nfc.then_some(NormalizerWrapper::NFC(NFC));
    Ok(Spec {
        normalizers: nfc.into_iter().collect(),
        pre_tokenizers: rule.steps,
        ignore_merges: rule.ignore_merges,
        adds_bos: source.add_bos.unwrap_or(rule.adds_bos),
        space_prefix: match source.add_space_prefix {
            Some(true) => SpacePrefix::UnlessThere,
            _ => SpacePrefix::Never,
        },
        ..base(source, parse_merges(&source.merges)?, Alphabet::ByteLevel)
    })
}

fn sentence_piece(source: &GgufVocabulary) -> Result<Spec, TokenizerError> {
    let (size, scores) = (source.tokens.len(), source.scores.len());
    if scores != size {
        return Err(length("scores", size, scores));
    }
    let not_finite = source.scores.iter().position(|s| !s.is_finite());
    if let Some(id) = not_finite {
        let score = source.scores[id];
        return Err(TokenizerError::BadScore { id, score });
    }
    let prefixed = source.add_space_prefix.unwrap_or(true);
    let unknown = source.unknown.map(|id| source.tokens[id as usize].clone());
    let mut spec = base(source, merges_from_scores(&pieces(source)), Alphabet::Metaspace);
    if let (Some(text), Some(id)) = (&unknown, source.unknown) {
        spec.mergeable.entry(text.clone()).or_insert(id);
    }
    Ok(Spec {
        byte_fallback: true,
        fuse_unknown: true,
        unknown,
        adds_bos: source.add_bos.unwrap_or(true),
        strips_first_space: prefixed,
        space_prefix: match prefixed {
            true => SpacePrefix::Always,
            false => SpacePrefix::Never,
        },
        ..spec
    })
}

/// What both kinds share.
fn base(source: &GgufVocabulary, merges: Vec<Merge>, alphabet: Alphabet) -> Spec {
    Spec {
        tokens: tokens(source),
        mergeable: mergeable(source),
        merges,
        added: added(source),
        alphabet,
        space_prefix: SpacePrefix::Never,
        strips_first_space: false,
        normalizers: Vec::new(),
        pre_tokenizers: Vec::new(),
        ignore_merges: false,
        byte_fallback: false,
        fuse_unknown: false,
        unknown: None,
        bos: source.bos,
        eos: source.eos,
        adds_bos: false,
    }
}

fn type_of(source: &GgufVocabulary, id: usize) -> i32 {
    let kind = source.token_types.get(id).copied();
    kind.filter(|t| *t != 0).unwrap_or(token_type::NORMAL)
}

fn tokens(source: &GgufVocabulary) -> Vec<Option<Token>> {
    let kind = |id| match type_of(source, id) {
        token_type::CONTROL | token_type::UNKNOWN => TokenKind::Special,
        token_type::USER_DEFINED => TokenKind::UserDefined,
        token_type::UNUSED => TokenKind::Unused,
        _ => TokenKind::Text,
    };
    let token = |(id, text): (usize, &String)| {
        let text = text.clone();
        Some(Token { text, kind: kind(id) })
    };
    source.tokens.iter().enumerate().map(token).collect()
}

/// The first of several tokens with the same text wins.
fn mergeable(source: &GgufVocabulary) -> HashMap<String, u32> {
    let mut ids = HashMap::new();
    for (id, text) in (0u32..).zip(&source.tokens) {
        let kind = type_of(source, id as usize);
        if [token_type::NORMAL, token_type::USER_DEFINED, token_type::BYTE].contains(&kind) {
            ids.entry(text.clone()).or_insert(id);
        }
    }
    ids
}

fn added(source: &GgufVocabulary) -> Vec<AddedToken> {
    let special = |id| match type_of(source, id) {
        token_type::CONTROL | token_type::UNKNOWN => Some(true),
        token_type::USER_DEFINED => Some(false),
        _ => None,
    };
    let token = |(id, text): (u32, &String)| {
        Some(AddedToken {
            id,
            text: text.clone(),
            special: special(id as usize)?,
            strip_left: false,
            strip_right: false,
        })
    };
    (0u32..).zip(&source.tokens).filter_map(token).collect()
}

/// The tokens that SentencePiece merges into, in the order of their ids. Overlong ones would only
/// cost time here, and are refused when the vocabulary is packed.
fn pieces(source: &GgufVocabulary) -> Vec<(&str, f32)> {
    let merged = |id: &usize| [token_type::NORMAL, token_type::USER_DEFINED].contains(&type_of(source, *id));
    let ids = (0..source.tokens.len()).filter(merged);
    let short = ids.filter(|id| source.tokens[*id].len() <= super::vocabulary::MAX_TOKEN_BYTES);
    short.map(|id| (source.tokens[id].as_str(), source.scores[id])).collect()
}
