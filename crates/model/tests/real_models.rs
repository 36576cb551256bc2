//! Real models, where they have been fetched.
//!
//! SmolLM2 is the project's default model: its test fails without it. The larger ones are looked at
//! if they are there.

use std::path::PathBuf;

use fourier_kv_kernels::quant::WeightType;
use fourier_kv_model::config::RopeScaling;
use fourier_kv_model::family::RopePairs;
use fourier_kv_model::source::{ModelSource, open};
use fourier_kv_model::weights::Role;

/// Where models are kept between runs.
fn model_path(file: &str) -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
    cache.unwrap_or_default().join("fourier-kv-models").join(file)
}

#[track_caller]
fn assert_shape(source: &ModelSource, expected: [usize; 8]) {
    let config = &source.config;
    let (heads, kv_heads, head_dim) = (config.heads, config.kv_heads, config.head_dim);
    let (width, hidden, vocabulary) = (config.width, config.hidden, config.vocabulary);
    let found = [config.layers, heads, kv_heads, head_dim, width, hidden, vocabulary, config.context_length];
    assert_eq!(found, expected);
}

#[test]
fn smollm2_opens() {
    let path = model_path("smollm2-135m-instruct-q4_1.gguf");
    assert!(
        path.exists(),
        "{} is not there: fetch it with `fourier-kv pull smollm2`, as the project's test command does",
        path.display()
    );
    let source = open(&path).unwrap();
    assert_shape(&source, [30, 9, 3, 64, 576, 1536, 49152, 8192]);
    let config = &source.config;
    assert_eq!((config.norm_eps, config.rope.theta), (1e-5, 1e5));
    assert_eq!(config.rope.scaling, RopeScaling::None);
    assert!(config.tied_output && !config.attention_bias);
    assert_eq!((config.bos, config.eos.as_slice()), (Some(1), &[2][..]));
    assert_eq!(source.pairs, RopePairs::Interleaved);
    assert_eq!(source.weights.matrix(Role::Query(29)).unwrap().ty(), WeightType::Q4_1);
    assert_eq!(source.weights.matrix(Role::Output).unwrap().ty(), WeightType::Q8_0);
    let vocabulary = source.gguf_vocabulary().unwrap();
    assert_eq!((vocabulary.tokens.len(), vocabulary.merges.len()), (49152, 48900));
    assert_eq!(vocabulary.pre, "smollm");
    assert!(source.chat_template.as_ref().unwrap().contains("<|im_start|>"));
    assert_eq!(source.fingerprint().unwrap().len(), 64);
    // all but a few megabytes of vocabulary are weights
    let file = std::fs::metadata(&path).unwrap().len() as usize;
    assert!((file - 4_000_000..file).contains(&source.weights.bytes()));
}

#[test]
fn qwen2_5_coder_models_open() {
    let half = model_path("qwen2.5-coder-0.5b-instruct.gguf");
    if half.exists() {
        let source = open(&half).unwrap();
        assert_shape(&source, [24, 14, 2, 64, 896, 4864, 151936, 32768]);
        assert!(source.config.attention_bias && !source.config.tied_output);
        assert_eq!((source.config.rope.theta, source.pairs), (1e6, RopePairs::Halves));
        assert_eq!(source.weights.vector(Role::KeyBias(23)).unwrap().len(), 128);
        assert_eq!(source.weights.matrix(Role::Gate(0)).unwrap().ty(), WeightType::Q5_0);
    }
    let one_and_a_half = model_path("qwen2.5-coder-1.5b-instruct-q4_k_m.gguf");
    if one_and_a_half.exists() {
        let source = open(&one_and_a_half).unwrap();
        assert_shape(&source, [28, 12, 2, 128, 1536, 8960, 151936, 32768]);
        assert_eq!(source.weights.matrix(Role::Up(5)).unwrap().ty(), WeightType::Q4_K);
        assert_eq!(source.weights.matrix(Role::Output).unwrap().ty(), WeightType::Q6_K);
    }
}
