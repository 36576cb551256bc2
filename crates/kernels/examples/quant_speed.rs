//! How many weights a second the fused dot product and the dequantiser read, on one core.
//!
//! `cargo run --release -p fourier-kv-kernels --example quant_speed [TYPE [ISA]]`
//!
//! Seen on one core of an AMD EPYC (Zen 5, 3.6 GHz) with AVX-512 VNNI (AVX2): dots, Q4_1 23 (7), Q8_0 10 (9), Q4_K 19 (10),
//! Q6_K 15 (8), BF16 21 (22); products with 8, 32 and 512 tokens, 93, 139 and 160 (39, 58 and 69) for Q4_1, and 102 (49) for
//! BF16 with 512.

#![allow(clippy::print_stdout)] // its report is what it is for

use std::time::Instant;

use fourier_kv_kernels::isa::Isa;
use fourier_kv_kernels::linear::linear;
use fourier_kv_kernels::quant::{Matrix, WeightType};
use fourier_kv_kernels::workspace::Workspace;

const ROWS: usize = 256;
const COLS: usize = 1536;
/// Tokens at a time: one is what products cost least for, a few are many answers' next tokens, many a prompt.
const TOKENS: [usize; 5] = [2, 8, 16, 32, 512];

fn main() {
    let x: Vec<f32> = (0..COLS).map(|i| (i as f32 * 0.37).sin()).collect();
    println!("10^9 weights/s, and 10^9 products/s with so many tokens at a time");
    let columns = TOKENS.map(|tokens| format!("{tokens:>8}")).concat();
    println!("{:<6} {:<12} {:>8} {:>10} {columns}", "type", "isa", "dot", "dequantise");
    let (only, only_isa) = (std::env::args().nth(1), std::env::args().nth(2));
    for ty in WeightType::ALL {
        if only.as_ref().is_some_and(|o| *o != ty.to_string()) {
            continue;
        }
        let bytes = stored(ty);
        let matrix = Matrix::new(ty, ROWS, COLS, &bytes).expect("a whole number of blocks");
        for isa in Isa::available() {
            if only_isa.as_ref().is_some_and(|o| *o != isa.to_string()) {
                continue;
            }
            check(&matrix, isa, &x);
            let mut out = vec![0.0; COLS];
            let dot = rate(|row| std::hint::black_box(matrix.dot(isa, row, &x)));
            let dequantise = rate(|row| {
                matrix.dequantise(isa, row, &mut out).expect("one row");
                std::hint::black_box(out[0])
            });
            let products = TOKENS.map(|tokens| format!("{:>8.1}", product_rate(&matrix, isa, tokens))).concat();
            println!(
                "{ty:<6} {isa:<12} {dot:>8.2} {dequantise:>10.2} {products}",
                isa = isa.to_string(),
                ty = ty.to_string()
            );
        }
    }
}

/// Products with tokens in 10^9 multiplications a second, the best of several passes over the matrix.
fn product_rate(matrix: &Matrix<'_>, isa: Isa, tokens: usize) -> f64 {
    let x: Vec<f32> = (0..tokens * COLS).map(|i| (i as f32 * 0.37).sin()).collect();
    let (workspace, mut out) = (Workspace::new(isa), vec![0.0; tokens * ROWS]);
    let mut best = f64::INFINITY;
    for _ in 0..40 {
        let start = Instant::now();
        linear(&workspace, &x, matrix, None, &mut out).expect("whole rows");
        best = best.min(start.elapsed().as_secs_f64());
    }
    for (row, token) in [(0, 0), (ROWS - 1, tokens - 1), (77, tokens / 3)] {
        let expected = matrix.dot(isa, row, &x[token * COLS..(token + 1) * COLS]);
        let found = out[token * ROWS + row];
        assert!((found - expected).abs() <= 1e-3 * expected.abs().max(1.0), "{found} for {expected}");
    }
    (tokens * ROWS * COLS) as f64 / best / 1e9
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
