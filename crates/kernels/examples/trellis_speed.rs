//! Nanoseconds that sixteen lanes of a coefficient take to code and to decode, by bits and instruction set.
//!
//! `cargo run --release -p fourier-kv-kernels --example trellis_speed`

#![allow(clippy::print_stdout)] // its report is what it is for

use std::time::Instant;

use fourier_kv_kernels::isa::Isa;
use fourier_kv_kernels::simd::WIDTH;
use fourier_kv_kernels::trellis::{Coefficients, EncodeScratch, TrellisTables};
use fourier_kv_spectral::trellis::words;

/// Coefficients of a stream.
const N: usize = 1024;

fn main() {
    let values: Vec<[f32; WIDTH]> = (0..N).map(|i| std::array::from_fn(|j| sample(i * WIDTH + j))).collect();
    println!("{:>13} {:>10} {:>9} {:>9}   (ns a vector of 16, best of many)", "", "bits", "encode", "decode");
    for isa in Isa::available() {
        for k in 1..=8 {
            report(isa, &k.to_string(), &values, &[k; N]);
        }
        let mixed: Vec<u8> = (0..N).map(|i| [3, 2, 1, 1, 2, 4, 1, 1][i * 7 % 61 % 8]).collect();
        report(isa, "1-4 mixed", &values, &mixed);
    }
}

fn report(isa: Isa, name: &str, values: &[[f32; WIDTH]], bits: &[u8]) {
    let (tables, mut scratch) = (TrellisTables::new(), EncodeScratch::default());
    let mut stream = vec![[0; WIDTH]; words(bits)];
    let mut out = vec![[0.0; WIDTH]; N];
    let x = Coefficients { values, bits, weights: &[1.0; N] };
    let encode = best(|| tables.encode(isa, x, &mut stream, &mut scratch));
    let decode = best(|| tables.decode(isa, &stream, bits, &[1.0; N], &mut out));
    println!("{:>13} {name:>10} {encode:>9.1} {decode:>9.1}", isa.to_string());
}

/// Numbers between -1.7 and 1.7, of variance 1.
fn sample(i: usize) -> f32 {
    let noise = (i as u32).wrapping_mul(2_654_435_761).rotate_left(13).wrapping_mul(40_503);
    ((noise >> 8) as f32 / 16_777_216.0 - 0.5) * 3.46
}

fn best(mut run: impl FnMut()) -> f64 {
    let timed = (0..200).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    });
    timed.fold(f64::INFINITY, f64::min) * 1e9 / N as f64
}
