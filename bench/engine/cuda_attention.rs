//! Decode attention on a GPU: how long a layer takes, and how far its outputs are from `f64`.
//!
//!     cargo run --release -p fourier-kv-cuda --example cuda_attention -- rows.jsonl [spectral]
//!
//! The shape is one layer of Llama-3.1-8B (32 query heads, 8 key/value heads, 128 dims) in `bf16`; `fourier` with 97 of
//! 128 dims spectral in 512 harmonics and a window of 1,024 tokens. Several layers with inputs of their own are captured
//! in one graph, at least 1 GB of them, so that nothing is read from the cache of the chip; a time is that of a replay
//! over the layers. Outputs are poisoned before, and rows of the last layer are compared with `f64`. With `spectral`
//! nothing else is measured.

#[path = "cuda_spectral.rs"]
mod spectral;
#[path = "../../crates/cuda/tests/support/mod.rs"]
mod support;

use std::io::Write;

use fourier_kv_cuda::attention::exact::ExactAttention;
use fourier_kv_cuda::attention::fourier::{FourierAttention, FourierMiddle, FourierPast, FourierSizes, MiddleView};
use fourier_kv_cuda::attention::prompt::PromptAttention;
use fourier_kv_cuda::attention::seal::{FourierSeal, Leaving};
use fourier_kv_cuda::attention::{Heads, TokensView};
use fourier_kv_cuda::{Buffer, CudaError, Device, Graph, Random, Stopwatch};
use half::bf16;
use serde_json::json;
use support::{Circle, Numbers, distance, softmax_sum};

const HEADS: Heads = Heads { heads: 32, kv_heads: 8, head_dim: 128 };
const SIZES: FourierSizes = FourierSizes { heads: HEADS, harmonics: 512, key_tracks: 97, value_tracks: 97 };
/// Sink and window of a fourier cache.
const WHOLE: usize = 1024;
/// Context, batch, and the most microseconds a layer may take: `exact`, `fourier`, `spectral`.
const CASES: [(usize, usize, [f64; 3]); 3] =
    [(32_768, 1, [75.0, 45.0, 40.0]), (131_072, 1, [215.0, 110.0, 100.0]), (32_768, 8, [400.0, 200.0, 170.0])];
/// Bytes of a graph's layers, at least.
const GRAPH_BYTES: usize = 1 << 30;
const REPLAYS: usize = 40;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(device) = support::device() else { return Ok(()) };
    let mut rows = match std::env::args().nth(1) {
        Some(path) => Some(std::fs::File::create(path)?),
        None => None,
    };
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_nanos() as u64;
    let mut random = Random::new(&device, seed)?;
    let out = &mut std::io::stdout();
    writeln!(out, "{:?}, seed {seed}", device.info())?;
    writeln!(out, "kernel   context batch | us a layer  at most | MB read  TB/s | error")?;
    let all = std::env::args().nth(2).is_none_or(|only| only != "spectral");
    for (context, batch, [exact, fourier, coded]) in CASES {
        let mut row = vec![spectral::measure(&device, &mut random, context, batch)?.with("spectral", coded)];
        if all {
            row.push(measure_exact(&device, &mut random, context, batch)?.with("exact", exact));
            row.push(measure_fourier(&device, &mut random, context, batch)?.with("fourier", fourier));
        }
        for measured in row {
            let Measured { kernel, target, ref times, bytes, error } = measured;
            let median = median(times);
            writeln!(
                out,
                "{kernel:8} {context:7} {batch:5} | {:10.1} {target:8.0} | {:7.1} {:5.2} | {error:.1e}",
                median * 1e6,
                bytes as f64 / 1e6,
                bytes as f64 / median / 1e12
            )?;
            if let Some(rows) = &mut rows {
                let row = json!({
                    "kernel": kernel, "context": context, "batch": batch, "target_us": target, "bytes": bytes,
                    "median_us": median * 1e6, "error": error, "us": times.iter().map(|t| t * 1e6).collect::<Vec<_>>(),
                    "device": device.info().name, "seed": seed,
                });
                writeln!(rows, "{row}")?;
            }
        }
    }
    if all { prompt(&device, &mut random, out) } else { Ok(()) }
}

