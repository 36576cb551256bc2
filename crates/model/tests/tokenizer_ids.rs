//! Token ids against goldens made by the tokenizers that the models were published with
//! (`tools/goldens/tokenizer_ids.py`), and decoding back.

#[path = "shared/cached_models.rs"]
mod cached_models;

use cached_models::cached_model;
use fourier_kv_model::source;
use fourier_kv_model::tokenizer::{EncodeOptions, Tokenizer};
use fourier_kv_model::tokenizer_source::{GgufVocabulary, TokenizerSource};
use fourier_kv_testkit::tiny_tokenizer;
use proptest::prelude::*;
use serde::Deserialize;
use std::sync::LazyLock;

const PARSED: EncodeOptions = EncodeOptions { add_bos: false, parse_special: true };
const LITERAL: EncodeOptions = EncodeOptions { add_bos: false, parse_special: false };

#[derive(Deserialize)]
struct Goldens {
    texts: Vec<String>,
    real: Vec<Real>,
    byte_level: Vec<ByteLevel>,
    sentence_piece: SentencePiece,
}

#[derive(Deserialize)]
struct Real {
    file: String,
    parsed: Vec<Vec<u32>>,
    literal: Vec<Vec<u32>>,
}

#[derive(Deserialize)]
struct ByteLevel {
    pre: String,
    tokenizer_json: String,
    parsed: Vec<Vec<u32>>,
}

#[derive(Deserialize)]
struct SentencePiece {
    tokens: Vec<String>,
    scores: Vec<f32>,
    token_types: Vec<i32>,
    texts: Vec<usize>,
    ids: Vec<Vec<u32>>,
    decoded: Vec<String>,
}

static GOLDENS: LazyLock<Goldens> =
    LazyLock::new(|| serde_json::from_str(include_str!("goldens/tokenizer_ids.json")).unwrap());

fn real_tokenizer(file: &str) -> Option<Tokenizer> {
    let model = source::open(&cached_model(file)?).unwrap();
    Some(Tokenizer::from_source(&model.tokenizer).unwrap())
}

fn byte_level(golden: &ByteLevel) -> Tokenizer {
    Tokenizer::from_json(golden.tokenizer_json.as_bytes()).unwrap()
}

/// The GGUF metadata that llama.cpp's conversion would write for a `tokenizer.json`.
fn as_gguf(golden: &ByteLevel) -> GgufVocabulary {
    let json: serde_json::Value = serde_json::from_str(&golden.tokenizer_json).unwrap();
    let vocab = json["model"]["vocab"].as_object().unwrap();
    let mut tokens = vec![String::new(); vocab.len()];
    for (text, id) in vocab {
        tokens[id.as_u64().unwrap() as usize] = text.clone();
    }
    let merges = json["model"]["merges"].as_array().unwrap().iter();
    let part = |merge: &serde_json::Value, i: usize| merge[i].as_str().unwrap().to_owned();
    let control = |text: &String| {
        if text.starts_with("<|") && text.len() > 2 { 3 } else { 1 }
    };
    GgufVocabulary {
        model: "gpt2".into(),
        pre: golden.pre.clone(),
        token_types: tokens.iter().map(control).collect(),
        merges: merges.map(|m| format!("{} {}", part(m, 0), part(m, 1))).collect(),
        tokens,
        ..GgufVocabulary::default()
    }
}

fn sentence_piece() -> Tokenizer {
    let golden = &GOLDENS.sentence_piece;
    let vocabulary = GgufVocabulary {
        model: "llama".into(),
        pre: "default".into(),
        tokens: golden.tokens.clone(),
        scores: golden.scores.clone(),
        token_types: golden.token_types.clone(),
        bos: Some(1),
        eos: Some(2),
        unknown: Some(0),
        ..GgufVocabulary::default()
    };
    Tokenizer::from_source(&TokenizerSource::Gguf(vocabulary)).unwrap()
}

fn assert_ids(tokenizer: &Tokenizer, text: &str, options: EncodeOptions, expected: &[u32]) {
    let ids = tokenizer.encode(text, options).unwrap();
    let texts = |ids: &[u32]| ids.iter().map(|i| tokenizer.token_text(*i)).collect::<Vec<_>>();
    assert_eq!(ids, expected, "{text:?}: {:?}\nexpected {:?}", texts(&ids), texts(expected));
}

