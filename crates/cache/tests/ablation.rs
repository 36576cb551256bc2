//! What is lost with an ingredient left out, on signals made so that it matters: correlated in time, or between channels,
//! or met by queries that care about some dims more than about others.

mod common;

use std::sync::Arc;

use common::{seeded, workspace};
use fourier_kv_cache::park::{ParkError, ToPark, park_to};
use fourier_kv_cache::spectral::{Shares, SpectralSettings, Without};
use fourier_kv_cache::{CacheContext, CacheKind, CacheShape, KvCache, KvRows, SpectralCache};

const TOKENS: usize = 4000;
const HEADS: usize = 2;
const DIM: usize = 16;

fn settings(text: &str) -> SpectralSettings {
    match format!("spectral:{text},window=16,least-middle=40").parse().unwrap() {
        CacheKind::Spectral(settings) => settings,
        other => unreachable!("{other}"),
    }
}

/// Without rotation, so that keys are what the test says they are.
fn shape(layers: usize) -> CacheShape {
    CacheShape { layers, heads: HEADS, kv_heads: HEADS, head_dim: DIM, rope_frequencies: vec![0.0; DIM / 2] }
}

/// Nearly Gaussian, of variance 1: a sum of twelve uniform numbers.
fn gaussian(name: &str, i: usize) -> f64 {
    (0..12).map(|k| seeded(name, 12 * i + k)).sum::<f64>() / 2.0
}

/// Keys or values of a layer, and the queries that meet them.
struct Signal {
    /// Of a number, given that of the token before.
    memory: f64,
    /// How far channels are mixed: 0 leaves each by itself.
    mixing: f64,
    /// How much less each rotary pair matters than the one before, to queries and to the output.
    decay: f64,
}

impl Signal {
    const PLAIN: Signal = Signal { memory: 0.0, mixing: 0.0, decay: 1.0 };

    /// `[G][T][D]`: sources of different sizes, each with its memory, mixed.
    fn rows(&self, name: &str) -> Vec<f32> {
        let channels = HEADS * DIM;
        let size = |c: usize| 0.8f64.powi((c % DIM) as i32);
        let mut sources = vec![vec![0.0; channels]; TOKENS];
        for t in 0..TOKENS {
            for c in 0..channels {
                let before = if t > 0 { sources[t - 1][c] } else { 0.0 };
                let new = size(c) * gaussian(name, t * channels + c);
                sources[t][c] = self.memory * before + (1.0 - self.memory * self.memory).sqrt() * new;
            }
        }
        let mix = |c: usize, k: usize| f64::from(u8::from(c == k)) + self.mixing * seeded("mix", c * channels + k);
        let mut rows = vec![0.0; channels * TOKENS];
        for (t, source) in sources.iter().enumerate() {
            for c in 0..channels {
                let sum: f64 = source.iter().enumerate().map(|(k, x)| mix(c, k) * x).sum();
                rows[(c / DIM * TOKENS + t) * DIM + c % DIM] = sum as f32;
            }
        }
        rows
    }

    /// What an error of a dim counts.
    fn weight(&self, d: usize) -> f64 {
        self.decay.powi((d % (DIM / 2)) as i32)
    }

    fn queries(&self) -> Vec<f32> {
        let number = |i: usize| (gaussian("queries", i) * self.weight(i % DIM)) as f32;
        (0..HEADS * TOKENS * DIM).map(number).collect()
    }

    fn context(&self, layers: usize) -> CacheContext {
        let energy: Vec<f32> = (0..layers * HEADS * DIM).map(|i| self.weight(i % DIM).powi(2) as f32).collect();
        CacheContext::with_energy(shape(layers), &energy)
    }

    /// The mean squared error of keys and of values, weighted by what it counts, and the bytes of all codes.
    fn errors(&self, text: &str) -> ([f64; 2], usize) {
        let ws = workspace();
        // As many bits for keys as for values.
        let even = Shares { rates: vec![0.5, 8.0], bits: [0.5, 8.0].map(|bits| vec![[bits; 2]]).to_vec() };
        let mut cache = SpectralCache::new(settings(text), self.context(1), Some(Arc::new(even)));
        let [keys, values] = ["keys", "values"].map(|name| self.rows(name));
        let rows = KvRows { q: &self.queries(), k: &keys, v: &values, tokens: TOKENS };
        cache.append(0, rows, &ws).unwrap();
        cache.seal(0, &ws).unwrap();
        let (first, sides) = cache.rebuilt(0, &ws).unwrap();
        let coded = sides[0].len() / HEADS / DIM;
        let error = |truth: &[f32], found: &[f32]| {
            let own = truth.chunks_exact(TOKENS * DIM).flat_map(|head| &head[first * DIM..(first + coded) * DIM]);
            let all = own.zip(found).enumerate();
            let sum: f64 = all.map(|(i, (x, y))| (f64::from(x - y) * self.weight(i % DIM)).powi(2)).sum();
            sum / found.len() as f64
        };
        ([error(&keys, &sides[0]), error(&values, &sides[1])], cache.bytes().codes)
    }

