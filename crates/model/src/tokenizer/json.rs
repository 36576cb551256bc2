//! From the bytes of a `tokenizer.json` to a [`Spec`].
//!
//! Only the parts that Llama-family models use are read; any other is refused by name, as a part
//! passed over would give wrong ids.

use super::added::AddedToken;
use super::error::TokenizerError;
use super::json_format::{Decoder, File, Model, Normalizer, Pattern, PreTokenizer, PrependScheme};
use super::pre;
use super::spec::{SpacePrefix, Spec};
use super::vocabulary::{Alphabet, MAX_TOKENS, Token, TokenKind, check_limit};
use tokenizers::normalizers::{NFC, NFD, NFKC, NFKD, NormalizerWrapper};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::metaspace::{self, Metaspace};
use tokenizers::pre_tokenizers::split::SplitPattern;

/// SentencePiece's stand-in for a space.
const SPACE: &str = "▁";

/// Parses and checks the file and says what tokenizer it makes.
pub(super) fn spec(bytes: &[u8]) -> Result<Spec, TokenizerError> {
    let file = File::parse(bytes)?;
    check_model(&file.model)?;
    let (tokens, added) = tokens(&file)?;
    let mut spec = base(file.model, tokens, added);
    if let Some(bos) = file.post_processor.as_ref().and_then(first_special) {
        super::spec::check_id("beginning-of-sequence", Some(bos), spec.tokens.len())?;
        spec.bos = Some(bos);
        spec.adds_bos = true;
    }
    for normalizer in file.normalizer.into_iter().flat_map(Normalizer::flatten) {
        add_normalizer(&mut spec, normalizer)?;
    }
    for step in file.pre_tokenizer.into_iter().flat_map(PreTokenizer::flatten) {
        add_step(&mut spec, step)?;
    }
    set_decoder(&mut spec, file.decoder)?;
    Ok(spec)
}

fn unsupported(part: &'static str, found: impl Into<String>, expected: &'static str) -> TokenizerError {
    TokenizerError::Unsupported { part, found: found.into(), expected }
}

fn check_model(model: &Model) -> Result<(), TokenizerError> {
    for affix in [&model.continuing_subword_prefix, &model.end_of_word_suffix] {
        if let Some(affix) = affix.as_deref().filter(|a| !a.is_empty()) {
            return Err(unsupported("model's subword affix", affix, "none"));
        }
    }
    if let Some(dropout) = model.dropout.filter(|d| *d != 0.0) {
        let dropout = dropout.to_string();
        return Err(unsupported("model's dropout", dropout, "none"));
    }
    match &model.unk_token {
        Some(unknown) if !model.vocab.contains_key(unknown) => {
            let expected = "a token of the vocabulary";
            Err(unsupported("model's unk_token", unknown, expected))
        }
        _ => Ok(()),
    }
}

/// What the model section alone says.
fn base(model: Model, tokens: Vec<Option<Token>>, added: Vec<AddedToken>) -> Spec {
    Spec {
        tokens,
        mergeable: model.vocab,
        merges: model.merges.into_iter().map(Into::into).collect(),
        added,
        alphabet: Alphabet::ByteLevel,
        space_prefix: SpacePrefix::Never,
        strips_first_space: false,
        normalizers: Vec::new(),
        pre_tokenizers: Vec::new(),
        ignore_merges: model.ignore_merges,
        byte_fallback: model.byte_fallback,
        fuse_unknown: model.fuse_unk,
        unknown: model.unk_token,
        bos: None,
        eos: None,
        adds_bos: false,
    }
}

/// Tokens of the model and added tokens by id, and the added ones as a list.
fn tokens(file: &File) -> Result<(Vec<Option<Token>>, Vec<AddedToken>), TokenizerError> {
    let ids = file.model.vocab.values().copied();
    let ids = ids.chain(file.added_tokens.iter().map(|t| t.id));
    let size = ids.max().map_or(0, |id| id as usize + 1);
    check_limit("vocabulary", size, MAX_TOKENS)?;
    let mut tokens: Vec<Option<Token>> = vec![None; size];
    for (text, id) in &file.model.vocab {
        set_token(&mut tokens, *id, text, TokenKind::Text)?;
    }
    for token in &file.added_tokens {
        // A token that the model has as well keeps the model's id: that is where its row is.
        let id = file.model.vocab.get(&token.content).copied().unwrap_or(token.id);
        let kind = match token.special {
            true => TokenKind::Special,
            false => TokenKind::UserDefined,
        };
        set_token(&mut tokens, id, &token.content, kind)?;
    }
    let added = file.added_tokens.iter().map(|token| AddedToken {
        id: file.model.vocab.get(&token.content).copied().unwrap_or(token.id),
        text: token.content.clone(),
        special: token.special,
        strip_left: token.lstrip,
        strip_right: token.rstrip,
    });
    Ok((tokens, added.collect()))
}