#[test]
fn real_models_give_the_published_ids() {
    for golden in &GOLDENS.real {
        let Some(tokenizer) = real_tokenizer(&golden.file) else {
            continue;
        };
        for (i, text) in GOLDENS.texts.iter().enumerate() {
            assert_ids(&tokenizer, text, PARSED, &golden.parsed[i]);
            assert_ids(&tokenizer, text, LITERAL, &golden.literal[i]);
        }
    }
}

#[test]
fn both_file_formats_give_the_published_ids() {
    for golden in &GOLDENS.byte_level {
        let from_json = byte_level(golden);
        let from_gguf = Tokenizer::from_source(&TokenizerSource::Gguf(as_gguf(golden))).unwrap();
        for (text, ids) in GOLDENS.texts.iter().zip(&golden.parsed) {
            assert_ids(&from_json, text, PARSED, ids);
            assert_ids(&from_gguf, text, PARSED, ids);
        }
    }
}

/// The tokenizer of random test models, as both file formats write it.
#[test]
fn tiny_tokenizer_in_both_formats() {
    let json = tiny_tokenizer::tokenizer_json().to_string();
    let from_json = Tokenizer::from_json(json.as_bytes()).unwrap();
    let vocabulary = GgufVocabulary {
        model: "gpt2".into(),
        pre: "gpt-2".into(),
        tokens: tiny_tokenizer::tokens(),
        merges: tiny_tokenizer::merges(),
        token_types: tiny_tokenizer::token_types(),
        ..GgufVocabulary::default()
    };
    let from_gguf = Tokenizer::from_source(&TokenizerSource::Gguf(vocabulary)).unwrap();
    let text = "<|im_start|>the sun and the river<|im_end|>\n";
    let ids = from_json.encode(text, PARSED).unwrap();
    assert_eq!(ids[0], tiny_tokenizer::TURN_START);
    assert_eq!(ids, from_gguf.encode(text, PARSED).unwrap());
    assert_eq!(from_gguf.decode(&ids, false), text);
}

#[test]
fn sentence_piece_ids_from_scores_alone() {
    let (tokenizer, golden) = (sentence_piece(), &GOLDENS.sentence_piece);
    assert!(tokenizer.adds_bos());
    for (i, text) in golden.texts.iter().map(|i| &GOLDENS.texts[*i]).enumerate() {
        assert_ids(&tokenizer, text, LITERAL, &golden.ids[i]);
        assert_eq!(tokenizer.decode(&golden.ids[i], false), golden.decoded[i], "{text:?}");
    }
}

#[test]
fn text_survives_the_round_trip() {
    for golden in &GOLDENS.byte_level {
        let tokenizer = byte_level(golden);
        for text in &GOLDENS.texts {
            for options in [PARSED, LITERAL] {
                let ids = tokenizer.encode(text, options).unwrap();
                assert_eq!(&tokenizer.decode(&ids, false), text);
                assert_eq!(stream(&tokenizer, &ids, false), *text);
            }
        }
    }
}

#[test]
fn special_tokens_only_where_asked() {
    let tokenizer = byte_level(&GOLDENS.byte_level[0]);
    let end = tokenizer.id_of("<|im_end|>").unwrap();
    assert!(tokenizer.is_special(end));
    let text = "Hello<|im_end|>";
    assert!(tokenizer.encode(text, PARSED).unwrap().contains(&end));
    let literal = tokenizer.encode(text, EncodeOptions::default()).unwrap();
    assert!(!literal.contains(&end));
    assert_eq!(tokenizer.decode(&literal, true), text);
    assert_eq!(tokenizer.decode(&[end], true), "");
    assert_eq!(tokenizer.decode(&[end], false), "<|im_end|>");
}

