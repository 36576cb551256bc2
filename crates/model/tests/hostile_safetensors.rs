//! Safetensors folders that are cut short, damaged, lying or unsupported.

#[path = "shared/allocations.rs"]
mod allocations;

use std::fs;
use std::path::Path;

use fourier_kv_model::error::{ConfigError, ModelError, WeightsError};
use fourier_kv_model::safetensors_dir::check_file;
use fourier_kv_model::source::open;
use fourier_kv_testkit::{Encoding, RandomModel};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

const MEMORY: usize = 1 << 20;

fn folder(parts: usize) -> TempDir {
    let folder = tempdir().unwrap();
    RandomModel::qwen2().write_safetensors(folder.path(), Encoding::BF16, parts).unwrap();
    folder
}

fn refused(path: &Path) -> ModelError {
    let error = open(path).expect_err("a broken folder was accepted");
    assert!(allocations::largest() < MEMORY, "asked for {} bytes", allocations::largest());
    error
}

/// The error after a value of the configuration was changed.
#[track_caller]
fn refused_config(key: &str, value: Value) -> ConfigError {
    let folder = folder(1);
    let mut config = RandomModel::qwen2().config_json();
    config[key] = value;
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    match refused(folder.path()) {
        ModelError::Config(error) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_weights_file_cut_short_or_with_flipped_bits_never_panics() {
    let folder = folder(1);
    let whole = fs::read(folder.path().join("model.safetensors")).unwrap();
    check_file(whole.clone()).unwrap();
    for len in (0..4000).chain(whole.len() - 100..whole.len()) {
        assert!(check_file(whole[..len].to_vec()).is_err(), "{len}");
    }
    for byte in 0..2500 {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[byte] ^= 1 << bit;
            let _ = check_file(bytes);
        }
    }
    assert!(allocations::largest() < MEMORY, "asked for {} bytes", allocations::largest());
}

#[test]
fn headers_that_lie() {
    let with_header = |header: &str, data: usize| {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        check_file(bytes)
    };
    let tensor = |dtype: &str, shape: &str, offsets: &str| {
        let entry = format!(r#""dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}"#);
        format!(r#"{{"w":{{{entry}}}}}"#)
    };
    assert_eq!(with_header(&tensor("F32", "[2]", "[0,8]"), 8).unwrap(), ["w"]);
    let lies = [
        (tensor("F32", "[2]", "[0,8]"), 7),
        (tensor("F32", "[2]", "[0,8]"), 9),
        (tensor("F32", "[3]", "[0,8]"), 8),
        (tensor("F32", "[2]", "[8,0]"), 8),
        (tensor("F32", "[2]", "[4,12]"), 12),
        (tensor("F32", "[9223372036854775807,9223372036854775807]", "[0,8]"), 8),
        (tensor("F32", "[2]", "[0,18446744073709551615]"), 8),
        (tensor("F99", "[2]", "[0,8]"), 8),
        ("[]".to_owned(), 0),
        ("[".repeat(100_000), 0),
    ];
    for (header, data) in lies {
        assert!(with_header(&header, data).is_err(), "{}", &header[..header.len().min(99)]);
    }
    let mut huge = u64::MAX.to_le_bytes().to_vec();
    huge.extend(b"{}");
    assert!(check_file(huge).is_err());
    assert!(allocations::largest() < MEMORY, "asked for {} bytes", allocations::largest());
}

#[test]
fn missing_files_are_named() {
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        let folder = folder(1);
        fs::remove_file(folder.path().join(file)).unwrap();
        match refused(folder.path()) {
            ModelError::Io { path, .. } => assert!(path.ends_with(file), "{path:?}"),
            other => panic!("{other:?}"),
        }
    }
    let nowhere = Path::new("no/such/model.gguf");
    assert!(matches!(refused(nowhere), ModelError::Io { path, .. } if path == nowhere));
}

#[test]
fn damaged_json_is_an_error() {
    for file in ["config.json", "generation_config.json", "tokenizer_config.json"] {
        for text in ["", "{", "{\"a\": 1e999}", "[1, 2]", "\u{0}"] {
            let folder = folder(1);
            fs::write(folder.path().join(file), text).unwrap();
            refused(folder.path());
        }
    }
}

#[test]
fn an_index_must_stay_in_its_folder() {
    for name in ["../secret.safetensors", "/etc/x.safetensors", "a\\b.safetensors", "passwd", ""] {
        let folder = folder(2);
        let index = json!({ "weight_map": { "model.norm.weight": name } }).to_string();
        fs::write(folder.path().join("model.safetensors.index.json"), index).unwrap();
        assert!(matches!(refused(folder.path()), ModelError::ShardName { .. }), "{name}");
    }
    let folder = folder(2);
    fs::write(folder.path().join("model.safetensors.index.json"), "{}").unwrap();
    assert!(matches!(refused(folder.path()), ModelError::Config(ConfigError::Missing { .. })));
}

#[test]
fn a_missing_shard_and_a_twin_are_errors() {
    let missing = folder(2);
    fs::remove_file(missing.path().join("model-00002-of-00002.safetensors")).unwrap();
    assert!(matches!(refused(missing.path()), ModelError::Io { .. }));
    let twins = folder(2);
    let shard = |n| twins.path().join(format!("model-0000{n}-of-00002.safetensors"));
    fs::copy(shard(1), shard(2)).unwrap();
    let error = refused(twins.path());
    assert!(matches!(error, ModelError::Weights(WeightsError::Duplicate { .. })), "{error}");
}

#[test]
fn configurations_that_contradict_the_weights() {
    for (key, value) in [
        ("hidden_size", 48),
        ("intermediate_size", 63),
        ("vocab_size", 95),
        ("num_hidden_layers", 3),
        ("num_attention_heads", 2),
    ] {
        let folder = folder(1);
        let mut config = RandomModel::qwen2().config_json();
        config[key] = json!(value);
        fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        let error = refused(folder.path());
        assert!(matches!(error, ModelError::Weights(_)), "{key}: {error}");
    }
}

#[test]
fn values_that_make_no_sense_are_named() {
    for value in [json!(0), json!(u64::MAX)] {
        for key in ["hidden_size", "num_attention_heads", "num_hidden_layers", "vocab_size"] {
            refused_config(key, value.clone());
        }
    }
    for value in [json!("32"), json!(-1), json!(1.5), json!([32]), json!({})] {
        let error = refused_config("hidden_size", value);
        assert!(matches!(error, ConfigError::Kind { key, .. } if key == "hidden_size"));
    }
    let missing = refused_config("hidden_size", Value::Null);
    assert_eq!(missing, ConfigError::Missing { key: "hidden_size".to_owned() });
    refused_config("rope_theta", json!(-1.0));
    refused_config("eos_token_id", json!([1, "x"]));
    refused_config("eos_token_id", json!(96));
}

#[test]
fn what_is_not_supported_is_named() {
    let family = refused_config("model_type", json!("gpt_neox"));
    assert!(matches!(family, ConfigError::Family { found, .. } if found == "gpt_neox"));
    let yarn = refused_config("rope_scaling", json!({ "type": "yarn", "factor": 4.0 }));
    assert_eq!(yarn, ConfigError::RopeScaling { found: "yarn".to_owned() });
    for (key, value) in [
        ("hidden_act", json!("gelu")),
        ("mlp_bias", json!(true)),
        ("use_sliding_window", json!(true)),
        ("partial_rotary_factor", json!(0.5)),
        ("quantization_config", json!({ "quant_method": "awq" })),
    ] {
        let error = refused_config(key, value);
        assert!(matches!(error, ConfigError::Feature { .. }), "{key}: {error}");
    }
}

#[test]
fn unsupported_types_are_named() {
    let folder = folder(1);
    let path = folder.path().join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    // the same two bytes a weight, under another name
    let bf16 = b"\"BF16\"";
    let places: Vec<usize> = (0..bytes.len() - 6).filter(|&i| &bytes[i..i + 6] == bf16).collect();
    for place in places {
        bytes[place..place + 6].copy_from_slice(b"\"I16\" ");
    }
    fs::write(&path, bytes).unwrap();
    match refused(folder.path()) {
        ModelError::Weights(WeightsError::Type { found, .. }) => assert_eq!(found, "I16"),
        other => panic!("{other:?}"),
    }
}
