//! The definitions, computed slowly in `f64` and as they are written: what everything else is checked by.

use std::f64::consts::TAU;

use crate::band::PairBand;

/// `exp(-2 pi i n t / P)` as (cos, sin), with the angle reduced in integers.
pub fn phasor(n: usize, t: usize, period: usize) -> (f64, f64) {
    let turn = (n as u128 * t as u128 % period as u128) as f64 / period as f64;
    let (sin, cos) = (-TAU * turn).sin_cos();
    (cos, sin)
}

/// Bins `0 .. N` of a real signal, `[2][N]`.
pub fn analyse(x: &[f64], period: usize, harmonics: usize) -> Vec<f64> {
    let mut out = vec![0.0; 2 * harmonics];
    for n in 0..harmonics {
        for (t, &value) in x.iter().enumerate() {
            let (cos, sin) = phasor(n, t, period);
            out[n] += value * cos;
            out[harmonics + n] += value * sin;
        }
    }
    out
}

/// The `samples` first samples that bins `0 .. N` of a real signal give back.
///
/// `x^_t = (1/P) [ Re X_0 + 2 sum_{0<n<N} Re(X_n exp(2 pi i n t / P)) ]`; the bin `P/2`, when it is kept,
/// is its own mirror and counts once.
pub fn synthesise(spectrum: &[f64], period: usize, samples: usize) -> Vec<f64> {
    let harmonics = spectrum.len() / 2;
    let mut out = vec![0.0; samples];
    for (t, o) in out.iter_mut().enumerate() {
        for n in 0..harmonics {
            let weight = if n == 0 || 2 * n == period { 1.0 } else { 2.0 };
            let (cos, sin) = phasor(n, t, period);
            *o += weight * (spectrum[n] * cos + spectrum[harmonics + n] * sin) / period as f64;
        }
    }
    out
}

/// The bins of `x + i y` in a band, `[2][band.count]`.
pub fn analyse_pair(x: &[f64], y: &[f64], period: usize, band: PairBand) -> Vec<f64> {
    let mut out = vec![0.0; 2 * band.count];
    for (j, bin) in band.bins(period).enumerate() {
        for t in 0..x.len() {
            let (cos, sin) = phasor(bin, t, period);
            out[j] += x[t] * cos - y[t] * sin;
            out[band.count + j] += x[t] * sin + y[t] * cos;
        }
    }
    out
}

/// Both parts of the first `samples` samples that the bins of a pair give back.
pub fn synthesise_pair(spectrum: &[f64], period: usize, band: PairBand, samples: usize) -> (Vec<f64>, Vec<f64>) {
    let (mut x, mut y) = (vec![0.0; samples], vec![0.0; samples]);
    for t in 0..samples {
        for (j, bin) in band.bins(period).enumerate() {
            let (cos, sin) = phasor(bin, t, period); // conjugate of what the inverse wants
            let (re, im) = (spectrum[j], spectrum[band.count + j]);
            x[t] += (re * cos + im * sin) / period as f64;
            y[t] += (im * cos - re * sin) / period as f64;
        }
    }
    (x, y)
}