/// Fills one place, which only the same text may have taken before.
fn set_token(tokens: &mut [Option<Token>], id: u32, text: &str, kind: TokenKind) -> Result<(), TokenizerError> {
    let place = &mut tokens[id as usize];
    match place {
        Some(token) if token.text != text => {
            Err(TokenizerError::SharedId { id, first: token.text.clone(), second: text.to_owned() })
        }
        _ => {
            *place = Some(Token { text: text.to_owned(), kind });
            Ok(())
        }
    }
}

fn add_normalizer(spec: &mut Spec, normalizer: Normalizer) -> Result<(), TokenizerError> {
    let form = match normalizer {
        Normalizer::NFC => NormalizerWrapper::NFC(NFC),
        Normalizer::NFD => NormalizerWrapper::NFD(NFD),
        Normalizer::NFKC => NormalizerWrapper::NFKC(NFKC),
        Normalizer::NFKD => NormalizerWrapper::NFKD(NFKD),
        Normalizer::Prepend { prepend } if prepend == SPACE => {
            spec.space_prefix = SpacePrefix::Always;
            spec.alphabet = Alphabet::Metaspace;
            return Ok(());
        }
        Normalizer::Replace { pattern: Pattern::String(from), content } if from == " " && content == SPACE => {
            spec.alphabet = Alphabet::Metaspace;
            return Ok(());
        }
        Normalizer::Sequence { .. } => return Ok(()), // flattened before
        other => {
            let expected = "Prepend ▁, Replace of a space by ▁, or a Unicode normal form";
            return Err(unsupported("normalizer", format!("{other:?}"), expected));
        }
    };
    spec.normalizers.push(form);
    Ok(())
}

fn add_step(spec: &mut Spec, step: PreTokenizer) -> Result<(), TokenizerError> {
    let step = match step {
        PreTokenizer::ByteLevel { add_prefix_space, use_regex } => pre::byte_level(add_prefix_space, use_regex),
        PreTokenizer::Digits { individual_digits } => pre::digits(individual_digits),
        PreTokenizer::Split { pattern, behavior, invert } => {
            let pattern = match pattern {
                Pattern::String(text) => SplitPattern::String(text),
                Pattern::Regex(text) => SplitPattern::Regex(text),
            };
            pre::split(pattern, behavior, invert)?
        }
        PreTokenizer::Metaspace(space) => {
            if space.replacement != '▁' {
                let found = space.replacement.to_string();
                return Err(unsupported("Metaspace replacement", found, "▁"));
            }
            spec.alphabet = Alphabet::Metaspace;
            spec.space_prefix = match space.scheme() {
                PrependScheme::Never => SpacePrefix::Never,
                PrependScheme::First => SpacePrefix::FirstUnlessThere,
                PrependScheme::Always => SpacePrefix::UnlessThere,
            };
            if !space.split.unwrap_or(true) {
                return Ok(());
            }
            let split = Metaspace::new('▁', metaspace::PrependScheme::Never, true);
            PreTokenizerWrapper::Metaspace(split)
        }
        PreTokenizer::Sequence { .. } => return Ok(()), // flattened before
    };
    spec.pre_tokenizers.push(step);
    Ok(())
}

/// The decoder only has to agree with the alphabet; whether it drops the first space is the one
/// thing it adds.
fn set_decoder(spec: &mut Spec, decoder: Option<Decoder>) -> Result<(), TokenizerError> {
    const EXPECTED: &str = "ByteLevel, Metaspace, or Replace, ByteFallback, Fuse and Strip";
    let steps: Vec<Decoder> = decoder.into_iter().flat_map(Decoder::flatten).collect();
    let byte_level = steps.iter().any(|s| matches!(s, Decoder::ByteLevel));
    if steps.is_empty() || byte_level != (spec.alphabet == Alphabet::ByteLevel) {
        let found = format!("{steps:?} with the {:?} alphabet", spec.alphabet);
        return Err(unsupported("decoder", found, EXPECTED));
    }
    for step in steps {
        match step {
            Decoder::Strip { content: ' ', start: 1, stop: 0 } => spec.strips_first_space = true,
            Decoder::Metaspace(space) => {
                spec.strips_first_space = space.scheme() != PrependScheme::Never;
            }
            Decoder::Replace { pattern: Pattern::String(from), content } if from == SPACE && content == " " => {}
            Decoder::ByteLevel | Decoder::ByteFallback | Decoder::Fuse => {}
            other => return Err(unsupported("decoder", format!("{other:?}"), EXPECTED)),
        }
    }
    Ok(())
}

/// The id of the special token that a template puts first.
fn first_special(post_processor: &serde_json::Value) -> Option<u32> {
    if let Some(list) = post_processor.get("processors").and_then(|p| p.as_array()) {
        return list.iter().find_map(first_special);
    }
    let name = post_processor.pointer("/single/0/SpecialToken/id")?.as_str()?;
    let special = post_processor.get("special_tokens")?.get(name)?;
    u32::try_from(special.pointer("/ids/0")?.as_u64()?).ok()
}
