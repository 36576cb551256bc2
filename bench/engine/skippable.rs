//! How much of a long past attention could leave unread: what coarse-to-fine attention could save at best.
//!
//!     cargo run --release -p fourier-kv-engine --example skippable -- MODEL.gguf TEXT.txt TOKENS
//!
//! One exact pass over the text. For 64 of the last 256 queries and every layer, the tokens that the `spectral` cache would
//! hold as codes are cut into superblocks of 256 and blocks of 16, and this is asked: which share of these can be left out
//! so that no more than 0.1 %, or 1 %, of the weight of all query heads together is lost? Of values a unit is left out for
//! all heads, as tiles of values span them; of keys for the heads of one key/value head.
//!
//! - `oracle`: whoever knows all scores leaves out the lightest units.
//! - `choice`: units are ordered by scores of keys cut down to their harmonics below `n` (of a DCT-II of 16 tokens, before
//!   RoPE), and left out as long as true weights allow. No real choice does better with these scores.
//! - `bound`: units are left out by what their weight is at most: the same scores, plus the norm of a query times the exact
//!   norm of what is cut off each key; and as much with both weighted, pair by pair, by the root mean square of queries.
//! - `below`: superblocks of values none of whose weights is above `e^-x` of the largest of its head.
//!
//! Prints a JSON row for each, with means over layers and queries, and the quartiles.
#![allow(clippy::print_stdout, reason = "a program that prints")]

use std::collections::BTreeMap;
use std::error::Error;
use std::ops::{ControlFlow, Range};
use std::path::Path;
use std::sync::Arc;

use fourier_kv_engine::cache::{CacheShape, LayerTrace, TraceCache};
use fourier_kv_engine::model::decoder::{LogitRows, Sequence};
use fourier_kv_engine::{Engine, EngineOptions};
use fourier_kv_spectral::dct::Dct;
use serde_json::json;

const BLOCK: usize = 16;
const SUPERBLOCK: usize = 256;
const SINK: usize = 4;
const WINDOW: usize = 1020;
/// The last positions whose queries are looked at, and every how manieth of them.
const LAST: usize = 256;
const STEP: usize = 4;
/// Parts of the weight that may be lost.
const LOSSES: [f64; 2] = [1e-3, 1e-2];
/// Harmonics that are kept of keys.
const KEPT: [usize; 3] = [1, 2, 4];
/// Powers of `e` that the largest weight is divided by.
const BELOW: [f64; 3] = [8.0, 10.0, 12.0];
const UNITS: [(&str, usize); 2] = [("superblock", SUPERBLOCK), ("block", BLOCK)];

/// Shares that can be left out, by what it was that left them out.
type Shares = BTreeMap<String, Vec<f64>>;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, text, tokens] = arguments.as_slice() else { return Err("expected MODEL TEXT TOKENS".into()) };
    let engine = Engine::load(Path::new(model), &EngineOptions::default())?;
    let count: usize = tokens.parse()?;
    let text: String = std::fs::read_to_string(text)?.chars().take(count * 8).collect();
    let tokens = engine.text_prompt(&text)?;
    let tokens = tokens.get(..count).filter(|_| count >= SINK + SUPERBLOCK + WINDOW + LAST).ok_or("a longer text")?;
    let mut shares = Shares::new();
    let mut cache = TraceCache::new(Arc::new(engine.model().cache_shape()), |trace| layer(trace, count, &mut shares));
    let mut activations = engine.model().activations();
    let mut batch = [Sequence { tokens, cache: &mut cache, end_of_prompt: true, logits: LogitRows::None }];
    engine.model().forward(&mut batch, engine.workspace(), &mut activations, &mut |_| ControlFlow::Continue(()))?;
    drop(cache);
    for (what, mut shares) in shares {
        shares.sort_unstable_by(f64::total_cmp);
        let at = |part: usize| shares[(shares.len() - 1) * part / 4];
        let mean = shares.iter().sum::<f64>() / shares.len() as f64;
        println!(
            "{}",
            json!({"left out by": what, "tokens": count, "mean": round(mean),
            "quartiles": [round(at(1)), round(at(2)), round(at(3))]})
        );
    }
    Ok(())
}

