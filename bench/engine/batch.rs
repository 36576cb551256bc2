//! Speed of decoding for several sequences at once: weights are read once a step, whatever the batch.
//!
//!     cargo run --release --example batch -- model.gguf CONTEXT CACHE 1,2,4,8,16,32 [threads]
//!
//! Prints a JSON row a size of batch: seconds a step, and tokens a second of all sequences together.
#![allow(clippy::print_stdout, reason = "a program that prints")]

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use fourier_kv_engine::cache::{CacheKind, KvCache};
use fourier_kv_engine::model::decoder::{LogitRows, Sequence};
use fourier_kv_engine::{Engine, EngineError, EngineOptions};
use serde_json::json;

const STEPS: usize = 12;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, context, cache, sizes, threads @ ..] = args.as_slice() else {
        return Err("expected a model, a context, a cache, sizes of batches, and perhaps threads".into());
    };
    let threads = threads.first().map(|t| t.parse()).transpose()?;
    let engine = Engine::load(Path::new(model), &EngineOptions { threads, ..EngineOptions::default() })?;
    let context: u32 = context.parse()?;
    let tokens: Vec<u32> = (0..context).map(|i| 1000 + i * 7919 % 20000).collect();
    let kind: CacheKind = cache.parse()?;
    let mut first = kind.build(engine.cache_context()?, None)?;
    pass(&engine, &mut [first.as_mut()], &tokens, true, &mut engine.model().activations())?;
    for size in sizes.split(',') {
        let size: usize = size.parse()?;
        let mut caches: Vec<_> = (0..size).filter_map(|_| first.fork()).collect();
        let seconds = measure(&engine, &mut caches)?;
        println!(
            "{}",
            json!({"batch": size, "cache": cache, "context": context, "threads": engine.threads(),
            "seconds_a_step": seconds, "tokens_per_second": size as f64 / seconds})
        );
    }
    Ok(())
}

/// Seconds a step.
fn measure(engine: &Engine, caches: &mut [Box<dyn KvCache>]) -> Result<f64, EngineError> {
    let mut activations = engine.model().activations();
    let mut seconds = f64::INFINITY;
    for step in 0..STEPS {
        let begun = Instant::now();
        let mut all: Vec<&mut dyn KvCache> = caches.iter_mut().map(|c| c.as_mut() as &mut dyn KvCache).collect();
        pass(engine, &mut all, &[1000 + step as u32], false, &mut activations)?;
        seconds = seconds.min(begun.elapsed().as_secs_f64());
    }
    Ok(seconds)
}

fn pass(
    engine: &Engine,
    caches: &mut [&mut dyn KvCache],
    tokens: &[u32],
    end_of_prompt: bool,
    activations: &mut fourier_kv_engine::model::decoder::Activations,
) -> Result<(), EngineError> {
    let mut batch: Vec<Sequence<'_>> = caches
        .iter_mut()
        .map(|cache| Sequence { tokens, cache: &mut **cache, end_of_prompt, logits: LogitRows::Last })
        .collect();
    engine.model().forward(&mut batch, engine.workspace(), activations, &mut |_| ControlFlow::Continue(()))?;
    Ok(())
}
