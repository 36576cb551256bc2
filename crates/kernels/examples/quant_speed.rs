//! How many weights a second the fused dot product and the dequantiser read, on one core.
//!
//! `cargo run --release -p fourier-kv-kernels --example quant_speed`
//!
//! Seen on one core of an AMD EPYC (Zen 5) with AVX-512, in 10^9 weights a second, rows in the L2 cache
//! (portable, AVX2, AVX-512): Q8_0 6, 17, 19; Q4_1 4, 11, 12; Q5_0 3, 7, 9; Q4_K 3, 10, 17;
//! Q6_K 3, 6, 11; BF16 4, 23, 27.

#![allow(clippy::print_stdout)] // its report is what it is for

use std::time::Instant;

use fourier_kv_kernels::isa::Isa;
use fourier_kv_kernels::quant::{Matrix, WeightType};

const ROWS: usize = 256;
const COLS: usize = 1536;

fn main() {
    let x: Vec<f32> = (0..COLS).map(|i| (i as f32 * 0.37).sin()).collect();
    println!("{:<6} {:<9} {:>13} {:>13}  (10^9 weights/s)", "type", "isa", "dot", "dequantise");
    for ty in WeightType::ALL {
        let bytes = stored(ty);
        let matrix = Matrix::new(ty, ROWS, COLS, &bytes).expect("a whole number of blocks");
        for isa in Isa::available() {
            check(&matrix, isa, &x);
            let mut out = vec![0.0; COLS];
            let dot = rate(|row| std::hint::black_box(matrix.dot(isa, row, &x)));
            let dequantise = rate(|row| {
                matrix.dequantise(isa, row, &mut out).expect("one row");
                std::hint::black_box(out[0])
            });
            println!("{ty:<6} {isa:<9} {dot:>13.2} {dequantise:>13.2}", isa = isa.to_string(), ty = ty.to_string());
        }
    }
}

/// Bytes that are finite numbers in every format: all scales have a small exponent.
fn stored(ty: WeightType) -> Vec<u8> {
    let len = ROWS * ty.row_bytes(COLS).expect("a whole number of blocks");
    (0..len as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8 & 0x3b).collect()
}

/// A figure for a kernel that is wrong is worth nothing.
fn check(matrix: &Matrix<'_>, isa: Isa, x: &[f32]) {
    let mut weights = vec![0.0; COLS];
    matrix.dequantise(isa, 7, &mut weights).expect("one row");
    let products = || weights.iter().zip(x).map(|(&w, &x)| f64::from(w) * f64::from(x));
    let size: f64 = products().map(f64::abs).sum();
    let error = (f64::from(matrix.dot(isa, 7, x)) - products().sum::<f64>()).abs();
    assert!(error <= 1e-5 * size, "{} on {isa}: {error} of {size}", matrix.ty());
}

/// Weights read in 10^9 a second, the best of several passes over the matrix.
fn rate(mut read_row: impl FnMut(usize) -> f32) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..30 {
        let start = Instant::now();
        for row in 0..ROWS {
            read_row(row);
        }
        best = best.min(start.elapsed().as_secs_f64());
    }
    (ROWS * COLS) as f64 / best / 1e9
}