fn round(x: f64) -> f64 {
    (x * 1e4).round() / 1e4
}

/// What one layer adds.
fn layer(trace: LayerTrace<'_>, tokens: usize, shares: &mut Shares) {
    let shape = trace.shape();
    let coded = SINK..SINK + (tokens - LAST - WINDOW - SINK) / SUPERBLOCK * SUPERBLOCK;
    let groups: Vec<Group<'_>> = (0..shape.kv_heads).map(|g| Group::new(&trace, g, coded.clone())).collect();
    for position in (tokens - LAST..tokens).step_by(STEP) {
        let mut all: Vec<Vec<f64>> = UNITS.map(|(_, unit)| vec![0.0; coded.len() / unit]).to_vec();
        let mut largest = vec![0.0f64; coded.len() / SUPERBLOCK];
        for group in &groups {
            let heads = group.weights(&trace, position, &mut largest);
            for (all, (_, unit)) in all.iter_mut().zip(UNITS) {
                let own = masses(&heads.exact, unit);
                all.iter_mut().zip(&own).for_each(|(all, own)| *all += own);
            }
            group.keys(&heads, shares);
        }
        for (masses, (unit, _)) in all.iter().zip(UNITS) {
            add(shares, &format!("oracle, values, {unit}"), masses, masses, shape.heads);
        }
        for x in BELOW {
            let few = largest.iter().filter(|&&weight| weight < (-x).exp()).count();
            let share = few as f64 / largest.len() as f64;
            shares.entry(format!("below e^-{x}, values, superblock")).or_default().push(share);
        }
    }
}

/// Which share of units goes first, in ascending `order`, until more than each of [`LOSSES`] of `heads` heads is gone.
fn add(shares: &mut Shares, what: &str, order: &[f64], masses: &[f64], heads: usize) {
    let mut units: Vec<usize> = (0..order.len()).collect();
    units.sort_unstable_by(|&a, &b| order[a].total_cmp(&order[b]));
    for loss in LOSSES {
        let mut lost = 0.0;
        let out = units.iter().take_while(|&&unit| {
            lost += masses[unit];
            lost <= loss * heads as f64
        });
        let share = out.count() as f64 / units.len() as f64;
        shares.entry(format!("{what}, loss {loss}")).or_default().push(share);
    }
}

/// Sums over units, of all heads: weights `[heads][tokens]`.
fn masses(weights: &[Vec<f64>], unit: usize) -> Vec<f64> {
    let units = weights[0].len() / unit;
    (0..units).map(|i| weights.iter().map(|head| head[i * unit..(i + 1) * unit].iter().sum::<f64>()).sum()).collect()
}

/// Weights of one query position in a group, `[heads][tokens]`, as parts of the true whole.
struct Heads {
    exact: Vec<Vec<f64>>,
    /// By [`KEPT`]: as coarse keys have it.
    coarse: Vec<Vec<Vec<f64>>>,
    /// By [`KEPT`]: at most, plain and weighted.
    most: [Vec<Vec<Vec<f64>>>; 2],
}

/// A key/value head.
struct Group<'a> {
    number: usize,
    coded: Range<usize>,
    dim: usize,
    /// `[T][D]`, rotated.
    keys: &'a [f32],
    /// Root mean squares of queries, `[D]`, alike in both dims of a pair.
    sizes: Vec<f32>,
    /// By [`KEPT`]: coded keys without higher harmonics, `[coded][D]`, rotated.
    coarse: Vec<Vec<f32>>,
    /// By [`KEPT`]: norms of what is cut off, plain and weighted, `[coded]`.
    norms: Vec<[Vec<f32>; 2]>,
}

