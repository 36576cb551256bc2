//! Levels fitted to samples (generalised Lloyd), and the error they leave.

use fourier_kv_spectral::trellis::{Code, decode_with, encode_weighted};

use crate::scalar::lloyd_max;

/// Samples in a stream, each of which begins in state 0.
const STREAM: usize = 2048;

fn code<'a>(subset: &'a [[u8; 2]], bits: u8, levels: &'a [f32]) -> Code<'a> {
    let mut all: [&[f32]; 9] = [&[]; 9];
    all[usize::from(bits)] = levels;
    Code { subset, levels: all }
}

/// Symbols of samples, all of `bits` bits.
fn encode(code: &Code<'_>, bits: u8, x: &[f64]) -> Vec<u8> {
    encode_weighted(code, x, &vec![bits; x.len()], &vec![1.0; x.len()])
}

/// `2^(bits + 1)` levels, symmetric: each in turn the mean of the samples that a search gives it.
pub(crate) fn train(subset: &[[u8; 2]], bits: u8, x: &[f64], rounds: usize) -> Vec<f32> {
    let mut levels: Vec<f32> = lloyd_max(2 << bits).0.iter().map(|&l| l as f32).collect();
    for _ in 0..rounds {
        levels = round(subset, bits, x, &levels);
    }
    levels
}

fn round(subset: &[[u8; 2]], bits: u8, x: &[f64], levels: &[f32]) -> Vec<f32> {
    let code = code(subset, bits, levels);
    let n = levels.len();
    let mut sums = vec![(0.0, 0.0); n];
    for x in x.chunks(STREAM) {
        let mut state = 0;
        for (symbol, &x) in encode(&code, bits, x).into_iter().zip(x) {
            let b = usize::from(symbol & 1);
            let i = usize::from(symbol >> 1) << 2 | usize::from(subset[state][b]);
            state = code.next(state, b);
            sums[i] = (sums[i].0 + x, sums[i].1 + 1.0);
            sums[n - 1 - i] = (sums[n - 1 - i].0 - x, sums[n - 1 - i].1 + 1.0);
        }
    }
    let mean = |(&level, &(sum, count)): (&f32, &(f64, f64))| if count > 0.0 { (sum / count) as f32 } else { level };
    let mut moved: Vec<f32> = levels.iter().zip(&sums).map(mean).collect();
    moved.sort_by(f32::total_cmp);
    moved
}

/// The mean squared error of samples.
pub(crate) fn distortion(subset: &[[u8; 2]], bits: u8, levels: &[f32], x: &[f64]) -> f64 {
    let code = code(subset, bits, levels);
    let of_stream = |x: &[f64]| -> f64 {
        let values = decode_with(&code, &encode(&code, bits, x), &vec![bits; x.len()]);
        values.iter().zip(x).map(|(value, x)| (value - x).powi(2)).sum()
    };
    x.chunks(STREAM).map(of_stream).sum::<f64>() / x.len() as f64
}