#[test]
fn beginning_of_sequence() {
    let with_bos = EncodeOptions { add_bos: true, ..LITERAL };
    let tokenizer = sentence_piece();
    let ids = tokenizer.encode("the", with_bos).unwrap();
    assert_eq!(ids[0], 1);
    assert_eq!(ids[1..], tokenizer.encode("the", LITERAL).unwrap());
    let without = byte_level(&GOLDENS.byte_level[1]);
    assert!(without.encode("the", with_bos).is_err());
    let given = without.with_special_ids(Some(0), Some(1)).unwrap();
    assert_eq!(given.encode("the", with_bos).unwrap()[0], 0);
    assert_eq!(given.eos(), Some(1));
    assert!(given.with_special_ids(Some(u32::MAX), None).is_err());
}

#[test]
fn tokens_by_id_and_text() {
    let tokenizer = byte_level(&GOLDENS.byte_level[0]);
    for id in 0..tokenizer.vocabulary_size() as u32 {
        assert_eq!(tokenizer.id_of(tokenizer.token_text(id).unwrap()), Some(id));
    }
    let space = tokenizer.id_of("Ġ").unwrap();
    assert_eq!(tokenizer.token_bytes(space), Some(b" ".to_vec()));
    let outside = tokenizer.vocabulary_size() as u32;
    assert_eq!(tokenizer.token_bytes(outside), None);
    assert_eq!(tokenizer.decode(&[outside, u32::MAX], false), "");
}

/// A megabyte in the worst shapes: all must come back, and be split to the end.
#[test]
fn long_texts() {
    let prose = GOLDENS.texts[3].repeat(20_000);
    let blanks = format!("{}the", " ".repeat(499_999));
    let texts = [prose, blanks, "a".repeat(300_000), "x\n \t".repeat(300_000)];
    let byte_level = byte_level(&GOLDENS.byte_level[0]);
    for text in &texts {
        for tokenizer in [&byte_level, &sentence_piece()] {
            let ids = tokenizer.encode(text, PARSED).unwrap();
            assert!(tokenizer.decode(&ids, false) == *text, "{:?}...", &text[..8]);
        }
    }
    let last = byte_level.encode(" the", PARSED).unwrap();
    assert!(byte_level.encode(&texts[1], PARSED).unwrap().ends_with(&last));
    let too_long = byte_level.encode(&" ".repeat(500_001), PARSED).unwrap_err();
    assert!(too_long.to_string().contains("white space"), "{too_long}");
}

fn stream(tokenizer: &Tokenizer, ids: &[u32], skip_special: bool) -> String {
    let mut decoder = tokenizer.decode_stream(skip_special);
    let mut text = String::new();
    for id in ids {
        if let Some(piece) = decoder.push(*id) {
            assert!(!piece.is_empty());
            text.push_str(piece);
        }
    }
    text.push_str(&decoder.finish().unwrap_or_default());
    text
}

static TOKENIZERS: LazyLock<Vec<Tokenizer>> = LazyLock::new(|| {
    let mut all: Vec<_> = GOLDENS.byte_level.iter().map(byte_level).collect();
    all.push(sentence_piece());
    all.extend(GOLDENS.real.iter().filter_map(|golden| real_tokenizer(&golden.file)));
    all
});

proptest! {
    #[test]
    fn streaming_equals_decoding_for_any_ids(
        ids in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
        skip_special: bool,
    ) {
        for tokenizer in TOKENIZERS.iter() {
            let size = tokenizer.vocabulary_size() + 2; // some ids outside
            let ids: Vec<u32> = ids.iter().map(|id| id.index(size) as u32).collect();
            let whole = tokenizer.decode(&ids, skip_special);
            prop_assert_eq!(stream(tokenizer, &ids, skip_special), whole);
        }
    }

    /// Low ids are the bytes, so that broken characters are common.
    #[test]
    fn streaming_equals_decoding_for_broken_characters(
        ids in prop::collection::vec(0u32..262, 0..60),
    ) {
        for tokenizer in TOKENIZERS.iter() {
            prop_assert_eq!(stream(tokenizer, &ids, false), tokenizer.decode(&ids, false));
        }
    }

    #[test]
    fn any_text_survives(text in "\\PC{0,40}|[ \\n\\t<|>a-zé\u{4e00}]{0,60}") {
        for golden in &GOLDENS.byte_level {
            let tokenizer = byte_level(golden);
            let ids = tokenizer.encode(&text, PARSED).unwrap();
            prop_assert_eq!(tokenizer.decode(&ids, false), text.clone());
        }
    }
}
