//! Speed of this engine: prefill, sealing and decode, by context length and cache. The counterpart of
//! bench/peers/llama_cpp_speed.py, with the same tokens; bench/peers/speed_side_by_side.py runs both in turn.
//!
//!     cargo run --release --example speed -- model.gguf 512,7000 exact,fourier [threads]
//!
//! Prints a JSON row a context and cache. A pass over a few tokens comes first, so that the weights are in memory.
#![allow(clippy::print_stdout, reason = "a program that prints")]

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use fourier_kv_engine::cache::{
    AttnRows, CacheBytes, CacheError, CacheKind, CacheShape, KvCache, KvRows, QueryRows, Workspace,
};
use fourier_kv_engine::model::decoder::LogitRows;
use fourier_kv_engine::{Engine, EngineOptions, Session};
use serde_json::json;

const DECODED: usize = 32;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, contexts, caches, threads @ ..] = args.as_slice() else {
        return Err("expected a model, contexts with commas between, caches likewise, and perhaps threads".into());
    };
    let threads = threads.first().map(|t| t.parse()).transpose()?;
    let engine = Engine::load(Path::new(model), &EngineOptions { threads, ..EngineOptions::default() })?;
    let mut first = engine.session(&"exact".parse()?, None)?;
    first.prompt(&[1, 2, 3, 4, 5, 6, 7, 8], LogitRows::Last, &mut |_| ControlFlow::Continue(()))?;
    for context in contexts.split(',') {
        for cache in caches.split(',') {
            measure(&engine, context.parse()?, cache)?;
        }
    }
    Ok(())
}

fn measure(engine: &Engine, context: usize, kind: &str) -> Result<(), Box<dyn std::error::Error>> {
    let tokens: Vec<u32> = (0..context as u32).map(|i| 1000 + i * 7919 % 20000).collect();
    let sealing = Arc::new(AtomicU64::new(0));
    let parsed: CacheKind = kind.parse()?;
    let inner = parsed.build(engine.cache_context()?, None)?;
    let mut session = Session::new(engine, Box::new(Timed { inner, sealing: sealing.clone() }));
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
        json!({"engine": "fourier-kv", "cache": kind, "context": context,
        "threads": engine.threads(), "prefill_tokens_per_second": context as f64 / prefill,
        "seal_share_of_prefill": sealing.load(Ordering::Relaxed) as f64 / 1e9 / prefill,
        "decode_tokens_per_second": DECODED as f64 / decode, "cache_bytes": session.cache().bytes().total()})
    );
    Ok(())
}

/// A cache that notes how long sealing takes.
struct Timed {
    inner: Box<dyn KvCache>,
    /// Nanoseconds.
    sealing: Arc<AtomicU64>,
}

impl KvCache for Timed {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn shape(&self) -> &CacheShape {
        self.inner.shape()
    }

    fn append(&mut self, layer: usize, rows: KvRows<'_>, workspace: &Workspace) -> Result<(), CacheError> {
        self.inner.append(layer, rows, workspace)
    }

    fn seal(&mut self, layer: usize, workspace: &Workspace) -> Result<(), CacheError> {
        let begun = Instant::now();
        self.inner.seal(layer, workspace)?;
        self.sealing.fetch_add(begun.elapsed().as_nanos() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn attend(
        &self,
        layer: usize,
        queries: QueryRows<'_>,
        workspace: &Workspace,
        out: &mut AttnRows<f32>,
    ) -> Result<(), CacheError> {
        self.inner.attend(layer, queries, workspace, out)
    }

    fn reserve(&mut self, tokens: usize, workspace: &Workspace) {
        self.inner.reserve(tokens, workspace);
    }

    fn len(&self) -> usize {
        self.inner.len()
    }

    fn bytes(&self) -> CacheBytes {
        self.inner.bytes()
    }
}