impl<'a> Group<'a> {
    fn new(trace: &'a LayerTrace<'a>, number: usize, coded: Range<usize>) -> Self {
        let (shape, keys) = (trace.shape(), trace.keys(number));
        let dim = shape.head_dim;
        let sizes = query_sizes(trace, number);
        let mut plain = keys[coded.start * dim..coded.end * dim].to_vec();
        turn(&mut plain, shape, coded.start, -1.0);
        let (mut coarse, mut norms) = (Vec::new(), Vec::new());
        for kept in KEPT {
            let mut cut = without_high_harmonics(&plain, dim, kept);
            let norm = |weighted: bool| -> Vec<f32> {
                let rows = plain.chunks_exact(dim).zip(cut.chunks_exact(dim));
                let square = |(x, y, w): (&f32, &f32, &f32)| ((x - y) * if weighted { *w } else { 1.0 }).powi(2);
                let rows =
                    rows.map(|(x, y)| x.iter().zip(y).zip(&sizes).map(|((x, y), w)| square((x, y, w))).sum::<f32>());
                rows.map(f32::sqrt).collect()
            };
            norms.push([norm(false), norm(true)]);
            turn(&mut cut, shape, coded.start, 1.0);
            coarse.push(cut);
        }
        Group { number, coded, dim, keys, sizes, coarse, norms }
    }

    /// Weights of all tokens for the query at `position`; raises `largest`, by superblock, in parts of each head's largest.
    fn weights(&self, trace: &LayerTrace<'_>, position: usize, largest: &mut [f64]) -> Heads {
        let (shape, dim) = (trace.shape(), self.dim);
        let mut heads = Heads { exact: Vec::new(), coarse: vec![Vec::new(); KEPT.len()], most: Default::default() };
        heads.most = [(); 2].map(|_| vec![Vec::new(); KEPT.len()]);
        for head in self.number * shape.group()..(self.number + 1) * shape.group() {
            let query = &trace.queries[(position * shape.heads + head) * dim..][..dim];
            let scores = self.scores(query, &self.keys[..(position + 1) * dim]);
            let most = scores.iter().copied().fold(f64::MIN, f64::max);
            let sum: f64 = scores.iter().map(|x| (x - most).exp()).sum();
            let weight = |x: f64| (x - most).exp() / sum;
            heads.exact.push(scores[self.coded.clone()].iter().map(|&x| weight(x)).collect());
            for (largest, scores) in largest.iter_mut().zip(scores[self.coded.clone()].chunks_exact(SUPERBLOCK)) {
                *largest = scores.iter().map(|x| (x - most).exp()).fold(*largest, f64::max);
            }
            let norms = self.norms_of(query);
            for (i, coarse) in self.coarse.iter().enumerate() {
                let scores = self.scores(query, coarse);
                heads.coarse[i].push(scores.iter().map(|&x| weight(x)).collect());
                for (kind, most) in heads.most.iter_mut().enumerate() {
                    let cut = &self.norms[i][kind];
                    most[i].push(
                        scores.iter().zip(cut).map(|(x, cut)| weight(x + norms[kind] * f64::from(*cut))).collect(),
                    );
                }
            }
        }
        heads
    }

    /// Scaled products with keys, `[n][D]`.
    fn scores(&self, query: &[f32], keys: &[f32]) -> Vec<f64> {
        let scale = 1.0 / (self.dim as f64).sqrt();
        let product = |key: &[f32]| -> f32 {
            let (mut sums, pairs) = ([0.0f32; 16], query.as_chunks::<16>().0.iter().zip(key.as_chunks::<16>().0));
            pairs.for_each(|(q, k)| (0..16).for_each(|i| sums[i] += q[i] * k[i]));
            sums.iter().sum()
        };
        keys.chunks_exact(self.dim).map(|key| f64::from(product(key)) * scale).collect()
    }

