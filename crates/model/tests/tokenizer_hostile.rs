//! Tokenizer descriptions that are damaged or mean harm: an error or a tokenizer, never a panic.

use fourier_kv_model::tokenizer::{EncodeOptions, Tokenizer, TokenizerError};
use fourier_kv_model::tokenizer_source::{GgufVocabulary, TokenizerSource};
use proptest::test_runner::{RngAlgorithm, TestRng};
use serde_json::{Value, json};

/// A `tokenizer.json` with every part that is read.
fn small_json() -> Value {
    json!({
        "version": "1.0",
        "truncation": {"max_length": 0, "stride": 9, "strategy": "LongestFirst"},
        "padding": null,
        "added_tokens": [
            {"id": 0, "content": "<s>", "special": true, "single_word": false, "lstrip": false,
             "rstrip": false, "normalized": false},
            {"id": 9, "content": "<tool>", "special": false, "lstrip": true, "rstrip": true}
        ],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": "\\s+(?!\\S)|\\p{L}{1,3}"}, "behavior": "Isolated",
             "invert": false},
            {"type": "Digits", "individual_digits": true},
            {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true}
        ]},
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A"}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}}},
        "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "dropout": null, "unk_token": "?", "fuse_unk": true,
            "byte_fallback": false, "ignore_merges": true,
            "vocab": {"<s>": 0, "?": 1, "a": 2, "b": 3, "Ġ": 4, "ab": 5, "Ġa": 6, "1": 7, "é": 8},
            "merges": ["a b", "Ġ a"]}
    })
}

fn small_sentence_piece() -> Value {
    let mut json = small_json();
    json["normalizer"] = json!({"type": "Sequence", "normalizers": [
        {"type": "Prepend", "prepend": "▁"},
        {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]});
    json["pre_tokenizer"] = Value::Null;
    json["decoder"] = json!({"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
        {"type": "ByteFallback"}, {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0}]});
    json["model"]["vocab"] = json!({"<s>": 0, "?": 1, "▁": 2, "a": 3, "▁a": 4, "<0x0A>": 5});
    json["model"]["merges"] = json!([["▁", "a"]]);
    json
}

fn build(json: &Value) -> Result<Tokenizer, TokenizerError> {
    Tokenizer::from_json(json.to_string().as_bytes())
}

/// Uses whatever was built.
fn exercise(tokenizer: &Tokenizer) {
    let options = EncodeOptions { add_bos: false, parse_special: true };
    for text in ["", " ", "ab <s> a1 <tool> é\n\0", "▁a  b", "\u{301}e \u{10ffff}x", "aaaabbbb    "] {
        if let Ok(ids) = tokenizer.encode(text, options) {
            let _ = tokenizer.decode(&ids, false);
            let mut stream = tokenizer.decode_stream(true);
            ids.iter().for_each(|id| {
                stream.push(*id);
            });
            let _ = stream.finish();
        }
    }
    let _ = tokenizer.encode("ab", EncodeOptions { add_bos: true, parse_special: false });
}

#[test]
fn the_small_files_work() {
    let tokenizer = build(&small_json()).unwrap();
    assert!(tokenizer.adds_bos());
    let options = EncodeOptions { add_bos: true, parse_special: true };
    let ids = tokenizer.encode("ab1 <tool> a", options).unwrap();
    assert_eq!(ids, [0, 5, 7, 9, 2]);
    assert_eq!(tokenizer.decode(&ids, true), "ab1<tool>a");
    let tokenizer = build(&small_sentence_piece()).unwrap();
    let ids = tokenizer.encode(" a a", options).unwrap();
    assert_eq!(ids, [0, 2, 4, 4]);
    assert_eq!(tokenizer.decode(&ids, true), " a a");
}

#[test]
fn truncated_files() {
    let text = small_json().to_string();
    for end in 0..text.len() {
        assert!(Tokenizer::from_json(&text.as_bytes()[..end]).is_err(), "{end}");
    }
}

