//! Random models in both file formats: what is read is what was specified.

use std::path::Path;

use fourier_kv_kernels::isa::Isa;
use fourier_kv_kernels::quant::WeightType;
use fourier_kv_model::config::{ModelConfig, RopeScaling};
use fourier_kv_model::error::WeightsError;
use fourier_kv_model::family::{Family, RopePairs};
use fourier_kv_model::source::{ModelSource, open};
use fourier_kv_model::tokenizer_source::TokenizerSource;
use fourier_kv_model::weights::Role;
use fourier_kv_testkit::{Encoding, Meta, RandomModel, tiny_tokenizer};
use tempfile::tempdir;

fn gguf(model: &RandomModel, encoding: Encoding) -> ModelSource {
    let folder = tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    model.write_gguf(&path, encoding).unwrap();
    open(&path).unwrap()
}

fn folder(model: &RandomModel, encoding: Encoding, parts: usize) -> ModelSource {
    let folder = tempdir().unwrap();
    model.write_safetensors(folder.path(), encoding, parts).unwrap();
    open(folder.path()).unwrap()
}

fn both() -> [RandomModel; 2] {
    [RandomModel::llama(), RandomModel::qwen2()]
}

/// The specified values of a tensor.
fn specified(model: &RandomModel, name: &str) -> Vec<f32> {
    let tensor = model.tensors().into_iter().find(|tensor| tensor.name == name).unwrap();
    tensor.values.iter().map(|value| value.to_f32()).collect()
}

fn assert_shape(config: &ModelConfig, model: &RandomModel) {
    assert_eq!(config.family.info().name, model.family);
    assert_eq!(
        (config.layers, config.heads, config.kv_heads, config.head_dim),
        (model.layers, model.heads, model.kv_heads, model.head_dim)
    );
    assert_eq!(
        (config.width, config.hidden, config.vocabulary, config.context_length),
        (model.width, model.hidden, model.vocabulary, model.context)
    );
    assert_eq!(config.norm_eps, model.norm_eps);
    assert_eq!(config.rope.theta, f64::from(model.theta));
    assert_eq!(config.tied_output, model.tied);
    assert_eq!(config.attention_bias, model.attention_bias);
    assert_eq!(config.attention_output_bias, model.attention_output_bias);
    assert_eq!(config.bos, Some(tiny_tokenizer::TURN_START));
    assert_eq!(config.eos, [tiny_tokenizer::TURN_END]);
}

#[test]
fn configurations_are_read_from_both_formats() {
    for model in both() {
        assert_shape(&gguf(&model, Encoding::F32).config, &model);
        assert_shape(&folder(&model, Encoding::BF16, 1).config, &model);
    }
}

#[test]
fn rotary_frequencies_agree_between_the_formats() {
    for model in both() {
        let from_gguf = gguf(&model, Encoding::F32).config.rope_frequencies();
        let from_folder = folder(&model, Encoding::F32, 1).config.rope_frequencies();
        assert_eq!(from_gguf.len(), model.head_dim / 2);
        for (a, b) in from_gguf.iter().zip(&from_folder) {
            assert!((a / b - 1.0).abs() < 1e-6, "{a} {b}");
        }
    }
    // worked out by hand: of the wavelengths 2π, 20π, 200π, 2000π only the first is within 16, and
    // it turns 16 / 2π = 2.546 times, so (2.546 - 1) / 3 of it is kept
    let found = folder(&RandomModel::llama(), Encoding::F32, 1).config.rope_frequencies();
    let kept = (16.0 / std::f64::consts::TAU - 1.0) / 3.0;
    let expected = [kept + (1.0 - kept) / 8.0, 0.1 / 8.0, 0.01 / 8.0, 0.001 / 8.0];
    for (found, expected) in found.iter().zip(expected) {
        assert!((found / expected - 1.0).abs() < 1e-12, "{found} {expected}");
    }
}

#[test]
fn weights_are_those_specified() {
    for model in both() {
        for encoding in [Encoding::F32, Encoding::BF16] {
            for parts in [1, 3] {
                assert_weights(&folder(&model, encoding, parts), &model, |row, _| row);
            }
            // rows of Q and K lie interleaved in GGUF files of the llama family
            let source = gguf(&model, encoding);
            let half = model.head_dim / 2;
            let interleaved = model.family == "llama";
            let specified_row = |row: usize, head_dim: usize| {
                let (head, dim) = (row / head_dim, row % head_dim);
                head * head_dim + if interleaved { dim / 2 + (dim % 2) * half } else { dim }
            };
            assert_weights(&source, &model, specified_row);
        }
    }
}

