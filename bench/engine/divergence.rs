//! How far caches move the next-token distributions from the exact cache's, at how many bytes.
//!
//!     cargo run --release --example divergence -- model.gguf text.txt 6000 512 fourier fourier:band=base
//!
//! Reads the first tokens of the text as a prompt, compresses, teacher-forces those that follow, and prints a JSON row
//! a cache: mean KL(exact || cache), top-1 agreement, perplexities, bytes.
#![allow(clippy::print_stdout, reason = "a program that prints")]

use std::ops::ControlFlow;
use std::path::Path;

use fourier_kv_engine::model::decoder::{LogitRows, Logits};
use fourier_kv_engine::{Engine, EngineOptions};
use serde_json::json;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, file, prefix, continuation, caches @ ..] = args.as_slice() else {
        return Err("expected a model, a text file, the prefix's tokens, the continuation's, and caches".into());
    };
    let (prefix, continuation): (usize, usize) = (prefix.parse()?, continuation.parse()?);
    let engine = Engine::load(Path::new(model), &EngineOptions::default())?;
    let mut tokens = engine.text_prompt(&std::fs::read_to_string(file)?)?;
    tokens.truncate(prefix + continuation);
    let (first, rest) = tokens.split_at(prefix);
    let (exact, held) = run(&engine, "exact", first, rest)?;
    for cache in caches {
        let (logits, bytes) = run(&engine, cache, first, rest)?;
        let (mut divergence, mut same, mut loss, mut exact_loss) = (0.0, 0, 0.0, 0.0);
        for t in 0..rest.len() - 1 {
            let (p, q) = (log_softmax(exact.row(t)), log_softmax(logits.row(t)));
            divergence += p.iter().zip(&q).map(|(p, q)| p.exp() * (p - q)).sum::<f64>();
            same += usize::from(best(&p) == best(&q));
            exact_loss -= p[rest[t + 1] as usize];
            loss -= q[rest[t + 1] as usize];
        }
        let count = (rest.len() - 1) as f64;
        println!(
            "{}",
            json!({"cache": cache, "prefix": prefix, "tokens": count, "kl": divergence / count,
            "top1": f64::from(same as u32) / count, "ppl_exact": (exact_loss / count).exp(),
            "ppl": (loss / count).exp(), "bytes": bytes, "exact_bytes": held,
            "ratio": held as f64 / bytes as f64})
        );
    }
    Ok(())
}

/// Logits of the continuation, and the bytes that were held when it began.
fn run(
    engine: &Engine,
    cache: &str,
    first: &[u32],
    rest: &[u32],
) -> Result<(Logits, usize), Box<dyn std::error::Error>> {
    let mut session = engine.session(&cache.parse()?, None)?;
    session.prompt(first, LogitRows::None, &mut |_| ControlFlow::Continue(()))?;
    let bytes = match cache {
        "exact" => session.cache().shape().exact_bytes(first.len(), 2),
        _ => session.cache().bytes().total(),
    };
    let logits = session.feed(rest, LogitRows::From(0))?.clone();
    Ok((logits, bytes))
}

fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let top = f64::from(logits.iter().fold(f32::NEG_INFINITY, |m, &x| m.max(x)));
    let sum: f64 = logits.iter().map(|&x| (f64::from(x) - top).exp()).sum();
    logits.iter().map(|&x| f64::from(x) - top - sum.ln()).collect()
}

fn best(x: &[f64]) -> usize {
    (0..x.len()).max_by(|&a, &b| x[a].total_cmp(&x[b])).unwrap_or(0)
}