/// Attention of a prompt of 32k tokens over itself, and its sealing.
fn prompt(device: &Device, random: &mut Random, out: &mut impl Write) -> Result<(), Box<dyn std::error::Error>> {
    let tokens = 32_768;
    let past = Whole::random(device, random, tokens, 1)?;
    let mut q = device.uninitialised::<bf16>(tokens * HEADS.heads * HEADS.head_dim)?;
    random.bf16(device, &mut q, 2.0)?;
    let mut attended = device.uninitialised::<bf16>(q.len())?;
    let attention = PromptAttention::new(device, HEADS)?;
    let view = past.host[0];
    let times = repeated(device, || attention.attend(device, &q, view, tokens, &mut attended))?;
    let operations = 2.0 * (HEADS.heads * HEADS.head_dim) as f64 * (tokens as f64).powi(2);
    let seconds = median(&times);
    writeln!(out, "prompt of {tokens}: {:.2} ms, {:.0} TFLOP/s", seconds * 1e3, operations / seconds / 1e12)?;

    let seal = FourierSeal::new(device, SIZES)?;
    let tables = seal.tables(device, tokens)?;
    let mut middle = FourierMiddle::new(device, &SIZES, tokens - WHOLE)?;
    let dims: Vec<u16> = (0..HEADS.kv_heads).flat_map(|_| 0..HEADS.head_dim as u16).collect();
    middle.dims.iter_mut().try_for_each(|side| side.write(&dims))?;
    let leaving = Leaving { tokens: view, first: 4, count: tokens - WHOLE };
    let seconds = median(&repeated(device, || seal.seal(device, &mut middle, &tables, leaving))?);
    writeln!(out, "seal: {:.3} ms", seconds * 1e3)?;
    let growing = Leaving { count: 64, ..leaving };
    let seconds = median(&repeated(device, || seal.grow(device, &mut middle, &tables, 1000, growing))?);
    writeln!(out, "growth by 64 tokens: {:.1} us", seconds * 1e6)?;
    Ok(())
}

/// Seconds of each of ten times that `work` is done, after two more.
fn repeated(device: &Device, mut work: impl FnMut() -> Result<(), CudaError>) -> Result<Vec<f64>, CudaError> {
    let watch = Stopwatch::new(device)?;
    work()?;
    work()?;
    (0..10).map(|_| watch.time(device, &mut work)).collect()
}

/// What came out.
struct Measured {
    kernel: &'static str,
    target: f64,
    times: Vec<f64>,
    bytes: usize,
    error: f64,
}

impl Measured {
    fn with(self, kernel: &'static str, target: f64) -> Self {
        Measured { kernel, target, ..self }
    }
}

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// Seconds a layer of each replay of a graph of `layers` layers.
fn replay(device: &Device, layers: usize, work: impl FnOnce() -> Result<(), CudaError>) -> Result<Vec<f64>, CudaError> {
    let graph = Graph::capture(device, work)?;
    let watch = Stopwatch::new(device)?;
    for _ in 0..3 {
        graph.launch()?;
    }
    (0..REPLAYS).map(|_| Ok(watch.time(device, || graph.launch())? / layers as f64)).collect()
}

/// Keys and values of a batch, held whole.
struct Whole {
    rows: [Buffer<bf16>; 2],
    views: Buffer<TokensView>,
    host: Vec<TokensView>,
    count: usize,
}

impl Whole {
    fn random(device: &Device, random: &mut Random, count: usize, batch: usize) -> Result<Self, CudaError> {
        let numbers = HEADS.kv_heads * count * HEADS.head_dim;
        let mut rows = [device.uninitialised(batch * numbers)?, device.uninitialised(batch * numbers)?];
        for side in &mut rows {
            random.bf16(device, side, 1.0)?;
        }
        let at = |side: usize, b: usize| rows[side].address() + (b * numbers * size_of::<bf16>()) as u64;
        let count_32 = count as u32;
        let view = |b| TokensView { keys: at(0, b), values: at(1, b), count: count_32, capacity: count_32 };
        let host: Vec<_> = (0..batch).map(view).collect();
        Ok(Whole { rows, views: device.upload(&host)?, host, count })
    }

    /// `[count][D]` of a head.
    fn head(&self, side: usize, b: usize, g: usize) -> Result<Vec<f64>, CudaError> {
        let numbers = self.count * HEADS.head_dim;
        let first = (b * HEADS.kv_heads + g) * numbers;
        Ok(self.rows[side].read_range(first..first + numbers)?.iter().map(|x| x.to_f64()).collect())
    }
}

fn random_queries(device: &Device, random: &mut Random, batch: usize) -> Result<Buffer<f32>, CudaError> {
    let mut q = device.uninitialised(batch * HEADS.heads * HEADS.head_dim)?;
    random.f32(device, &mut q, 2.0)?;
    Ok(q)
}

fn poisoned(device: &Device, batch: usize) -> Result<Buffer<f32>, CudaError> {
    device.upload(&vec![f32::NAN; batch * HEADS.heads * HEADS.head_dim])
}

/// Rows that are compared: batch and head.
fn checked_rows(batch: usize) -> [(usize, usize); 3] {
    [(0, 0), (batch - 1, 17), (batch / 2, 31)]
}