fn assert_weights(source: &ModelSource, model: &RandomModel, specified_row: impl Fn(usize, usize) -> usize) {
    let vector = |role| source.weights.vector(role).unwrap();
    let name = |name: &str| specified(model, name);
    assert_eq!(vector(Role::TokenEmbedding), name("model.embed_tokens.weight"));
    assert_eq!(vector(Role::OutputNorm), name("model.norm.weight"));
    let output = if model.tied { "model.embed_tokens.weight" } else { "lm_head.weight" };
    assert_eq!(vector(Role::Output), name(output));
    for layer in 0..model.layers {
        let name = |part: &str| name(&format!("model.layers.{layer}.{part}"));
        assert_eq!(vector(Role::AttentionNorm(layer)), name("input_layernorm.weight"));
        assert_eq!(vector(Role::FeedForwardNorm(layer)), name("post_attention_layernorm.weight"));
        assert_eq!(vector(Role::Value(layer)), name("self_attn.v_proj.weight"));
        assert_eq!(vector(Role::AttentionOutput(layer)), name("self_attn.o_proj.weight"));
        assert_eq!(vector(Role::Gate(layer)), name("mlp.gate_proj.weight"));
        assert_eq!(vector(Role::Up(layer)), name("mlp.up_proj.weight"));
        assert_eq!(vector(Role::Down(layer)), name("mlp.down_proj.weight"));
        for (role, part) in [(Role::Query(layer), "q_proj"), (Role::Key(layer), "k_proj")] {
            let matrix = source.weights.matrix(role).unwrap();
            let expected = name(&format!("self_attn.{part}.weight"));
            let mut row = vec![0.0; matrix.cols()];
            for r in 0..matrix.rows() {
                matrix.dequantise(Isa::detect(), r, &mut row).unwrap();
                let from = specified_row(r, model.head_dim) * matrix.cols();
                assert_eq!(row, expected[from..from + matrix.cols()], "{part} row {r}");
            }
        }
        if model.attention_bias {
            assert_eq!(vector(Role::QueryBias(layer)), name("self_attn.q_proj.bias"));
            assert_eq!(vector(Role::KeyBias(layer)), name("self_attn.k_proj.bias"));
            assert_eq!(vector(Role::ValueBias(layer)), name("self_attn.v_proj.bias"));
        }
    }
}

#[test]
fn rotary_pairs_are_those_of_the_format_and_family() {
    let [llama, qwen2] = both();
    assert_eq!(gguf(&llama, Encoding::F32).pairs, RopePairs::Interleaved);
    assert_eq!(gguf(&qwen2, Encoding::F32).pairs, RopePairs::Halves);
    assert_eq!(folder(&llama, Encoding::F32, 1).pairs, RopePairs::Halves);
    assert_eq!(folder(&qwen2, Encoding::F32, 1).pairs, RopePairs::Halves);
}

#[test]
fn roles_that_the_model_does_not_fill_are_errors() {
    let source = gguf(&RandomModel::llama(), Encoding::F32);
    for role in [Role::Query(2), Role::QueryBias(0), Role::AttentionOutputBias(1)] {
        let error = source.weights.vector(role).unwrap_err();
        assert_eq!(error, WeightsError::Missing { name: format!("{role:?}") });
    }
}

#[test]
fn llama_with_attention_biases_has_all_four() {
    let model = RandomModel { attention_bias: true, attention_output_bias: true, ..RandomModel::llama() };
    let source = folder(&model, Encoding::F32, 1);
    assert!(source.config.attention_bias && source.config.attention_output_bias);
    for (role, part) in [(Role::QueryBias(1), "q_proj"), (Role::AttentionOutputBias(1), "o_proj")] {
        let expected = specified(&model, &format!("model.layers.1.self_attn.{part}.bias"));
        assert_eq!(source.weights.vector(role).unwrap(), expected);
    }
    let source = gguf(&model, Encoding::F32);
    assert!(source.config.attention_bias && source.config.attention_output_bias);
}

#[test]
fn a_head_may_be_wider_than_its_share() {
    let model = RandomModel { head_dim: 16, ..RandomModel::llama() };
    assert_eq!(gguf(&model, Encoding::F32).config.head_dim, 16);
    assert_eq!(folder(&model, Encoding::F32, 1).config.head_dim, 16);
}

#[test]
fn fingerprints_follow_a_model_through_formats_and_quantisations() {
    for model in both() {
        let print = |source: ModelSource| source.fingerprint().unwrap();
        let expected = print(gguf(&model, Encoding::F32));
        assert_eq!(expected.len(), 64);
        for encoding in [Encoding::F16, Encoding::BF16, Encoding::Q8_0] {
            assert_eq!(print(gguf(&model, encoding)), expected, "{encoding:?}");
        }
        assert_eq!(print(folder(&model, Encoding::BF16, 1)), expected);
        assert_eq!(print(folder(&model, Encoding::F32, 2)), expected);
    }
}

#[test]
fn fingerprints_tell_models_apart() {
    let print = |model: &RandomModel| gguf(model, Encoding::F32).fingerprint().unwrap();
    let model = RandomModel::llama();
    let others = [
        RandomModel::qwen2(),
        RandomModel { theta: 20_000.0, ..model.clone() },
        RandomModel { rope_scaling: None, ..model.clone() },
        RandomModel { hidden: 96, ..model.clone() },
    ];
    for other in others {
        assert_ne!(print(&other), print(&model));
    }
    // one norm weight a little larger: a model trained further
    let mut writer = model.gguf(Encoding::F32);
    let norm = &mut writer.tensor_mut("blk.1.ffn_norm.weight").bytes;
    let value = f32::from_le_bytes(norm[..4].try_into().unwrap()) * 1.02;
    norm[..4].copy_from_slice(&value.to_le_bytes());
    let changed = ModelSource::from_gguf(writer.finish().into()).unwrap();
    assert_ne!(changed.fingerprint().unwrap(), print(&model));
}

