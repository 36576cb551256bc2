//! A Llama-3.1-8B-shaped model with random weights on a GPU: prompts, steps of a batch, and memory.
//!
//!     cargo run --release -p fourier-kv-engine --features cuda --example cuda_model --
//!         [decode|memory|seal|encode] rows.jsonl [exact|fourier|spectral]
//!
//! Weights are made on the device. `decode`: contexts of 32,768 tokens, read as prompts, then 64 steps of a batch that go on
//! with their own likeliest tokens; `exact` in the batch of 16 that does not fit, and in the largest that does. `memory`:
//! one prompt of 16k to 128k tokens and 8 steps, and the most memory taken meanwhile. `encode`: one layer's tables and
//! codes. `seal`: that, prompts of 32,768 tokens, and 600 steps of one `spectral` context, in which superblocks leave the
//! window. Of all kinds of pasts, or of the one that is named. `fourier` with 97 of 128 dims spectral in 512 harmonics,
//! `spectral` at 2 bits with tables of each context's own, both with a window of 1,024 tokens. Rows are JSON.

#[path = "../../crates/cuda/tests/support/mod.rs"]
mod support;

use std::io::Write;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use fourier_kv_cuda::attention::Heads;
use fourier_kv_cuda::attention::encode::{EncoderWork, SpectralEncoder};
use fourier_kv_cuda::attention::fourier::FourierSizes;
use fourier_kv_cuda::attention::seal::Leaving;
use fourier_kv_cuda::attention::spectral::{SpectralAttention, SpectralTables};
use fourier_kv_cuda::model::{
    Batch, Dims, ExactPasts, FourierPasts, FourierSettings, Model, ModelShape, Pasts, PromptRows, SpectralPasts,
    Weights, Whole,
};
use fourier_kv_cuda::{CudaError, Random, Stopwatch};
use fourier_kv_engine::cache::spectral::{Rate, SpectralSettings};
use fourier_kv_engine::cache::{CacheContext, CacheShape};
use fourier_kv_engine::device;
use serde_json::{Value, json};

type Failure = Box<dyn std::error::Error>;

const HEADS: Heads = Heads { heads: 32, kv_heads: 8, head_dim: 128 };
const CONTEXT: usize = 32_768;
/// Sink and window of compressed pasts.
const SINK: usize = 0;
const WINDOW: usize = 1024;
/// Bytes that reading a prompt takes beside the past, and some more.
const WORKING: usize = 1 << 30;
/// Steps that are measured, after a few that are not.
const STEPS: usize = 64;
const WARM: usize = 4;

fn main() -> Result<(), Failure> {
    let Some(device) = support::device() else { return Ok(()) };
    let mut args = std::env::args().skip(1);
    let what = args.next().unwrap_or_default();
    let rows: Box<dyn Write> = match args.next() {
        Some(path) => Box::new(std::fs::File::create(path)?),
        None => Box::new(std::io::stdout()),
    };
    let only = args.next();
    let device = Arc::new(device);
    let begun = Instant::now();
    let weights = Weights::random(&device, &shape(), 1)?;
    let model = Arc::new(Model::new(Arc::clone(&device), weights, None)?);
    device.synchronize()?;
    let mut bench = Bench { model, rows, only };
    bench.row(json!({
        "what": "load", "seconds": begun.elapsed().as_secs_f64(), "weight_bytes": bench.model.weight_bytes(),
        "memory": device.memory_use()?.now, "device": device.info().name,
    }))?;
    match what.as_str() {
        "decode" => bench.decode(),
        "memory" => bench.memory(),
        "seal" => bench.seal(),
        "encode" => bench.encode(),
        _ => bench.decode().and_then(|()| bench.memory()),
    }
}

/// Llama-3.1-8B; its frequencies without their scaling, which changes no speed.
fn shape() -> ModelShape {
    ModelShape {
        layers: 32,
        heads: HEADS,
        width: 4096,
        hidden: 14_336,
        vocabulary: 128_256,
        norm_eps: 1e-5,
        interleaved: true,
        frequencies: (0..64).map(|i| 500_000f64.powf(-f64::from(i) / 64.0)).collect(),
        biased: false,
        tied_output: false,
    }
}

