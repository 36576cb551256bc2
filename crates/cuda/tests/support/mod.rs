//! What the tests and the measurements on a device share: opening it, random numbers, and attention in `f64`.

// Each of the programs that share this uses some of it.
#![allow(dead_code)]

pub(crate) mod coded;
pub(crate) mod plain_fit;
pub(crate) mod tiny;
pub(crate) mod whole;

use std::io::Write;
use std::path::PathBuf;

use fourier_kv_cuda::{Compiler, CudaError, Device};
use half::bf16;

/// The compiler's library, where the environment names one.
pub(crate) fn compiler_path() -> Option<PathBuf> {
    std::env::var_os("FOURIER_KV_NVRTC").map(PathBuf::from)
}

/// The first GPU; `None`, said aloud, where there is no driver or no device.
pub(crate) fn device() -> Option<Device> {
    match fourier_kv_cuda::device::count() {
        Err(CudaError::NoDriver) | Ok(0) => {
            say("no GPU here: nothing was computed on one");
            None
        }
        Err(error) => panic!("{error}"),
        Ok(_) => {
            let compiler = Compiler::new(compiler_path().as_deref(), None).expect("a compiler");
            Some(Device::open(0, compiler).expect("a device"))
        }
    }
}

/// A line of output.
pub(crate) fn say(text: &str) {
    // When nobody reads it any more, the tests go on.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Random numbers (splitmix64).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    /// 64 bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// Below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.bits() % end as u64) as usize
    }

    /// Normally distributed.
    pub(crate) fn normal(&mut self) -> f64 {
        let uniform = |bits: u64| ((bits >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        let (a, b) = (uniform(self.bits()), uniform(self.bits()));
        (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()
    }

    /// `count` numbers of a deviation, exact in `bf16`.
    pub(crate) fn bf16(&mut self, count: usize, deviation: f64) -> Vec<bf16> {
        (0..count).map(|_| bf16::from_f64(self.normal() * deviation)).collect()
    }

    /// The same in `f32`.
    pub(crate) fn f32(&mut self, count: usize, deviation: f64) -> Vec<f32> {
        self.bf16(count, deviation).iter().map(|x| x.to_f32()).collect()
    }

    /// The numbers below `count` in a random order.
    pub(crate) fn permutation(&mut self, count: usize) -> Vec<u16> {
        let mut all: Vec<u16> = (0..count as u16).collect();
        for i in (1..count).rev() {
            all.swap(i, self.below(i + 1));
        }
        all
    }
}

/// Attention of one query in `f64`, given all scores and a way to read value `d` of token `t`.
pub(crate) fn softmax_sum(scores: &[f64], dim: usize, value: impl Fn(usize, usize) -> f64) -> Vec<f64> {
    let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = scores.iter().map(|s| (s - top).exp()).collect();
    let sum: f64 = weights.iter().sum();
    let total = |d: usize| weights.iter().enumerate().map(|(t, w)| w * value(t, d)).sum::<f64>();
    (0..dim).map(|d| if sum > 0.0 { total(d) / sum } else { 0.0 }).collect()
}

/// `|out - expected| / |expected|`; infinite if a number is none.
pub(crate) fn distance(out: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(out.len(), expected.len());
    if out.iter().any(|x| !x.is_finite()) {
        return f64::INFINITY;
    }
    let error: f64 = out.iter().zip(expected).map(|(&a, b)| (f64::from(a) - b).powi(2)).sum();
    let size: f64 = expected.iter().map(|x| x * x).sum();
    if size == 0.0 { error.sqrt() } else { (error / size).sqrt() }
}

/// Cosines and sines of whole numbers of `period`-ths of a turn.
pub(crate) struct Circle {
    period: usize,
    points: Vec<(f64, f64)>,
}

impl Circle {
    /// Of a period.
    pub(crate) fn new(period: usize) -> Self {
        let angle = |i: usize| std::f64::consts::TAU * i as f64 / period as f64;
        Circle { period, points: (0..period).map(|i| (angle(i).cos(), angle(i).sin())).collect() }
    }

    /// Of `n * t`.
    pub(crate) fn at(&self, n: usize, t: usize) -> (f64, f64) {
        self.points[n * t % self.period]
    }

    /// The first `count` times of a real signal with `spectrum` `[2][N]` (docs/method.md, a spectral dim), without its
    /// mean.
    pub(crate) fn rebuild(&self, spectrum: &[f64], count: usize) -> Vec<f64> {
        let harmonics = spectrum.len() / 2;
        let mut times = vec![0.0; count];
        for n in 0..harmonics {
            let twice = if n == 0 || 2 * n == self.period { 1.0 } else { 2.0 } / self.period as f64;
            let (re, im) = (spectrum[n] * twice, spectrum[harmonics + n] * twice);
            let mut at = 0;
            for x in &mut times {
                let (cos, sin) = self.points[at];
                *x += re * cos - im * sin;
                at += n;
                at -= if at >= self.period { self.period } else { 0 };
            }
        }
        times
    }

    /// The first `harmonics` of a real signal's spectrum, `[2][N]`: `sum_t x_t e(-n t / P)`.
    pub(crate) fn transform(&self, signal: &[f64], harmonics: usize) -> Vec<f64> {
        let mut spectrum = vec![0.0; 2 * harmonics];
        for n in 0..harmonics {
            for (t, x) in signal.iter().enumerate() {
                let (cos, sin) = self.at(n, t);
                spectrum[n] += x * cos;
                spectrum[harmonics + n] -= x * sin;
            }
        }
        spectrum
    }
}
