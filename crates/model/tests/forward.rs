//! The forward pass against NumPy's, written independently (tools/goldens/reference_model.py).

#![allow(clippy::print_stdout, reason = "figures for the record: cargo test -- --nocapture")]

#[path = "shared/cached_models.rs"]
mod cached_models;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use fourier_kv_cache::{CacheKind, KvCache, Workspace};
use fourier_kv_kernels::isa::Isa;
use fourier_kv_model::decoder::{ForwardError, LogitRows, Logits, Model, Sequence};
use fourier_kv_model::source::open;
use fourier_kv_testkit::{Encoding, RandomModel};
use serde_json::Value;

struct Golden(Value);

impl Golden {
    fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name);
        Golden(serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
    }

    fn tokens(&self) -> Vec<u32> {
        self.0["tokens"].as_array().unwrap().iter().map(|t| t.as_u64().unwrap() as u32).collect()
    }
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn exact(model: &Model) -> Box<dyn KvCache> {
    let context = model.cache_context(&Workspace::new(Isa::detect())).unwrap();
    "exact:f32".parse::<CacheKind>().unwrap().build(&context, None).unwrap()
}

fn run(model: &Model, isa: Isa, cache: &mut dyn KvCache, tokens: &[u32], logits: LogitRows) -> Logits {
    let mut batch = [Sequence { tokens, cache, end_of_prompt: false, logits }];
    let workspace = Workspace::new(isa);
    let watch = &mut |_| ControlFlow::Continue(());
    model.forward(&mut batch, &workspace, &mut model.activations(), watch).unwrap()
}

/// Largest difference between rows of logits.
fn off(got: &Logits, expected: &Value) -> f64 {
    let rows = expected.as_array().unwrap();
    assert_eq!(got.count(), rows.len());
    let pairs = rows.iter().enumerate().flat_map(|(i, row)| got.row(i).iter().zip(numbers(row)));
    pairs.map(|(g, e)| (f64::from(*g) - e).abs()).fold(0.0, f64::max)
}

fn random(family: &str) -> (RandomModel, Golden) {
    let model = if family == "llama" { RandomModel::llama() } else { RandomModel::qwen2() };
    (model, Golden::read(&format!("random_{family}.json")))
}

#[test]
fn random_models_agree_with_numpy_in_both_formats() {
    let folder = tempfile::tempdir().unwrap();
    for family in ["llama", "qwen2"] {
        let (random, golden) = random(family);
        check_weights(&random, &golden);
        let mut paths = Vec::new();
        for (i, encoding) in [Encoding::F32, Encoding::BF16].into_iter().enumerate() {
            let file = folder.path().join(format!("{family}-{i}.gguf"));
            random.write_gguf(&file, encoding).unwrap();
            let safetensors = folder.path().join(format!("{family}-{i}"));
            random.write_safetensors(&safetensors, encoding, i + 1).unwrap();
            paths.extend([file, safetensors]);
        }
        for path in paths {
            let model = Model::new(&open(&path).unwrap()).unwrap();
            for isa in Isa::available() {
                let logits = run(&model, isa, exact(&model).as_mut(), &golden.tokens(), LogitRows::From(0));
                let off = off(&logits, &golden.0["logits"]);
                assert!(off < 2e-5, "{} on {isa}: {off}", path.display());
            }
        }
    }
}

/// The weights that NumPy made are the ones that the test kit makes.
fn check_weights(random: &RandomModel, golden: &Golden) {
    let checks = golden.0["checksums"].as_array().unwrap();
    assert!(!checks.is_empty());
    for check in checks {
        let (name, sum, squares) = (check[0].as_str().unwrap(), check[1].as_f64().unwrap(), check[2].as_f64().unwrap());
        let tensors = random.tensors();
        let tensor = tensors.iter().find(|t| t.name == name).unwrap();
        let values = || tensor.values.iter().map(|v| v.to_f64());
        let got = (values().sum::<f64>(), values().map(|v| v * v).sum::<f64>());
        assert!((got.0 - sum).abs() < 1e-9 * squares && (got.1 - squares).abs() < 1e-9 * squares, "{name}: {got:?}");
    }
}

fn model(family: &str) -> (Model, Golden, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let (random, golden) = random(family);
    let path = folder.path().join("model.gguf");
    random.write_gguf(&path, Encoding::F32).unwrap();
    (Model::new(&open(&path).unwrap()).unwrap(), golden, folder)
}