/// Bytes changed, stretches swapped, repeated and cut, from a fixed seed.
#[test]
fn mutated_files() {
    let mut random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let files = [small_json().to_string(), small_sentence_piece().to_string()];
    let mut built = 0;
    for round in 0..20_000 {
        let mut bytes = files[round % 2].clone().into_bytes();
        for _ in 0..1 + below(&mut random, 4) {
            mutate(&mut bytes, &mut random);
        }
        if let Ok(tokenizer) = Tokenizer::from_json(&bytes) {
            exercise(&tokenizer);
            built += 1;
        }
    }
    assert!(built > 500, "only {built} mutations were tokenizers: too wild to test encoding");
}

fn below(random: &mut TestRng, limit: usize) -> usize {
    use proptest::prelude::Rng;
    random.next_u64() as usize % limit.max(1)
}

fn mutate(bytes: &mut Vec<u8>, random: &mut TestRng) {
    const BYTES: &[u8] = b"\"{}[],:0129-eE.\\ au\x00\xff\xc4*+?(){|^$nt";
    let at = below(random, bytes.len());
    let end = (at + below(random, 12)).min(bytes.len());
    match below(random, 5) {
        0 => bytes[at] = BYTES[below(random, BYTES.len())],
        1 => bytes[at] ^= 1 << below(random, 8),
        2 => drop(bytes.drain(at..end)),
        3 => {
            let copy = bytes[at..end].to_vec();
            let to = below(random, bytes.len());
            bytes.splice(to..to, copy);
        }
        _ => bytes.insert(at, BYTES[below(random, BYTES.len())]),
    }
}

/// Each change to the small file makes an error that names what is wrong.
#[test]
fn unsupported_and_inconsistent_files() {
    let cases = [
        ("/model/type", json!("WordPiece"), "WordPiece"),
        ("/model/type", json!("Unigram"), "Unigram"),
        ("/model/unk_token", json!("missing"), "missing"),
        ("/model/dropout", json!(0.5), "dropout"),
        ("/model/continuing_subword_prefix", json!("##"), "##"),
        ("/model/end_of_word_suffix", json!("</w>"), "</w>"),
        ("/model/merges", json!(["a zebra"]), "zebra"),
        ("/model/merges", json!(["b a"]), "ba"),
        ("/model/merges", json!(["ab"]), "two tokens"),
        ("/model/merges", json!(["a b c"]), "two tokens"),
        ("/model/vocab/a", json!(4_294_967_295u32), "4294967296"),
        ("/model/vocab/a", json!(3), "share id 3"),
        ("/model/vocab/a", json!(-1), "invalid value"),
        ("/model/vocab", json!({}), "empty"),
        ("/added_tokens/1/id", json!(2), "share id 2"),
        ("/added_tokens/1/id", json!(4_000_000), "4000001"),
        ("/decoder", Value::Null, "decoder"),
        ("/decoder", json!({"type": "WordPiece", "prefix": "##"}), "WordPiece"),
        ("/decoder", json!({"type": "ByteFallback"}), "ByteFallback"),
        ("/normalizer", json!({"type": "Lowercase"}), "Lowercase"),
        ("/normalizer", json!({"type": "Prepend", "prepend": "x"}), "Prepend"),
        ("/pre_tokenizer", json!({"type": "BertPreTokenizer"}), "BertPreTokenizer"),
        ("/pre_tokenizer/pretokenizers/0/pattern/Regex", json!("("), "("),
        ("/pre_tokenizer/pretokenizers/0/pattern/Regex", json!("(a{999}){999}"), "repetitions"),
        ("/post_processor/special_tokens/<s>/ids", json!([77]), "77"),
    ];
    for (path, value, expected) in cases {
        let mut json = small_json();
        let (parent, key) = path.rsplit_once('/').unwrap();
        let parent = json.pointer_mut(parent).unwrap();
        match parent.as_array_mut() {
            Some(list) => list[key.parse::<usize>().unwrap()] = value,
            None => parent[key] = value,
        }
        if path == "/model/vocab" {
            json["added_tokens"] = json!([]);
            json["model"]["merges"] = json!([]);
            json["model"]["unk_token"] = Value::Null;
            json["post_processor"] = Value::Null;
        }
        let error = build(&json).expect_err(path).to_string();
        assert!(error.contains(expected), "{path}: {error}");
    }
    assert!(Tokenizer::from_json("[".repeat(1_000_000).as_bytes()).is_err());
}

