//! `fourier-kv inspect`: what it says of a model, a plan, and every cache.

mod support;

use fourier_kv_testkit::RandomModel;
use serde_json::json;
use support::models::{Place, SMALL_FOURIER};
use support::*;

#[test]
fn a_model_is_described() {
    for place in [Place::gguf(&RandomModel::qwen2()), Place::safetensors(&RandomModel::qwen2())] {
        let model = place.json("inspect", &[])["model"].clone();
        for (key, value) in [("family", json!("qwen2")), ("layers", json!(2)), ("heads", json!(4))] {
            assert_eq!(model[key], value);
        }
        for (key, value) in [("kv_heads", 2), ("head_dim", 8), ("context_length", 256), ("vocabulary", 96)] {
            assert_eq!(model[key], value);
        }
        assert_eq!((&model["tied_output"], &model["chat_template"]), (&json!(true), &json!(true)));
        // An embedding of 96 x 32, a norm of 32, and two layers of weights, biases and norms, 4 bytes each.
        let layer = 2 * 32 + 2 * 32 * 32 + 2 * 16 * 32 + 3 * 64 * 32 + 32 + 2 * 16;
        let parameters = 96 * 32 + 32 + 2 * layer;
        assert_eq!((&model["parameters"], &model["weights_bytes"]), (&json!(parameters), &json!(4 * parameters)));
        assert_eq!(model["weights"], json!([{ "type": "F32", "tensors": 26, "bytes": 4 * parameters }]));
    }
}

#[test]
fn both_formats_are_one_model() {
    let model = RandomModel::llama();
    let fingerprint = |place: Place| place.json("inspect", &[])["model"]["fingerprint"].clone();
    assert_eq!(fingerprint(Place::gguf(&model)), fingerprint(Place::safetensors(&model)));
}

#[test]
fn exact_caches_are_as_large_as_arithmetic_says() {
    let place = Place::gguf(&RandomModel::llama());
    let report = place.json("inspect", &["--context", "1k,2048", "--cache", "exact", "--cache", "full:f32"]);
    for (cache, width) in [(0, 2), (1, 4)] {
        for (size, tokens) in [(0, 1024), (1, 2048)] {
            let found = &report["caches"][cache]["sizes"][size];
            assert_eq!(found["tokens"], tokens);
            assert_eq!(found["exact_bytes"], 2 * 2 * 2 * 8 * tokens * 2);
            assert_eq!(found["bytes_by_kind"]["tokens"], 2 * 2 * 2 * 8 * tokens * width);
        }
    }
}

#[test]
fn every_kind_is_shown_up_to_the_context() {
    let place = Place::gguf(&RandomModel { context: 5000, ..RandomModel::llama() });
    let report = place.json("inspect", &[]);
    let caches = report["caches"].as_array().unwrap();
    let kinds: Vec<&str> = caches.iter().map(|cache| cache["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds[..2], ["exact:bf16", "exact:f32"]);
    assert!(kinds[2].starts_with("fourier:band=base,harmonics=512,"));
    for cache in caches {
        let sizes = cache["sizes"].as_array().unwrap();
        let tokens: Vec<u64> = sizes.iter().map(|size| size["tokens"].as_u64().unwrap()).collect();
        assert_eq!(tokens, [1024, 2048, 4096, 5000]);
    }
    let text = stdout(&place.run("inspect", &[]));
    for words in ["random llama", "  layers      2, ", "  exact:bf16\n", "  fourier:band=base", "     5000 tokens "] {
        assert!(text.contains(words), "{words:?} in {text}");
    }
}

#[test]
fn a_plan_is_described_by_layer() {
    let place = Place::gguf(&RandomModel::llama());
    let text = place.write("text.txt", "the sea and the man ".repeat(30));
    let plan = place.path("a.plan");
    let words = ["--text", &text, "-o", &plan, "--cache", SMALL_FOURIER, "--sequence", "100"];
    assert!(place.run("calibrate", &words).status.success());
    let report = place.json("inspect", &["--plan", &plan, "--cache", SMALL_FOURIER, "--context", "200"]);
    assert_eq!(report["plan"]["model"], "random llama");
    let layers = report["plan"]["spectral"]["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 2);
    // Of 8 dims 80 % are 6, in each of 2 heads.
    assert_eq!((&layers[0]["key_dims"], &layers[0]["value_dims"]), (&json!(12), &json!(12)));
    let text = stdout(&place.run("inspect", &["--plan", &plan]));
    assert!(
        text.contains("made for    random llama, --cache fourier:band=base") && text.contains("layer   key dims"),
        "{text}"
    );
}

#[test]
fn what_cannot_be_shown_is_refused() {
    let place = Place::gguf(&RandomModel::llama());
    place.fails("inspect", &["--context", "many"], 2, "--context expects numbers of tokens");
    place.fails("inspect", &["--cache", "magic"], 2, "got `magic`");
    place.fails("inspect", &["--plan", "no/such.plan"], 2, "--plan: there is no file");
}
