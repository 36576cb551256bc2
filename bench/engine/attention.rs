//! How long the attention of one decoded token takes in one layer: `exact` and `fourier` over the same past.
//!
//!     cargo run --release -p fourier-kv-cache --example attention -- 32768 12 2 128 2
//!
//! Arguments: contexts with commas between, query heads, key/value heads, head dims, threads. Layers take turns, and are
//! so many that no cache of the processor holds them all: numbers come from memory, as they do in a model. Answers are
//! checked: `exact` against the definition, `fourier` against itself on the plain instruction set and one thread, and
//! the two against each other, since the past varies slowly. Prints a JSON row a context and cache.
#![allow(clippy::print_stdout, reason = "a program that prints")]

use std::time::Instant;

use fourier_kv_cache::{AttnRows, CacheContext, CacheKind, CacheShape, KvCache, KvRows, QueryRows, Workspace};
use fourier_kv_kernels::isa::Isa;
use fourier_kv_kernels::oracle;
use fourier_kv_kernels::team::Team;
use serde_json::json;

/// What all layers together take at least.
const BYTES: usize = 160 << 20;
const TILE: usize = 512;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [contexts, heads, kv_heads, dim, threads] = args.as_slice() else {
        return Err("expected contexts with commas between, query heads, key/value heads, head dims, threads".into());
    };
    let (heads, kv_heads, dim) = (heads.parse()?, kv_heads.parse()?, dim.parse()?);
    let workspace = Workspace::with_team(Isa::detect(), Team::new(threads.parse()?)?);
    for context in contexts.split(',') {
        let context: usize = context.parse()?;
        println!(
            "{}",
            json!({"cache": "none: plain reads", "context": context,
            "threads": workspace.team().threads(), "gigabytes_per_second_median": reads(&workspace)})
        );
        let mut answers: Vec<Vec<f32>> = Vec::new();
        for kind in ["exact", "fourier"] {
            let shape = |layers| CacheShape {
                layers,
                heads,
                kv_heads,
                head_dim: dim,
                rope_frequencies: (0..dim / 2).map(|i| 1e4f64.powf(-2.0 * i as f64 / dim as f64)).collect(),
            };
            let one = filled(kind, shape(1), context, &workspace)?.0.bytes().total();
            let layers = BYTES.div_ceil(one).clamp(2, 64);
            let (cache, seal) = filled(kind, shape(layers), context, &workspace)?;
            let per_layer = cache.bytes().total() / layers;
            let queries = signal((heads, 1, dim), 7, 0);
            let queries = QueryRows { q: &queries, tokens: 1 };
            let mut out = AttnRows::new(heads, dim);
            cache.attend(0, queries, &workspace, &mut out)?;
            let answer = out.finish().to_vec();
            if kind == "fourier" {
                let plain = Workspace::new(Isa::portable());
                let mut out = AttnRows::new(heads, dim);
                cache.attend(0, queries, &plain, &mut out)?;
                check("fourier and its plain form", &answer, out.finish(), 1e-4);
            }
            if kind == "exact" {
                let expected = defined((heads, kv_heads, dim), context, queries.q);
                check("exact and the definition", &answer, &expected, 0.01);
            }
            answers.push(answer);
            let mut times = Vec::new();
            for turn in 0..(40 * layers).clamp(3 * layers, 400.max(3 * layers)) {
                out.reset(heads);
                let begun = Instant::now();
                cache.attend(turn % layers, queries, &workspace, &mut out)?;
                times.push(begun.elapsed().as_secs_f64() * 1e6);
            }
            times.drain(..layers);
            times.sort_unstable_by(f64::total_cmp);
            let (median, best) = (times[times.len() / 2], times[times.len() / 20]);
            println!(
                "{}",
                json!({"cache": kind, "context": context, "heads": heads, "kv_heads": kv_heads, "head_dim": dim,
                "threads": workspace.team().threads(), "layers": layers, "bytes_a_layer": per_layer,
                "microseconds_median": median, "microseconds_5_percent": best,
                "seal_milliseconds_a_layer": seal * 1e3 / layers as f64,
                "gigabytes_per_second_median": per_layer as f64 / median / 1e3})
            );
        }
        check("exact and fourier", &answers[1], &answers[0], 0.2);
    }
    Ok(())
}