fn small_gguf() -> GgufVocabulary {
    let tokens = ["<unk>", "<s>", "</s>", "<0x0A>", "▁", "a", "b", "▁a", "ab"];
    GgufVocabulary {
        model: "llama".into(),
        pre: "default".into(),
        tokens: tokens.map(str::to_owned).to_vec(),
        scores: vec![0.0, 0.0, 0.0, 0.0, -1.0, -2.0, -3.0, -4.0, -5.0],
        token_types: vec![2, 3, 3, 6, 1, 1, 1, 1, 1],
        bos: Some(1),
        eos: Some(2),
        unknown: Some(0),
        ..GgufVocabulary::default()
    }
}

fn byte_level_gguf() -> GgufVocabulary {
    let merges = vec!["a b".to_owned()];
    GgufVocabulary { model: "gpt2".into(), pre: "smollm".into(), merges, ..small_gguf() }
}

#[test]
fn inconsistent_gguf_vocabularies() {
    type Change = fn(&mut GgufVocabulary);
    let cases: [(Change, &str); 16] = [
        (|v| v.model = "bert".into(), "bert"),
        (|v| v.scores.truncate(3), "scores"),
        (|v| v.scores[4] = f32::NAN, "NaN"),
        (|v| v.token_types.push(1), "types"),
        (|v| v.token_types[4] = 99, "99"),
        (|v| v.bos = Some(9), "beginning-of-sequence"),
        (|v| v.eos = Some(u32::MAX), "end-of-sequence"),
        (|v| v.unknown = Some(10), "unknown"),
        (|v| v.tokens[4] = "x".repeat(5000), "4096"),
        (|v| *v = GgufVocabulary { model: "llama".into(), ..GgufVocabulary::default() }, "empty"),
        (|v| v.tokens = vec![String::new(); (1 << 20) + 1], "limit"),
        (|v| *v = GgufVocabulary { pre: "runes".into(), ..byte_level_gguf() }, "runes"),
        (|v| *v = GgufVocabulary { pre: String::new(), ..byte_level_gguf() }, "smollm"),
        (|v| *v = GgufVocabulary { merges: vec!["ab".into()], ..byte_level_gguf() }, "`ab`"),
        (|v| *v = GgufVocabulary { merges: vec!["b a".into()], ..byte_level_gguf() }, "`ba`"),
        (|v| *v = GgufVocabulary { merges: vec!["a <s>".into()], ..byte_level_gguf() }, "<s>"),
    ];
    for (change, expected) in cases {
        let mut vocabulary = small_gguf();
        change(&mut vocabulary);
        let result = Tokenizer::from_source(&TokenizerSource::Gguf(vocabulary));
        let error = result.expect_err(expected).to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

/// Empty and repeated tokens, no types, no special ids: odd, but usable.
#[test]
fn odd_gguf_vocabularies_still_work() {
    let mut odd = small_gguf();
    odd.tokens[8] = String::new();
    odd.tokens[7] = "a".into();
    let mut bare = byte_level_gguf();
    bare.token_types.clear();
    (bare.bos, bare.eos, bare.unknown) = (None, None, None);
    for vocabulary in [small_gguf(), byte_level_gguf(), odd, bare] {
        let tokenizer = Tokenizer::from_source(&TokenizerSource::Gguf(vocabulary)).unwrap();
        exercise(&tokenizer);
        let ids = tokenizer.encode("ab", EncodeOptions::default()).unwrap();
        assert_eq!(tokenizer.decode(&ids, false), "ab");
    }
}