struct Bench {
    model: Arc<Model>,
    rows: Box<dyn Write>,
    /// Of the pasts, if others are left out.
    only: Option<String>,
}

impl Bench {
    fn row(&mut self, row: Value) -> Result<(), Failure> {
        writeln!(self.rows, "{row}")?;
        Ok(writeln!(std::io::stderr(), "{row}")?)
    }

    fn batch(&self, pasts: impl Pasts + 'static) -> Result<Batch, CudaError> {
        Batch::new(Arc::clone(&self.model), Box::new(pasts))
    }

    fn exact(&self, batch: usize) -> Result<Batch, CudaError> {
        self.batch(ExactPasts::new(self.model.device(), self.model.shape(), batch)?)
    }

    /// Room in the spectrum for the context and the steps.
    fn fourier(&self, batch: usize, context: usize) -> Result<Batch, CudaError> {
        let sizes = FourierSizes { heads: HEADS, harmonics: 512, key_tracks: 97, value_tracks: 97 };
        let all: Vec<u16> = (0..HEADS.kv_heads).flat_map(|_| 0..HEADS.head_dim as u16).collect();
        let dims = vec![[all.clone(), all]; shape().layers];
        let settings = FourierSettings {
            sizes: vec![sizes; shape().layers],
            sink: SINK,
            window: WINDOW,
            least: 1,
            period: Arc::new(move |_| context),
            dims: Dims::Given(dims),
        };
        self.batch(FourierPasts::new(self.model.device(), self.model.shape(), settings, batch)?)
    }

    /// At 2 bits; all numbers matter alike.
    fn spectral(&self, batch: usize) -> Result<Batch, Failure> {
        let settings = self.spectral_settings()?;
        Ok(self.batch(SpectralPasts::new(self.model.device(), self.model.shape(), settings, batch)?)?)
    }

    fn spectral_settings(&self) -> Result<fourier_kv_cuda::model::SpectralSettings, Failure> {
        let kind =
            SpectralSettings { rate: Rate::Bits(2.0), sink: SINK, window: WINDOW, ..SpectralSettings::default() };
        let cache_shape = CacheShape {
            layers: shape().layers,
            heads: HEADS.heads,
            kv_heads: HEADS.kv_heads,
            head_dim: HEADS.head_dim,
            rope_frequencies: shape().frequencies,
        };
        let threads = std::thread::available_parallelism()?.get();
        Ok(device::spectral_settings(&kind, HEADS, CacheContext::uniform(cache_shape), threads)?)
    }

    fn pasts(&self, cache: &str, batch: usize, context: usize) -> Result<Batch, Failure> {
        match cache {
            "exact" => Ok(self.exact(batch)?),
            "fourier" => Ok(self.fourier(batch, context)?),
            _ => self.spectral(batch),
        }
    }