fn dots(q: &[f32], keys: &[f64]) -> Vec<f64> {
    let scale = (HEADS.head_dim as f64).sqrt();
    let dot = |k: &[f64]| q.iter().zip(k).map(|(&a, b)| f64::from(a) * b).sum::<f64>() / scale;
    keys.chunks_exact(HEADS.head_dim).map(dot).collect()
}

fn measure_exact(device: &Device, random: &mut Random, context: usize, batch: usize) -> Result<Measured, CudaError> {
    let bytes = 2 * size_of::<bf16>() * batch * HEADS.kv_heads * context * HEADS.head_dim;
    let layers = (GRAPH_BYTES / bytes).clamp(4, 32);
    let attention = ExactAttention::new(device, HEADS)?;
    let all = (0..layers).map(|_| Whole::random(device, random, context, batch)).collect::<Result<Vec<_>, _>>()?;
    let q = random_queries(device, random, batch)?;
    let mut work = attention.work(device, batch)?;
    let mut out = poisoned(device, batch)?;
    let times = replay(device, layers, || {
        all.iter().try_for_each(|past| attention.attend(device, &q, &past.views, &mut work, &mut out))
    })?;
    let (q, out, past) = (q.read()?, out.read()?, &all[layers - 1]);
    let mut error: f64 = 0.0;
    for (b, h) in checked_rows(batch) {
        let row = (b * HEADS.heads + h) * HEADS.head_dim..(b * HEADS.heads + h + 1) * HEADS.head_dim;
        let [keys, values] = [past.head(0, b, h / HEADS.group())?, past.head(1, b, h / HEADS.group())?];
        let scores = dots(&q[row.clone()], &keys);
        let expected = softmax_sum(&scores, HEADS.head_dim, |t, d| values[t * HEADS.head_dim + d]);
        error = error.max(distance(&out[row], &expected));
    }
    Ok(Measured { kernel: "", target: 0.0, times, bytes, error })
}

/// One layer's fourier caches of a batch.
struct Fourier {
    middles: Vec<FourierMiddle>,
    views: Buffer<MiddleView>,
    whole: Whole,
    /// `[batch][side]`, `[G][D]`.
    dims: Vec<[Vec<u16>; 2]>,
}

fn measure_fourier(device: &Device, random: &mut Random, context: usize, batch: usize) -> Result<Measured, CudaError> {
    let (tokens, period) = (context - WHOLE, context);
    let attention = FourierAttention::new(device, SIZES)?;
    let tables = FourierSeal::new(device, SIZES)?.tables(device, period)?;
    let bytes = batch * (SIZES.bytes(tokens) + 2 * 2 * HEADS.kv_heads * WHOLE * HEADS.head_dim);
    let layers = (GRAPH_BYTES / bytes).clamp(4, 32);
    let mut numbers = Numbers(7);
    let mut make = || -> Result<Fourier, CudaError> {
        let dims = |_| [0, 1].map(|_| (0..HEADS.kv_heads).flat_map(|_| numbers.permutation(HEADS.head_dim)).collect());
        let dims: Vec<[Vec<u16>; 2]> = (0..batch).map(dims).collect();
        let mut middles = Vec::new();
        for dims in &dims {
            let mut middle = FourierMiddle::new(device, &SIZES, tokens)?;
            let deviation = period as f32 / (2.0 * (SIZES.harmonics as f32).sqrt());
            for side in 0..2 {
                random.bf16(device, &mut middle.spectra[side], deviation)?;
                random.bf16(device, &mut middle.exact[side], 1.0)?;
                random.f32(device, &mut middle.means[side], 0.02)?;
                middle.dims[side].write(&dims[side])?;
            }
            middles.push(middle);
        }
        let views = middles.iter().map(|m| m.view(&tables, tokens)).collect::<Result<Vec<_>, _>>()?;
        Ok(Fourier {
            views: device.upload(&views)?,
            whole: Whole::random(device, random, WHOLE, batch)?,
            middles,
            dims,
        })
    };
    let all = (0..layers).map(|_| make()).collect::<Result<Vec<_>, _>>()?;
    let q = random_queries(device, random, batch)?;
    let mut work = attention.work(device, batch, WHOLE)?;
    let mut out = poisoned(device, batch)?;
    let times = replay(device, layers, || {
        all.iter().try_for_each(|layer| {
            let past = FourierPast { queries: &q, middles: &layer.views, whole: &layer.whole.views };
            attention.attend(device, past, &mut work, &mut out)
        })
    })?;
    let (q, out, circle) = (q.read()?, out.read()?, Circle::new(period));
    let mut error: f64 = 0.0;
    for (b, h) in checked_rows(batch) {
        let row = (b * HEADS.heads + h) * HEADS.head_dim..(b * HEADS.heads + h + 1) * HEADS.head_dim;
        let expected = fourier_row(&all[layers - 1], &circle, (b, h / HEADS.group()), &q[row.clone()], tokens)?;
        error = error.max(distance(&out[row], &expected));
    }
    Ok(Measured { kernel: "", target: 0.0, times, bytes, error })
}