/// What plain reads of as much memory reach, in 10^9 bytes a second: the median of nine passes.
fn reads(workspace: &Workspace) -> f64 {
    let words: Vec<u64> = (0..BYTES as u64 / 8).collect();
    let pieces = 64;
    let piece = words.len().div_ceil(pieces);
    let mut rates: Vec<f64> = (0..9)
        .map(|_| {
            let begun = Instant::now();
            workspace.team().run(pieces, &|i| {
                let (groups, _) = words[i * piece..words.len().min((i + 1) * piece)].as_chunks::<32>();
                let mut sums = [0u64; 32];
                for group in groups {
                    for (sum, word) in sums.iter_mut().zip(group) {
                        *sum = sum.wrapping_add(*word);
                    }
                }
                std::hint::black_box(sums);
            });
            BYTES as f64 / begun.elapsed().as_secs_f64() / 1e9
        })
        .collect();
    rates.sort_unstable_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// A cache that holds `context` tokens in all layers, sealed, and the seconds that sealing took.
fn filled(
    kind: &str,
    shape: CacheShape,
    context: usize,
    workspace: &Workspace,
) -> Result<(Box<dyn KvCache>, f64), Box<dyn std::error::Error>> {
    let (layers, heads, kv_heads, dim) = (shape.layers, shape.heads, shape.kv_heads, shape.head_dim);
    let mut cache = kind.parse::<CacheKind>()?.build(&CacheContext::uniform(shape), None)?;
    let mut sealing = 0.0;
    for layer in 0..layers {
        for first in (0..context).step_by(TILE) {
            let tokens = TILE.min(context - first);
            let q = signal((heads, tokens, dim), 3, first);
            let k = signal((kv_heads, tokens, dim), 11 + layer, first);
            let v = signal((kv_heads, tokens, dim), 211 + layer, first);
            cache.append(layer, KvRows { q: &q, k: &k, v: &v, tokens }, workspace)?;
        }
        let begun = Instant::now();
        cache.seal(layer, workspace)?;
        sealing += begun.elapsed().as_secs_f64();
    }
    Ok((cache, sealing))
}

/// Slow waves around a mean, `[heads][tokens][dims]`, from token `first` on.
fn signal((heads, tokens, dim): (usize, usize, usize), seed: usize, first: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(heads * tokens * dim);
    for head in 0..heads {
        for t in first..first + tokens {
            out.extend((0..dim).map(|d| {
                let phase = ((head * dim + d) * 37 + seed * 101) as f32;
                (t as f32 * 0.003 * (1.2 + (phase * 0.7).sin()) + phase).sin() + (phase * 0.3).cos()
            }));
        }
    }
    out
}

/// Attention of every head as it is defined, over the past that [`filled`] gives the first layer.
fn defined((heads, kv_heads, dim): (usize, usize, usize), context: usize, q: &[f32]) -> Vec<f32> {
    let wide = |x: &[f32]| x.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
    let (k, v) = (signal((kv_heads, context, dim), 11, 0), signal((kv_heads, context, dim), 211, 0));
    let scale = 1.0 / (dim as f64).sqrt();
    let heads = (0..heads).flat_map(|h| {
        let past = h / (heads / kv_heads) * context * dim..(h / (heads / kv_heads) + 1) * context * dim;
        oracle::attend(&wide(&q[h * dim..(h + 1) * dim]), &wide(&k[past.clone()]), &wide(&v[past]), scale)
    });
    heads.map(|x| x as f32).collect()
}

/// A figure for an answer that is wrong is worth nothing.
fn check(what: &str, a: &[f32], b: &[f32], tolerance: f32) {
    let size = b.iter().fold(0.0f32, |m, x| m.max(x.abs()));
    let error = a.iter().zip(b).fold(0.0f32, |m, (x, y)| m.max((x - y).abs()));
    assert!(error <= tolerance * size, "{what}: {error} of {size}");
}
