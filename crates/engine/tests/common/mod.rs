//! What the engine's tests share.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use std::path::PathBuf;

use fourier_kv_engine::{Engine, EngineOptions};
use fourier_kv_testkit::{Encoding, RandomModel};

/// A model file in the cache folder, if it is there. SmolLM2, the project's default model, must be.
pub fn cached_model(name: &str) -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    let path = cache.join("fourier-kv-models").join(name);
    let required = name.starts_with("smollm2-135m");
    assert!(path.exists() || !required, "{} is not there: run `fourier-kv pull smollm2` first", path.display());
    Some(path).filter(|path| path.exists())
}

pub fn smollm2() -> Engine {
    let path = cached_model("smollm2-135m-instruct-q4_1.gguf").expect("required");
    Engine::load(&path, &EngineOptions::default()).unwrap()
}

/// A tiny random model; the folder must outlive nothing: weights are mapped.
pub fn tiny(model: &RandomModel) -> Engine {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    model.write_gguf(&path, Encoding::F32).unwrap();
    Engine::load(&path, &EngineOptions::default()).unwrap()
}

/// A long report with nothing to hide: enough text for `tokens` tokens of any tokenizer.
pub fn report(tokens: usize) -> String {
    const PLACES: [&str; 7] = ["mill", "harbour", "bridge", "orchard", "quarry", "school", "tower"];
    const STATES: [&str; 5] = ["in good order", "in need of paint", "closed for repairs", "crowded", "empty"];
    let line = |i: usize| {
        let (place, state) = (PLACES[i * 5 % 7], STATES[i * 3 % 5]);
        format!(
            "Day {i}: the {place} was {state}; {} people passed and the wind was {} knots.\n",
            i * 37 % 101,
            i * 11 % 29
        )
    };
    (1..=tokens / 12).map(line).collect()
}