    /// Whether a kind of past is measured.
    fn takes(&self, cache: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == cache)
    }

    /// The kinds of pasts that are measured.
    fn caches(&self) -> Vec<&'static str> {
        ["exact", "fourier", "spectral"].into_iter().filter(|cache| self.takes(cache)).collect()
    }

    fn decode(&mut self) -> Result<(), Failure> {
        let mut fits = 0;
        if self.takes("exact") {
            // The batch does not fit with exact pasts: the error says what is missing.
            let (contexts, refused) = self.room_for_exact(16)?;
            fits = contexts;
            self.row(json!({
                "what": "decode", "cache": "exact", "batch": 16, "context": CONTEXT, "fit": fits, "error": refused,
            }))?;
        }
        let compressed = ["fourier", "spectral"].into_iter().flat_map(|cache| [16, 8, 1].map(|batch| (cache, batch)));
        let all = [("exact", fits), ("exact", 8), ("exact", 1)].into_iter().chain(compressed);
        for (cache, batch) in all {
            if !self.takes(cache) {
                continue;
            }
            let mut batch = self.pasts(cache, batch, CONTEXT)?;
            for b in 0..batch.pasts().lengths().len() {
                self.read(cache, &mut batch, b, CONTEXT)?;
            }
            self.steps(cache, &mut batch)?;
        }
        Ok(())
    }

    /// Prompts one after another, and growth.
    fn seal(&mut self) -> Result<(), Failure> {
        self.encode()?;
        for cache in self.caches() {
            for sequence in 0..4 {
                let mut batch = self.pasts(cache, 1, CONTEXT)?;
                self.read(cache, &mut batch, 0, CONTEXT)?;
                if cache == "spectral" && sequence == 3 {
                    self.grow(&mut batch)?;
                }
            }
        }
        Ok(())
    }

    /// One layer's tables and codes: how long each take, of random rows.
    fn encode(&mut self) -> Result<(), Failure> {
        let (settings, device) = (self.spectral_settings()?, self.model.device());
        let (mut random, tokens, run) = (Random::new(device, 3)?, CONTEXT - WINDOW, 16);
        let rows = Whole::random(device, HEADS, CONTEXT, &mut random)?;
        let count = settings.fit.most_tokens();
        let [keys, values] = rows.read(HEADS, 0, count)?;
        let sample = PromptRows {
            layer: 0,
            tokens,
            starts: (0..count / run).map(|i| i * run).collect(),
            run,
            keys,
            values,
            query_energy: vec![(HEADS.group() * HEADS.head_dim * count) as f64; HEADS.kv_heads * HEADS.head_dim],
            queries: count,
        };
        let begun = Instant::now();
        let code = settings.fit.fit(&sample);
        let first_fit = begun.elapsed().as_secs_f64();
        let fits = (0..5).map(|_| {
            let begun = Instant::now();
            settings.fit.fit(&sample);
            begun.elapsed().as_secs_f64() * 1e3
        });
        let fits: Vec<f64> = fits.collect();
        let encoder = SpectralEncoder::new(device, settings.sizes, &shape().frequencies)?;
        let attention = SpectralAttention::new(device, settings.sizes, &shape().frequencies)?;
        let begun = Instant::now();
        let tables = encoder.tables(device, &code)?;
        let (k, v) = (code.keys.coefficients(), code.values.coefficients());
        let attend = SpectralTables::new(device, &settings.sizes, k, v, code.back())?;
        device.synchronize()?;
        let tables_ms = begun.elapsed().as_secs_f64() * 1e3;
        let watch = Stopwatch::new(device)?;
        let leaving = Leaving { tokens: rows.view(CONTEXT)?, first: 0, count: tokens };
        let (mut coding, mut arranging, mut work) = (Vec::new(), Vec::new(), EncoderWork::default());
        for _ in 0..20 {
            let mut words = None;
            let time = watch.time(device, || {
                words = Some(encoder.encode(device, &tables, leaving, 0, &mut work)?);
                Ok(())
            })?;
            coding.push(time * 1e3);
            let words = words.ok_or("no words")?;
            let room = attend.words().iter().sum();
            let superblocks = tokens / 256;
            let time =
                watch.time(device, || attention.arrange(device, &attend, (&words, room), superblocks).map(drop))?;
            arranging.push(time * 1e3);
        }
        self.row(json!({
            "what": "encode", "tokens": tokens, "coefficients": [code.keys.bits.len(), code.values.bits.len()],
            "first_fit_s": first_fit, "fit_ms": fits, "tables_ms": tables_ms, "encode_ms": coding, "arrange_ms": arranging,
        }))
    }

    /// Steps, and how long each took.
    fn grow(&mut self, batch: &mut Batch) -> Result<(), Failure> {
        let mut seconds = Vec::new();
        for _ in 0..600 {
            let begun = Instant::now();
            batch.go_on()?;
            self.model.device().synchronize()?;
            seconds.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        let mut sorted = seconds.clone();
        sorted.sort_by(f64::total_cmp);
        self.row(json!({
            "what": "growth", "cache": "spectral", "median_step_ms": sorted[300], "slowest_ms": &sorted[590..],
            "past_bytes": batch.pasts().bytes(),
        }))
    }

    /// Contexts that there is room for with exact pasts, a prompt's working memory beside them, up to `most`; and what is
    /// said to the one too many.
    fn room_for_exact(&self, most: usize) -> Result<(usize, Option<String>), CudaError> {
        let (device, shape) = (self.model.device(), self.model.shape());
        let _working: fourier_kv_cuda::Buffer<u8> = device.uninitialised(WORKING)?;
        let mut pasts = ExactPasts::new(device, shape, most)?;
        for sequence in 0..most {
            for layer in 0..shape.layers {
                if let Err(error) = pasts.prompt(device, layer, sequence, CONTEXT) {
                    return Ok((sequence, Some(error.to_string())));
                }
            }
        }
        Ok((most, None))
    }

    /// Reads a prompt; what went wrong as text.
    fn quiet(&self, batch: &mut Batch, sequence: usize, tokens: usize) -> Result<(), String> {
        let text = prompt(tokens, sequence);
        let read = batch.prompt(sequence, &text, &mut |_, _| ControlFlow::Continue(()));
        read.map(|_| ()).map_err(|error| error.to_string())
    }

    /// Reads a prompt and says how long it took.
    fn read(&mut self, cache: &str, batch: &mut Batch, sequence: usize, tokens: usize) -> Result<f64, Failure> {
        let begun = Instant::now();
        self.quiet(batch, sequence, tokens)?;
        self.model.device().synchronize()?;
        let seconds = begun.elapsed().as_secs_f64();
        if sequence < 3 {
            let rate = tokens as f64 / seconds;
            self.row(json!({
                "what": "prompt", "cache": cache, "tokens": tokens, "seconds": seconds, "tokens_per_second": rate,
            }))?;
        }
        Ok(seconds)
    }

    /// Steps of a whole batch, each with the token that the one before made likeliest.
    fn steps(&mut self, cache: &str, batch: &mut Batch) -> Result<(), Failure> {
        let count = batch.pasts().lengths().len();
        batch.step(&vec![1; count])?;
        for _ in 0..WARM {
            batch.go_on()?;
        }
        self.model.device().synchronize()?;
        let mut seconds = Vec::new();
        let whole = Instant::now();
        for _ in 0..STEPS {
            let begun = Instant::now();
            batch.go_on()?;
            self.model.device().synchronize()?;
            seconds.push(begun.elapsed().as_secs_f64());
        }
        let (whole, mut sorted) = (whole.elapsed().as_secs_f64(), seconds.clone());
        sorted.sort_by(f64::total_cmp);
        let likeliest = batch.likeliest()?;
        self.row(json!({
            "what": "decode", "cache": cache, "batch": count, "context": CONTEXT,
            "tokens_per_second": (count * STEPS) as f64 / whole, "median_step_ms": sorted[STEPS / 2] * 1e3,
            "past_bytes": batch.pasts().bytes(), "memory": self.model.device().memory_use()?.now,
            "last_tokens": likeliest, "step_ms": seconds.iter().map(|s| s * 1e3).collect::<Vec<_>>(),
        }))
    }

    fn memory(&mut self) -> Result<(), Failure> {
        for context in [16_384, 32_768, 65_536, 131_072] {
            for cache in self.caches() {
                self.model.device().forget_peak()?;
                let mut batch = self.pasts(cache, 1, context)?;
                let seconds = self.read(cache, &mut batch, 0, context)?;
                for _ in 0..8 {
                    batch.go_on()?;
                }
                let memory = self.model.device().memory_use()?;
                self.row(json!({
                    "what": "memory", "cache": cache, "context": context, "peak_bytes": memory.peak,
                    "after_bytes": memory.now, "past_bytes": batch.pasts().bytes(), "prompt_seconds": seconds,
                }))?;
            }
        }
        Ok(())
    }
}

/// A prompt of its own for each sequence.
fn prompt(tokens: usize, sequence: usize) -> Vec<u32> {
    let mut numbers = support::Numbers(sequence as u64);
    (0..tokens).map(|_| numbers.below(128_000) as u32).collect()
}