    /// Without an ingredient errors of keys and of values are at least so many times as large, in no fewer bytes.
    fn assert_worse(&self, without: &str, times: [f64; 2]) {
        for bits in ["2", "3"] {
            let (with, bytes) = self.errors(bits);
            let (found, fewer) = self.errors(&format!("{bits},without={without}"));
            // Budgets are whole words a block: a few of the bytes may be left over.
            assert!(fewer.abs_diff(bytes) * 30 < bytes, "{without}: {fewer} and {bytes} bytes");
            for side in 0..2 {
                let ratio = found[side] / with[side];
                assert!(ratio > times[side], "{without} at {bits} bits, side {side}: {ratio} times {with:?}");
            }
        }
    }
}

/// A first-order process with a memory of 0.9 could gain up to `1 / (1 - 0.81)`, with blocks of sixteen most of it.
#[test]
fn time_is_worth_its_transform() {
    Signal { memory: 0.9, ..Signal::PLAIN }.assert_worse("time", [2.0, 2.0]);
}

#[test]
fn mixed_channels_are_worth_their_directions() {
    Signal { mixing: 0.5, ..Signal::PLAIN }.assert_worse("klt", [1.2, 1.2]);
}

#[test]
fn errors_go_where_they_matter_least() {
    Signal { decay: 0.6, ..Signal::PLAIN }.assert_worse("weights", [1.5, 1.5]);
}

/// At one to three bits about a decibel, as the codes have it by themselves: a factor of 1.2 to 1.48.
#[test]
fn the_trellis_gains_a_decibel() {
    Signal::PLAIN.assert_worse("trellis", [1.15, 1.15]);
    Signal { memory: 0.5, mixing: 0.3, decay: 0.9 }.assert_worse("trellis", [1.15, 1.15]);
}

/// Nothing that is there to be found: nothing is lost, and codes are as good as ever.
#[test]
fn what_does_not_matter_costs_nothing() {
    let [(all, _), (none, _)] = ["2", "2,without=time+weights"].map(|text| Signal::PLAIN.errors(text));
    for side in 0..2 {
        let ratio = none[side] / all[side];
        assert!((0.85..1.1).contains(&ratio), "side {side}: {ratio}");
    }
}

/// A plan that knows that the keys of the first layer do all the harm, and a cache that does not listen to it.
#[test]
fn plans_are_ignored_without_shares() {
    let (signal, ws) = (Signal::PLAIN, workspace());
    let fill = |text: &str, shares: Option<Shares>| {
        let mut cache = SpectralCache::new(settings(text), signal.context(2), shares.map(Arc::new));
        let (q, k, v) = (signal.queries(), signal.rows("keys"), signal.rows("values"));
        for layer in 0..2 {
            cache.append(layer, KvRows { q: &q, k: &k, v: &v, tokens: TOKENS }, &ws).unwrap();
            cache.seal(layer, &ws).unwrap();
        }
        cache
    };
    let plain = fill("2", None);
    let harm = [[100.0, 0.01], [0.01, 0.01]];
    let shares = Shares::of_least_harm(&plain.statistics().unwrap(), &harm);
    let [planned, without] = ["2", "2,without=shares"].map(|text| fill(text, Some(shares.clone())));
    let errors =
        |cache: &SpectralCache| cache.statistics().unwrap().iter().map(|s| [s[0].error(), s[1].error()]).collect();
    let [a, b]: [Vec<[f64; 2]>; 2] = [&plain, &without].map(errors);
    assert_eq!(a, b);
    let total =
        |errors: &[[f64; 2]]| errors.iter().flatten().zip(harm.iter().flatten()).map(|(e, h)| e * h).sum::<f64>();
    let c: Vec<[f64; 2]> = errors(&planned);
    assert!(total(&b) > 4.0 * total(&c), "{b:?} {c:?}");
}

#[test]
fn what_is_left_out_is_read_and_said() {
    let all = Without { time: true, klt: true, weights: true, trellis: true, shares: true };
    assert_eq!(settings("2,without=shares+time+klt+trellis+weights").without, all);
    assert_eq!(settings("2,without=klt").without, Without { klt: true, ..Without::default() });
    for text in ["spectral:2,without=klt", "spectral:auto,without=time+trellis"] {
        let kind: CacheKind = text.parse().unwrap();
        assert_eq!(kind.to_string().parse::<CacheKind>().unwrap(), kind);
        assert!(kind.to_string().contains(text.split(',').next_back().unwrap()), "{kind}");
    }
    assert!(!"spectral".parse::<CacheKind>().unwrap().to_string().contains("without"));
    for wrong in ["", "dct", "time+", "time klt"] {
        let error = format!("spectral:without={wrong}").parse::<CacheKind>().unwrap_err().to_string();
        assert!(error.contains("`without`") && error.contains(&format!("`{wrong}`")), "{error}");
    }
}

#[test]
fn what_is_left_out_is_not_parked() {
    for (text, parks) in [("2", true), ("2,without=klt", false), ("2,without=time", false)] {
        let cache = SpectralCache::new(settings(text), Signal::PLAIN.context(1), None);
        let result = park_to(&mut Vec::new(), ToPark { model: "m", fingerprint: "f", tokens: &[], cache: &cache });
        assert_eq!(result.is_ok(), parks, "{text}");
        assert!(parks || matches!(result, Err(ParkError::Unsupported { kind }) if kind.contains("without=")), "{text}");
    }
}
