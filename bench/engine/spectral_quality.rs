//! What coded caches lose, fast: a prompt is read once, its keys, values and queries are handed to one cache after
//! another, and each predicts the same continuation.
//!
//!     cargo run --release -p fourier-kv-engine --example spectral_quality -- \
//!         MODEL.gguf PLAN|- TEXT.txt PREFIX CONTINUATION CACHE...
//!
//! Prints for each cache the mean KL divergence, in nats a token, of its predictions from those of exact bf16 attention;
//! bits a number of what is neither sink nor window, everything counted that is held for it; how many times smaller all of
//! it is; and seconds for appending and sealing all layers. The text's first 20,000 characters are left out. A plan is
//! used by caches named `plan+CACHE`; a cache named `step+CACHE`, or `plan+step+CACHE`, predicts the continuation token by token,
//! as in decoding, and the seconds that takes are printed too. What an ingredient brings: `plan+spectral:2` beside `plan+spectral:2,without=klt`.
#![allow(clippy::print_stdout, reason = "a program that prints")]

use std::error::Error;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use fourier_kv_engine::cache::plan::Plan;
use fourier_kv_engine::cache::{CacheKind, CacheShape, KvCache, KvRows, LayerTrace, TraceCache};
use fourier_kv_engine::model::decoder::{Activations, LogitRows, Sequence};
use fourier_kv_engine::{Engine, EngineOptions};

/// Tokens that are appended at once.
const TILE: usize = 512;

type Rows = Vec<Vec<f32>>;

/// What one layer was given: queries `[T][H][D]`, keys and values `[G][T][D]`.
struct Layer {
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, plan, text, prefix, continuation, caches @ ..] = arguments.as_slice() else {
        return Err("expected MODEL PLAN|- TEXT PREFIX CONTINUATION CACHE...".into());
    };
    let engine = Engine::load(Path::new(model), &EngineOptions::default())?;
    let plan = if plan == "-" { None } else { Some(Arc::new(Plan::read(Path::new(plan))?)) };
    let (prefix, continuation): (usize, usize) = (prefix.parse()?, continuation.parse()?);
    let text: String = std::fs::read_to_string(text)?.chars().skip(20_000).take((prefix + continuation) * 8).collect();
    let tokens = engine.text_prompt(&text)?;
    let tokens = tokens.get(..prefix + continuation).ok_or("the text is too short")?;
    let (prompt, rest) = tokens.split_at(prefix);
    let layers = read(&engine, prompt)?;
    let shape = engine.model().cache_shape();
    let mut exact = CacheKind::Exact(fourier_kv_engine::cache::Storage::Bf16).build(engine.cache_context()?, None)?;
    fill(&engine, &shape, &layers, prefix, exact.as_mut())?;
    let truth = predictions(&engine, rest, rest.len(), exact.as_mut())?;
    for name in caches {
        let (kind, plan) = name.strip_prefix("plan+").map_or((name.as_str(), None), |kind| (kind, plan.clone()));
        let (kind, is_stepped) = kind.strip_prefix("step+").map_or((kind, false), |kind| (kind, true));
        let mut cache = kind.parse::<CacheKind>()?.build(engine.cache_context()?, plan)?;
        let begun = Instant::now();
        fill(&engine, &shape, &layers, prefix, cache.as_mut())?;
        let seconds = begun.elapsed().as_secs_f64();
        let bytes = cache.bytes();
        let coded = (prefix - 4 - 1020) / 16 * 16;
        let bits = 8.0 * bytes.codes as f64 / (shape.exact_bytes(coded, 1)) as f64;
        let smaller = shape.exact_bytes(prefix, 2) as f64 / bytes.total() as f64;
        let begun = Instant::now();
        let found = predictions(&engine, rest, if is_stepped { 1 } else { rest.len() }, cache.as_mut())?;
        let kl = divergence(&truth, &found);
        let steps = if is_stepped { format!(", {:.1}", begun.elapsed().as_secs_f64()) } else { String::new() };
        println!("{name:44} KL {kl:.5}  bits {bits:.3}  smaller {smaller:.2}  seconds {seconds:.1}{steps}");
    }
    Ok(())
}

