//! What the cache tests share: a small model shape, seeded rows, and an oracle that keeps everything.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use fourier_kv_cache::{AttnRows, CacheContext, CacheShape, KvCache, KvRows, QueryRows, Workspace};
use fourier_kv_kernels::isa::Isa;
use fourier_kv_kernels::oracle;

/// The number that index `i` of the seeded sequence `name` has, uniform in -1 .. 1; the same rule as in
/// tools/goldens/seeded.py.
pub fn seeded(name: &str, i: usize) -> f64 {
    let seed = name.bytes().fold(0xCBF2_9CE4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01B3));
    let mut z = seed.wrapping_add((i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    2.0 * ((z >> 40) as f64 / f64::from(1 << 24)) - 1.0
}

pub fn workspace() -> Workspace {
    Workspace::new(Isa::detect())
}

pub fn shape() -> CacheShape {
    CacheShape { layers: 2, heads: 6, kv_heads: 2, head_dim: 8, rope_frequencies: vec![1.0, 0.1, 0.01, 0.001] }
}

/// Tokens of all layers, token by token: `[T][H or G][D]`, smooth along time so that a spectrum has something to hold.
pub struct Tape {
    pub shape: CacheShape,
    name: String,
}

impl Tape {
    pub fn new(shape: CacheShape, name: &str) -> Self {
        Tape { shape, name: name.to_owned() }
    }

    fn number(&self, side: &str, layer: usize, token: usize, head: usize, d: usize) -> f32 {
        let key = format!("{}.{side}.{layer}.{head}.{d}", self.name);
        let slow: f64 =
            (0..3).map(|h| seeded(&key, h) * (token as f64 * 0.011 * (h + 1) as f64 + h as f64).sin()).sum();
        (slow + 0.2 * seeded(&key, 10 + token)) as f32
    }

    /// `[heads][n][D]` of the tokens `from .. to`.
    pub fn rows(&self, side: &str, layer: usize, from: usize, to: usize) -> Vec<f32> {
        let heads = if side == "q" { self.shape.heads } else { self.shape.kv_heads };
        let mut out = Vec::new();
        for head in 0..heads {
            for token in from..to {
                out.extend((0..self.shape.head_dim).map(|d| self.number(side, layer, token, head, d)));
            }
        }
        out
    }

    /// Appends tokens to one layer and returns the attention outputs of those tokens, `[H][n][D]`.
    pub fn step(&self, cache: &mut dyn KvCache, ws: &Workspace, layer: usize, from: usize, to: usize) -> Vec<f32> {
        let [q, k, v] = ["q", "k", "v"].map(|side| self.rows(side, layer, from, to));
        let tokens = to - from;
        cache.append(layer, KvRows { q: &q, k: &k, v: &v, tokens }, ws).unwrap();
        let mut out = AttnRows::new(self.shape.heads * tokens, self.shape.head_dim);
        cache.attend(layer, QueryRows { q: &q, tokens }, ws, &mut out).unwrap();
        out.finish().to_vec()
    }

    /// A prompt of `tokens`, layer by layer in tiles, sealed.
    pub fn prompt(&self, cache: &mut dyn KvCache, ws: &Workspace, tokens: usize, tile: usize) {
        for layer in 0..self.shape.layers {
            for from in (0..tokens).step_by(tile) {
                self.step(cache, ws, layer, from, tokens.min(from + tile));
            }
            cache.seal(layer, ws).unwrap();
        }
    }

    /// One token through all layers; the outputs of the last.
    pub fn decode(&self, cache: &mut dyn KvCache, ws: &Workspace, token: usize) -> Vec<f32> {
        let mut last = Vec::new();
        for layer in 0..self.shape.layers {
            last = self.step(cache, ws, layer, token, token + 1);
        }
        last
    }

    /// What attention of token `token` over all tokens up to it is, `[H][D]`, in `f64`.
    pub fn oracle(&self, layer: usize, token: usize) -> Vec<f64> {
        self.attention(layer, token, |_| (0..=token).collect(), f64::from)
    }

    /// What attention of token `token` over the tokens `kept(key/value head)` is, `[H][D]`, in `f64`, of numbers that
    /// are held in 16 bits.
    pub fn oracle_over(&self, layer: usize, token: usize, kept: impl Fn(usize) -> Vec<usize>) -> Vec<f64> {
        self.attention(layer, token, kept, rounded)
    }

    fn attention(
        &self,
        layer: usize,
        token: usize,
        kept: impl Fn(usize) -> Vec<usize>,
        held: fn(f32) -> f64,
    ) -> Vec<f64> {
        let (dim, group) = (self.shape.head_dim, self.shape.group());
        let q = wide(&self.rows("q", layer, token, token + 1));
        let [k, v] = ["k", "v"].map(|side| self.past(side, layer, token, held));
        let scale = 1.0 / (dim as f64).sqrt();
        (0..self.shape.heads)
            .flat_map(|h| {
                let pick = |past: &[f64]| -> Vec<f64> {
                    let row = |t: usize| &past[((h / group) * (token + 1) + t) * dim..][..dim];
                    kept(h / group).into_iter().flat_map(|t| row(t).to_vec()).collect()
                };
                oracle::attend(&q[h * dim..(h + 1) * dim], &pick(&k), &pick(&v), scale)
            })
            .collect()
    }

    /// Keys or values of all tokens up to `token`, `[G][T][D]`, as they are held.
    fn past(&self, side: &str, layer: usize, token: usize, held: fn(f32) -> f64) -> Vec<f64> {
        self.rows(side, layer, 0, token + 1).into_iter().map(held).collect()
    }

    /// The attention weights of one query head of token `token` over all tokens up to it, in `f64`, of keys that are
    /// held in 16 bits.
    pub fn weights(&self, layer: usize, head: usize, token: usize) -> Vec<f64> {
        let dim = self.shape.head_dim;
        let q = wide(&self.rows("q", layer, token, token + 1));
        let keys = self.past("k", layer, token, rounded);
        let keys = &keys[head / self.shape.group() * (token + 1) * dim..][..(token + 1) * dim];
        let dot = |key: &[f64]| key.iter().zip(&q[head * dim..]).map(|(a, b)| a * b).sum::<f64>();
        let scores: Vec<f64> = keys.chunks_exact(dim).map(|key| (dot(key) / (dim as f64).sqrt()).exp()).collect();
        let sum: f64 = scores.iter().sum();
        scores.into_iter().map(|s| s / sum).collect()
    }
}

fn rounded(x: f32) -> f64 {
    half::bf16::from_f32(x).to_f64()
}

pub fn context() -> CacheContext {
    CacheContext::uniform(shape())
}

/// Largest difference.
pub fn difference(a: &[f32], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max)
}

pub fn wide(a: &[f32]) -> Vec<f64> {
    a.iter().map(|&x| f64::from(x)).collect()
}
