//! Speed of this engine: prefill and decode, by context length and cache. The counterpart of
//! bench/peers/llama_cpp_speed.py, with the same tokens.
//!
//!     cargo run --release --example speed -- model.gguf 512,7000 exact,fourier
//!
//! Prints a JSON row a context and cache.
#![allow(clippy::print_stdout, reason = "a program that prints")]

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use fourier_kv_engine::model::decoder::LogitRows;
use fourier_kv_engine::{Engine, EngineOptions};
use serde_json::json;

const DECODED: usize = 32;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, contexts, caches] = args.as_slice() else {
        return Err("expected a model, contexts with commas between, and caches likewise".into());
    };
    let engine = Engine::load(Path::new(model), &EngineOptions::default())?;
    for context in contexts.split(',') {
        let context: usize = context.parse()?;
        let tokens: Vec<u32> = (0..context as u32).map(|i| 1000 + i * 7919 % 20000).collect();
        for cache in caches.split(',') {
            let mut session = engine.session(&cache.parse()?, None)?;
            let begun = Instant::now();
            session.prompt(&tokens, LogitRows::Last, &mut |_| ControlFlow::Continue(()))?;
            let prefill = begun.elapsed().as_secs_f64();
            let begun = Instant::now();
            for token in &tokens[..DECODED] {
                session.step(*token)?;
            }
            let decode = begun.elapsed().as_secs_f64();
            println!(
                "{}",
                json!({"engine": "fourier-kv", "cache": cache, "context": context,
                "threads": engine.threads(), "prefill_tokens_per_second": context as f64 / prefill,
                "decode_tokens_per_second": DECODED as f64 / decode, "cache_bytes": session.cache().bytes().total()})
            );
        }
    }
    Ok(())
}