/// One pass over the prompt, and what its layers were given.
fn read(engine: &Engine, prompt: &[u32]) -> Result<Vec<Layer>, Box<dyn Error>> {
    let mut layers = Vec::new();
    let observe = |trace: LayerTrace<'_>| {
        let heads = 0..trace.shape().kv_heads;
        layers.push(Layer {
            q: trace.queries.to_vec(),
            k: heads.clone().flat_map(|g| trace.keys(g)).copied().collect(),
            v: heads.flat_map(|g| trace.values(g)).copied().collect(),
        });
    };
    let mut cache = TraceCache::new(Arc::new(engine.model().cache_shape()), observe);
    pass(engine, prompt, &mut cache, LogitRows::None, &mut engine.model().activations())?;
    drop(cache);
    Ok(layers)
}

/// Appends the prompt to a cache, layer by layer, and seals it.
fn fill(
    engine: &Engine,
    shape: &CacheShape,
    layers: &[Layer],
    tokens: usize,
    cache: &mut dyn KvCache,
) -> Result<(), Box<dyn Error>> {
    let (dim, heads) = (shape.head_dim, shape.heads);
    for (number, layer) in layers.iter().enumerate() {
        for from in (0..tokens).step_by(TILE) {
            let count = TILE.min(tokens - from);
            let cut = |rows: &[f32]| -> Vec<f32> {
                rows.chunks_exact(tokens * dim)
                    .flat_map(|head| &head[from * dim..(from + count) * dim])
                    .copied()
                    .collect()
            };
            let query = |head: usize, token: usize| &layer.q[(token * heads + head) * dim..][..dim];
            let q: Vec<f32> = (0..heads)
                .flat_map(|head| (from..from + count).flat_map(move |token| query(head, token)))
                .copied()
                .collect();
            let rows = KvRows { q: &q, k: &cut(&layer.k), v: &cut(&layer.v), tokens: count };
            cache.append(number, rows, engine.workspace())?;
        }
        cache.seal(number, engine.workspace())?;
    }
    Ok(())
}

/// Log-probabilities after each token, so many tokens at a time.
fn predictions(
    engine: &Engine,
    tokens: &[u32],
    together: usize,
    cache: &mut dyn KvCache,
) -> Result<Rows, Box<dyn Error>> {
    let mut activations = engine.model().activations();
    let passes = tokens.chunks(together).map(|some| pass(engine, some, cache, LogitRows::From(0), &mut activations));
    Ok(passes.collect::<Result<Vec<Rows>, _>>()?.concat())
}

fn pass(
    engine: &Engine,
    tokens: &[u32],
    cache: &mut dyn KvCache,
    logits: LogitRows,
    activations: &mut Activations,
) -> Result<Rows, Box<dyn Error>> {
    let end_of_prompt = matches!(logits, LogitRows::None);
    let mut batch = [Sequence { tokens, cache, end_of_prompt, logits }];
    engine.model().forward(&mut batch, engine.workspace(), activations, &mut |_| ControlFlow::Continue(()))?;
    let logits = activations.logits();
    Ok((0..logits.count()).map(|row| log_softmax(logits.row(row))).collect())
}

fn log_softmax(logits: &[f32]) -> Vec<f32> {
    let largest = logits.iter().copied().fold(f32::MIN, f32::max);
    let sum: f64 = logits.iter().map(|x| f64::from(x - largest).exp()).sum();
    logits.iter().map(|x| (f64::from(x - largest) - sum.ln()) as f32).collect()
}

fn divergence(truth: &Rows, found: &Rows) -> f64 {
    let row = |p: &[f32], q: &[f32]| -> f64 {
        p.iter().zip(q).map(|(&p, &q)| f64::from(p).exp() * (f64::from(p) - f64::from(q))).sum()
    };
    truth.iter().zip(found).map(|(p, q)| row(p, q)).sum::<f64>() / truth.len() as f64
}