#[test]
fn quantised_weights_stay_quantised() {
    let source = gguf(&RandomModel::qwen2(), Encoding::Q8_0);
    assert_eq!(source.weights.matrix(Role::Query(0)).unwrap().ty(), WeightType::Q8_0);
    assert_eq!(source.weights.matrix(Role::OutputNorm).unwrap().ty(), WeightType::F32);
    let full = gguf(&RandomModel::qwen2(), Encoding::F32).weights.bytes();
    assert!(source.weights.bytes() * 3 < full, "{} of {full}", source.weights.bytes());
}

#[test]
fn tokenizers_and_chat_templates_come_along() {
    let source = gguf(&RandomModel::llama(), Encoding::F32);
    let vocabulary = source.gguf_vocabulary().unwrap();
    assert_eq!((vocabulary.model.as_str(), vocabulary.pre.as_str()), ("gpt2", "gpt-2"));
    assert_eq!(vocabulary.tokens, tiny_tokenizer::tokens());
    assert_eq!(vocabulary.merges, tiny_tokenizer::merges());
    assert_eq!(vocabulary.token_types, tiny_tokenizer::token_types());
    assert_eq!((vocabulary.bos, vocabulary.eos), (Some(1), Some(2)));
    assert_eq!((vocabulary.add_bos, vocabulary.add_space_prefix), (Some(false), None));
    assert_eq!(source.chat_template.as_deref(), Some(tiny_tokenizer::CHAT_TEMPLATE));

    let source = folder(&RandomModel::llama(), Encoding::F32, 1);
    let json = tiny_tokenizer::tokenizer_json().to_string();
    assert_eq!(source.tokenizer, TokenizerSource::Json(json.into_bytes()));
    assert_eq!(source.chat_template.as_deref(), Some(tiny_tokenizer::CHAT_TEMPLATE));
}

fn with_file(file: &str, text: &str) -> ModelSource {
    let folder = tempdir().unwrap();
    RandomModel::llama().write_safetensors(folder.path(), Encoding::F32, 1).unwrap();
    std::fs::write(Path::new(folder.path()).join(file), text).unwrap();
    open(folder.path()).unwrap()
}

#[test]
fn side_files_count_more_than_the_configuration() {
    let source = with_file("generation_config.json", r#"{"eos_token_id": [2, 0]}"#);
    assert_eq!(source.config.eos, [2, 0]);
    let source = with_file("chat_template.jinja", "{{ messages }}");
    assert_eq!(source.chat_template.as_deref(), Some("{{ messages }}"));
    let named = r#"{"chat_template": [{"name": "tools", "template": "t"},
                                      {"name": "default", "template": "d"}]}"#;
    let source = with_file("tokenizer_config.json", named);
    assert_eq!(source.chat_template.as_deref(), Some("d"));
}

#[test]
fn newer_configurations_hold_rope_in_one_object() {
    let mut config = RandomModel::qwen2().config_json();
    config["rope_theta"] = serde_json::Value::Null;
    config["rope_parameters"] = serde_json::json!({ "rope_type": "linear", "rope_theta": 5e4, "factor": 2.0 });
    let folder = tempdir().unwrap();
    RandomModel::qwen2().write_safetensors(folder.path(), Encoding::F32, 1).unwrap();
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let rope = open(folder.path()).unwrap().config.rope;
    assert_eq!((rope.theta, rope.scaling), (5e4, RopeScaling::Linear { factor: 2.0 }));
}

#[test]
fn gguf_may_scale_linearly_and_end_turns() {
    let mut writer = RandomModel::qwen2().gguf(Encoding::F32);
    writer
        .pair("qwen2.rope.scaling.type", Meta::text("linear"))
        .pair("qwen2.rope.scaling.factor", Meta::F32(4.0))
        .pair("tokenizer.ggml.eot_token_id", Meta::U32(0));
    let config = ModelSource::from_gguf(writer.finish().into()).unwrap().config;
    assert_eq!(config.family, Family::Qwen2);
    assert_eq!(config.rope.scaling, RopeScaling::Linear { factor: 4.0 });
    assert_eq!(config.eos, [2, 0]);
}

#[test]
fn a_clone_outlives_the_file_and_its_opener() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let model = RandomModel::qwen2();
    model.write_gguf(&path, Encoding::F32).unwrap();
    let weights = open(&path).unwrap().weights.clone();
    std::fs::remove_file(&path).unwrap();
    let found = weights.vector(Role::OutputNorm).unwrap();
    assert_eq!(found, specified(&model, "model.norm.weight"));
}