    /// Norms of a query, plain and divided by what weighted keys are multiplied with, scaled as scores are.
    fn norms_of(&self, query: &[f32]) -> [f64; 2] {
        let norm =
            |x: &mut dyn Iterator<Item = f32>| (f64::from(x.map(|x| x * x).sum::<f32>()) / self.dim as f64).sqrt();
        let weighted = &mut query.iter().zip(&self.sizes).map(|(x, w)| if *w > 0.0 { x / w } else { 0.0 });
        [norm(&mut query.iter().copied()), norm(weighted)]
    }

    fn keys(&self, heads: &Heads, shares: &mut Shares) {
        let count = heads.exact.len();
        for (name, unit) in UNITS {
            let exact = masses(&heads.exact, unit);
            add(shares, &format!("oracle, keys, {name}"), &exact, &exact, count);
            for (i, kept) in KEPT.iter().enumerate() {
                let coarse = masses(&heads.coarse[i], unit);
                add(shares, &format!("choice by {kept}, keys, {name}"), &coarse, &exact, count);
                for (kind, by) in ["plain", "weighted"].iter().enumerate() {
                    let most = masses(&heads.most[kind][i], unit);
                    add(shares, &format!("bound by {kept}, {by}, keys, {name}"), &most, &most, count);
                }
            }
        }
    }
}

/// Root mean squares of the queries of a group, pair by pair.
fn query_sizes(trace: &LayerTrace<'_>, number: usize) -> Vec<f32> {
    let shape = trace.shape();
    let (dim, own) = (shape.head_dim, number * shape.group()..(number + 1) * shape.group());
    let mut sums = vec![0.0f64; dim];
    for token in trace.queries.chunks_exact(shape.heads * dim) {
        for query in token[own.start * dim..own.end * dim].chunks_exact(dim) {
            sums.iter_mut().zip(query).for_each(|(sum, x)| *sum += f64::from(x * x));
        }
    }
    let count = (trace.queries.len() / (shape.heads * dim) * own.len()) as f64;
    (0..dim).map(|d| ((sums[d] + sums[(d + dim / 2) % dim]) / (2.0 * count)).sqrt() as f32).collect()
}

/// Rows `[n][D]` turned by the angles of positions from `first` on, forwards (1) or backwards (-1).
fn turn(rows: &mut [f32], shape: &CacheShape, first: usize, way: f64) {
    let half = shape.head_dim / 2;
    for (position, row) in (first..).zip(rows.chunks_exact_mut(shape.head_dim)) {
        for (i, frequency) in shape.rope_frequencies.iter().enumerate() {
            let (sin, cos) = (way * position as f64 * frequency).sin_cos();
            let (x, y) = (f64::from(row[i]), f64::from(row[half + i]));
            (row[i], row[half + i]) = ((x * cos - y * sin) as f32, (x * sin + y * cos) as f32);
        }
    }
}

/// Blocks of rows `[n][D]` with only their first harmonics.
fn without_high_harmonics(rows: &[f32], dim: usize, kept: usize) -> Vec<f32> {
    let dct = Dct::new(BLOCK).expect("blocks of 16 tokens");
    let cosines = dct.matrix();
    let mut out = vec![0.0f32; rows.len()];
    for (rows, out) in rows.chunks_exact(BLOCK * dim).zip(out.chunks_exact_mut(BLOCK * dim)) {
        for cosines in cosines.chunks_exact(BLOCK).take(kept) {
            let mut sums = vec![0.0f64; dim];
            for (row, c) in rows.chunks_exact(dim).zip(cosines) {
                sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += c * f64::from(*x));
            }
            for (row, c) in out.chunks_exact_mut(dim).zip(cosines) {
                row.iter_mut().zip(&sums).for_each(|(x, sum)| *x += (c * sum) as f32);
            }
        }
    }
    out
}