/// One side of one head's middle, read back: what its spectral dims are made of, and its exact dims.
struct Side {
    spectra: Vec<f64>,
    means: Vec<f64>,
    exact: Vec<f64>,
    dims: Vec<u16>,
    width: usize,
}

impl Side {
    fn read(layer: &Fourier, (b, g): (usize, usize), side: usize, tokens: usize) -> Result<Self, CudaError> {
        let (middle, width) = (&layer.middles[b], SIZES.widths()[side]);
        let tracks = [SIZES.key_tracks, SIZES.value_tracks][side];
        let part = |n: usize| g * n..(g + 1) * n;
        let doubles = |numbers: Vec<bf16>| numbers.iter().map(|x| x.to_f64()).collect();
        Ok(Side {
            spectra: doubles(middle.spectra[side].read_range(part(tracks * 2 * SIZES.harmonics))?),
            means: middle.means[side].read_range(part(tracks))?.iter().map(|&x| f64::from(x)).collect(),
            exact: doubles(middle.exact[side].read_range(part(tokens * width))?),
            dims: layer.dims[b][side][part(HEADS.head_dim)].to_vec(),
            width,
        })
    }

    /// `sum_d factors[d] X_d` over the spectral dims.
    fn contracted(&self, factors: impl Fn(usize) -> f64) -> Vec<f64> {
        let mut sum = vec![0.0; 2 * SIZES.harmonics];
        for (i, spectrum) in self.spectra.chunks_exact(2 * SIZES.harmonics).enumerate() {
            let factor = factors(usize::from(self.dims[i]));
            sum.iter_mut().zip(spectrum).for_each(|(s, x)| *s += factor * x);
        }
        sum
    }
}

/// One row in `f64`, by the direct sums of docs/method.md over harmonics and times.
fn fourier_row(
    layer: &Fourier,
    circle: &Circle,
    (b, g): (usize, usize),
    q: &[f32],
    tokens: usize,
) -> Result<Vec<f64>, CudaError> {
    let [keys, values] = [Side::read(layer, (b, g), 0, tokens)?, Side::read(layer, (b, g), 1, tokens)?];
    let [key_tracks, value_tracks] = [SIZES.key_tracks, SIZES.value_tracks];
    let scale = (HEADS.head_dim as f64).sqrt();
    let u = keys.contracted(|d| f64::from(q[d]));
    let mean: f64 = (0..key_tracks).map(|i| f64::from(q[usize::from(keys.dims[i])]) * keys.means[i]).sum();
    let mut scores: Vec<f64> = circle.rebuild(&u, tokens).iter().map(|x| (x + mean) / scale).collect();
    for (t, score) in scores.iter_mut().enumerate() {
        let exact = (key_tracks..HEADS.head_dim)
            .map(|i| f64::from(q[usize::from(keys.dims[i])]) * keys.exact[t * keys.width + i - key_tracks]);
        *score += exact.sum::<f64>() / scale;
    }
    scores.extend(dots(q, &layer.whole.head(0, b, g)?));
    let whole_values = layer.whole.head(1, b, g)?;
    // The weights' transform first: rebuilding every value would take a hundred times as long.
    let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = scores.iter().map(|s| (s - top).exp()).collect();
    let sum: f64 = weights.iter().sum();
    let harmonics = SIZES.harmonics;
    let period = tokens + WHOLE;
    let mut transform = vec![0.0; 2 * harmonics];
    for (t, weight) in weights[..tokens].iter().enumerate() {
        for n in 0..harmonics {
            let (cos, sin) = circle.at(n, t);
            let twice = if n == 0 { 1.0 } else { 2.0 } / period as f64;
            transform[n] += weight * cos * twice;
            transform[harmonics + n] -= weight * sin * twice;
        }
    }
    let middle_sum: f64 = weights[..tokens].iter().sum();
    let mut out = vec![0.0; HEADS.head_dim];
    for (i, &d) in values.dims.iter().enumerate() {
        out[usize::from(d)] = if i < value_tracks {
            let spectrum = &values.spectra[i * 2 * harmonics..][..2 * harmonics];
            let dot: f64 = spectrum.iter().zip(&transform).map(|(a, b)| a * b).sum();
            dot + middle_sum * values.means[i]
        } else {
            weights[..tokens]
                .iter()
                .enumerate()
                .map(|(t, w)| w * values.exact[t * values.width + i - value_tracks])
                .sum()
        };
    }
    for (t, weight) in weights[tokens..].iter().enumerate() {
        for d in 0..HEADS.head_dim {
            out[d] += weight * whole_values[t * HEADS.head_dim + d];
        }
    }
    out.iter_mut().for_each(|x| *x /= sum);
    Ok(out)
}