#[test]
fn one_go_equals_token_by_token_equals_a_batch() {
    for family in ["llama", "qwen2"] {
        let (model, golden, _folder) = model(family);
        let tokens = golden.tokens();
        let whole = run(&model, Isa::detect(), exact(&model).as_mut(), &tokens, LogitRows::From(0));
        let mut cache = exact(&model);
        for (i, token) in tokens.iter().enumerate() {
            let one = run(&model, Isa::detect(), cache.as_mut(), &[*token], LogitRows::Last);
            assert_close(one.row(0), whole.row(i));
        }
        // Three sequences at different places of the same text, in one batch.
        let mut caches = [exact(&model), exact(&model), exact(&model)];
        let held = [0, 7, 30];
        for (cache, &n) in caches.iter_mut().zip(&held) {
            run(&model, Isa::detect(), cache.as_mut(), &tokens[..n], LogitRows::None);
        }
        let mut batch: Vec<Sequence<'_>> = caches
            .iter_mut()
            .zip(&held)
            .map(|(cache, &n)| Sequence {
                tokens: &tokens[n..n + 5],
                cache: cache.as_mut(),
                end_of_prompt: n == 7,
                logits: if n == 7 { LogitRows::Last } else { LogitRows::From(3) },
            })
            .collect();
        let workspace = Workspace::new(Isa::detect());
        let watch = &mut |_| ControlFlow::Continue(());
        let logits = model.forward(&mut batch, &workspace, &mut model.activations(), watch).unwrap();
        for (row, place) in [3, 4, 11, 33, 34].into_iter().enumerate() {
            assert_close(logits.row(row), whole.row(place));
        }
        assert_eq!(logits.count(), 5);
    }
}

fn assert_close(a: &[f32], b: &[f32]) {
    let off = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(a.len() == b.len() && off < 2e-5, "{off}");
}

#[test]
fn what_does_not_fit_is_refused() {
    let (llama, _, _a) = model("llama");
    let (qwen, _, _b) = model("qwen2");
    let workspace = Workspace::new(Isa::detect());
    let go = |cache: &mut dyn KvCache, tokens: &[u32], stop: bool| {
        let mut batch = [Sequence { tokens, cache, end_of_prompt: true, logits: LogitRows::Last }];
        let watch = &mut |_| if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        llama.forward(&mut batch, &workspace, &mut llama.activations(), watch)
    };
    assert!(matches!(go(exact(&qwen).as_mut(), &[1], false), Err(ForwardError::Shape { .. })));
    assert!(matches!(go(exact(&llama).as_mut(), &[96], false), Err(ForwardError::Token { token: 96, vocabulary: 96 })));
    assert!(matches!(go(exact(&llama).as_mut(), &[1], true), Err(ForwardError::Stopped)));
    assert_eq!(go(exact(&llama).as_mut(), &[], false).unwrap().count(), 0);
}

#[test]
fn value_errors_are_weighed_by_the_output_projection() {
    let (model, _, _folder) = model("llama");
    let context = model.cache_context(&Workspace::new(Isa::detect())).unwrap();
    let tensors = RandomModel::llama().tensors();
    let projection = tensors.iter().find(|t| t.name == "model.layers.1.self_attn.o_proj.weight").unwrap();
    // 6 query heads of 8 dims share 2 key/value heads: dim 3 of head 1 meets the columns of heads 3, 4, 5.
    let columns = [3 * 8 + 3, 4 * 8 + 3, 5 * 8 + 3];
    let expected: f64 = (0..48).flat_map(|row| columns.map(|c| projection.values[row * 48 + c].to_f64().powi(2))).sum();
    assert!((f64::from(context.output_energy(1, 1)[3]) - expected).abs() < 1e-5 * expected);
}

/// SmolLM2 itself, against a float64 forward pass of its dequantised weights over 64 tokens.
#[test]
fn smollm2_agrees_with_numpy() {
    let golden = Golden::read("smollm2_logits.json");
    let model = Arc::new(Model::new(&open(&smollm2()).unwrap()).unwrap());
    let logits = run(&model, Isa::detect(), exact(&model).as_mut(), &golden.tokens(), LogitRows::From(0));
    let mut worst = 0.0f64;
    for sample in golden.0["samples"].as_array().unwrap() {
        let number = |key: &str| sample[key].as_u64().unwrap() as usize;
        let row = logits.row(number("position"));
        for (i, expected) in numbers(&sample["logits"]).into_iter().enumerate() {
            worst = worst.max((f64::from(row[number("first_id") + i * number("stride")]) - expected).abs());
        }
    }
    println!("largest difference of a logit: {worst:.2e}");
    assert!(worst < 1e-2, "{worst}");
    for best in golden.0["best"].as_array().unwrap() {
        let row = logits.row(best["position"].as_u64().unwrap() as usize);
        let mut order: Vec<usize> = (0..row.len()).collect();
        order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
        let mut expected: Vec<usize> =
            best["best"].as_array().unwrap().iter().map(|b| b[0].as_u64().unwrap() as usize).collect();
        let mut got = order[..5].to_vec();
        got.sort_unstable();
        expected.sort_unstable();
        assert_eq!(got, expected, "the five best at position {}", best["position"]);
    }
}

fn smollm2() -> std::path::PathBuf {
    let name = "smollm2-135m-instruct-q4_1.gguf";
    cached_models::cached_model(name)
        .unwrap_or_else(|| panic!("{name} is not there: run `fourier-kv pull smollm2` first"))
}
