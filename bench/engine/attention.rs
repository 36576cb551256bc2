//! How long the attention of one decoded token takes in one layer: `exact` and other caches.
//!
//!     cargo run --release -p fourier-kv-cache --example attention -- 32768 12 2 128 2 fourier spectral:2
//!
//! Arguments: contexts with commas between, query heads, key/value heads, head dims, threads, caches; `base=1e4` among the
//! caches sets RoPE's base, which is that of Qwen2.5, 1e6, otherwise. Layers take turns,
//! and are so many that no cache of the processor holds them all: numbers come from memory, as they do in a model.
//! `fourier` gets slow waves, all others noise whose channels and neighbours in time hang together, as keys and values
//! do: with 2 bits, two thirds of the coefficients of `spectral` have bits. Answers are checked: `exact` against the
//! definition, the others against themselves on the plain instruction set and one thread, and against `exact`. Prints a
//! JSON row a context and cache.
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
    let [contexts, heads, kv_heads, dim, threads, kinds @ ..] = args.as_slice() else {
        return Err(
            "expected contexts with commas between, query heads, key/value heads, head dims, threads, caches".into()
        );
    };
    let (heads, kv_heads, dim) = (heads.parse()?, kv_heads.parse()?, dim.parse()?);
    let (bases, kinds): (Vec<_>, Vec<_>) = kinds.iter().map(String::as_str).partition(|kind| kind.starts_with("base="));
    let base: f64 = bases.first().map_or(Ok(1e6), |base| base["base=".len()..].parse())?;
    let frequencies: Vec<f64> = (0..dim / 2).map(|i| base.powf(-2.0 * i as f64 / dim as f64)).collect();
    let workspace = Workspace::with_team(Isa::detect(), Team::new(threads.parse()?)?);
    for context in contexts.split(',') {
        let context: usize = context.parse()?;
        println!(
            "{}",
            json!({"cache": "none: plain reads", "context": context,
            "threads": workspace.team().threads(), "gigabytes_per_second_median": reads(&workspace)})
        );
        for kind in std::iter::once("exact").chain(kinds.iter().copied()) {
            let shape =
                |layers| CacheShape { layers, heads, kv_heads, head_dim: dim, rope_frequencies: frequencies.clone() };
            let one = filled(kind, shape(1), context, &workspace)?.0.bytes().total();
            let layers = BYTES.div_ceil(one).clamp(2, 64);
            let (cache, seal) = filled(kind, shape(layers), context, &workspace)?;
            let per_layer = cache.bytes().total() / layers;
            let queries = waves((heads, 1, dim), 7);
            let queries = QueryRows { q: &queries, tokens: 1 };
            let mut out = AttnRows::new(heads, dim);
            cache.attend(0, queries, &workspace, &mut out)?;
            let answer = out.finish().to_vec();
            let expected = defined(&shape(1), (kind, context), queries.q);
            if kind == "exact" {
                check("exact and the definition", &answer, &expected, 0.01);
            } else {
                let plain = Workspace::new(Isa::portable());
                let mut out = AttnRows::new(heads, dim);
                cache.attend(0, queries, &plain, &mut out)?;
                check(&format!("{kind} and its plain form"), &answer, out.finish(), 1e-4);
                check(&format!("{kind} and the definition"), &answer, &expected, 0.3);
            }
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
                "threads": workspace.team().threads(), "rope_base": base, "layers": layers, "bytes_a_layer": per_layer,
                "microseconds_median": median, "microseconds_5_percent": best,
                "seal_milliseconds_a_layer": seal * 1e3 / layers as f64,
                "gigabytes_per_second_median": per_layer as f64 / median / 1e3})
            );
        }
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
    let mut cache = kind.parse::<CacheKind>()?.build(&CacheContext::uniform(shape.clone()), None)?;
    let queries = waves((heads, TILE, dim), 3);
    let mut sealing = 0.0;
    for layer in 0..layers {
        let [keys, values] = past((kv_heads, context, &shape.rope_frequencies), kind, layer);
        for first in (0..context).step_by(TILE) {
            let tokens = TILE.min(context - first);
            let tile = |x: &[f32]| -> Vec<f32> {
                x.chunks_exact(context * dim)
                    .flat_map(|head| &head[first * dim..(first + tokens) * dim])
                    .copied()
                    .collect()
            };
            let (q, k, v) = (&queries[..heads * tokens * dim], tile(&keys), tile(&values));
            cache.append(layer, KvRows { q, k: &k, v: &v, tokens }, workspace)?;
        }
        let begun = Instant::now();
        cache.seal(layer, workspace)?;
        sealing += begun.elapsed().as_secs_f64();
    }
    Ok((cache, sealing))
}

/// Keys and values of one layer, `[heads][tokens][dims]`, as a cache is measured with.
fn past((kv_heads, tokens, frequencies): (usize, usize, &[f64]), kind: &str, layer: usize) -> [Vec<f32>; 2] {
    let dim = 2 * frequencies.len();
    let shape = (kv_heads, tokens, dim);
    if matches!(kind, "exact" | "fourier") {
        return [waves(shape, 11 + layer), waves(shape, 211 + layer)];
    }
    let [mut keys, values] = [noise(shape, 11 + layer as u64), noise(shape, 211 + layer as u64)];
    for (at, row) in keys.chunks_exact_mut(dim).enumerate() {
        let (low, high) = row.split_at_mut(dim / 2);
        for ((x, y), frequency) in low.iter_mut().zip(high).zip(frequencies) {
            let (sin, cos) = ((at % tokens) as f64 * frequency).sin_cos();
            let (a, b) = (f64::from(*x), f64::from(*y));
            (*x, *y) = ((a * cos - b * sin) as f32, (a * sin + b * cos) as f32);
        }
    }
    [keys, values]
}

/// Slow waves around a mean.
fn waves((heads, tokens, dim): (usize, usize, usize), seed: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(heads * tokens * dim);
    for head in 0..heads {
        for t in 0..tokens {
            out.extend((0..dim).map(|d| {
                let phase = ((head * dim + d) * 37 + seed * 101) as f32;
                (t as f32 * 0.003 * (1.2 + (phase * 0.7).sin()) + phase).sin() + (phase * 0.3).cos()
            }));
        }
    }
    out
}

/// Noise around a mean, each channel of a size and a slowness of its own, neighbours mixed.
fn noise((heads, tokens, dim): (usize, usize, usize), seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / 8_388_608.0 - 1.0
    };
    let mut out = Vec::with_capacity(heads * tokens * dim);
    for _ in 0..heads {
        let mut now = vec![0.0f32; dim];
        for _ in 0..tokens {
            for (d, x) in now.iter_mut().enumerate() {
                let slow = (d * 7 % 10) as f32 / 10.0;
                *x = slow * *x + (1.0 - slow * slow).sqrt() * (uniform() + uniform());
            }
            let size = |d: usize| (-((d * 5 % 16) as f32) / 6.0).exp2();
            let mixed = |d: usize| now[d] * size(d) + 0.5 * now[(d + 1) % dim] * size((d + 1) % dim);
            out.extend((0..dim).map(|d| mixed(d) + (d as f32).sin()));
        }
    }
    out
}

/// Attention of every head as it is defined, over the past that [`filled`] gives the first layer.
fn defined(shape: &CacheShape, (kind, context): (&str, usize), q: &[f32]) -> Vec<f32> {
    let (heads, kv_heads, dim) = (shape.heads, shape.kv_heads, shape.head_dim);
    let wide = |x: &[f32]| x.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
    let [k, v] = past((kv_heads, context, &shape.rope_frequencies), kind, 0);
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
