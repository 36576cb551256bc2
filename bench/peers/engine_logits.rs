//! Writes this engine's next-token log-probabilities in the format of logits_file.py.
//!
//!     cargo run --release --example engine_logits -- model.gguf HEADER.json OUT.f32 [CACHE]
//!
//! The tokens are those of another engine's header; see README.md in this folder. CACHE is a cache kind, `exact:f16`
//! if none is given.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use fourier_kv_engine::model::decoder::LogitRows;
use fourier_kv_engine::{Engine, EngineOptions};
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (model, header, out, cache) = match args.as_slice() {
        [model, header, out] => (model, header, out, "exact:f16"),
        [model, header, out, cache] => (model, header, out, cache.as_str()),
        _ => return Err("expected a model, another engine's header, a file to write, and perhaps a cache".into()),
    };
    let engine = Engine::load(Path::new(model), &EngineOptions::default())?;
    let header: Value = serde_json::from_slice(&std::fs::read(header)?)?;
    let ids = header["tokens"].as_array().ok_or("expected `tokens` in the header")?;
    let tokens: Vec<u32> = ids.iter().filter_map(Value::as_u64).map(|id| id as u32).collect();
    let mut session = engine.session(&cache.parse()?, None)?;
    let logits = session.feed(&tokens, LogitRows::From(0))?.clone();

    let mut file = BufWriter::new(File::create(out)?);
    for t in 0..logits.count() {
        for p in log_probabilities(logits.row(t)) {
            file.write_all(&p.to_le_bytes())?;
        }
    }
    file.into_inner()?.sync_all()?;
    let name = Path::new(model).file_name().unwrap_or_default().to_string_lossy();
    let described = json!({
        "format": "next-token-logprobs", "version": 1, "dtype": "<f4", "model": name, "tokens": tokens,
        "engine": format!("fourier-kv {}, {}", env!("CARGO_PKG_VERSION"), session.cache().describe()),
        "shape": [logits.count(), logits.vocabulary],
    });
    std::fs::write(Path::new(out).with_extension("json"), described.to_string())?;
    Ok(())
}

fn log_probabilities(logits: &[f32]) -> impl Iterator<Item = f32> {
    let top = logits.iter().fold(f32::NEG_INFINITY, |m, &x| m.max(x));
    let sum: f64 = logits.iter().map(|&x| f64::from(x - top).exp()).sum();
    let shift = f64::from(top) + sum.ln();
    logits.iter().map(move |&x| (f64::from(x) - shift) as f32)
}
