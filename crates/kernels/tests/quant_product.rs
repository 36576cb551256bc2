//! Integer products with quantised weights against products of the dequantised weights in f64, for every format, shape
//! and instruction set.

use fourier_kv_kernels::isa::Isa;
use fourier_kv_kernels::linear::linear;
use fourier_kv_kernels::matmul::ColumnsMut;
use fourier_kv_kernels::quant::activations::Activations;
use fourier_kv_kernels::quant::product::{ProductScratch, ROWS, is_grouped, multiply};
use fourier_kv_kernels::quant::{Matrix, WeightType};
use fourier_kv_kernels::workspace::Workspace;
use half::f16;
use proptest::prelude::*;

/// Where a format's half floats are in its blocks.
fn halves(ty: WeightType) -> &'static [usize] {
    match ty {
        WeightType::Q4_1 | WeightType::Q5_1 | WeightType::Q4_K | WeightType::Q5_K => &[0, 2],
        WeightType::Q6_K => &[208],
        _ => &[0],
    }
}

fn noise(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

/// Rows of any bits, but with finite scales between -2 and 2.
fn rows(ty: WeightType, rows: usize, cols: usize, seed: &mut u64) -> Vec<u8> {
    let block = ty.row_bytes(ty.block_len()).unwrap();
    let mut bytes: Vec<u8> = (0..rows * ty.row_bytes(cols).unwrap()).map(|_| noise(seed) as u8).collect();
    for block in bytes.chunks_exact_mut(block) {
        for &at in halves(ty) {
            let scale = f16::from_f32((noise(seed) % 4001) as f32 / 1000.0 - 2.0);
            block[at..at + 2].copy_from_slice(&scale.to_le_bytes());
        }
    }
    bytes
}

/// Numbers over several orders of magnitude, as activations are.
fn activations(count: usize, seed: &mut u64) -> Vec<f32> {
    (0..count)
        .map(|_| {
            let x = (noise(seed) % 20_001) as f32 / 10_000.0 - 1.0;
            x.powi(3) * 10f32.powi((noise(seed) % 4) as i32 - 2)
        })
        .collect()
}

/// The exact product of one row and one token, and how far rounding to 16 bits may move it.
fn exact(weights: &[f32], x: &[f32]) -> (f64, f64) {
    let (mut sum, mut bound) = (0.0, 0.0);
    for (w, x) in weights.chunks(32).zip(x.chunks(32)) {
        let largest = x.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        for (&w, &x) in w.iter().zip(x) {
            sum += f64::from(w) * f64::from(x);
            bound += f64::from(w.abs()) * f64::from(largest) * (1.0 / 65_534.0 + 1e-6);
        }
    }
    // A weight is a difference of two numbers that may both be larger: sums of their parts round on their own.
    let parts = weights.iter().fold(0.0f32, |m, w| m.max(w.abs()));
    let inputs: f64 = x.iter().map(|x| f64::from(x.abs())).sum();
    (sum, bound + 1e-6 * f64::from(parts) * inputs)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn products_are_those_of_the_dequantised_weights(
        count in 1..=ROWS, tokens in 0..30usize, blocks in 1..10usize, seed in any::<u64>()
    ) {
        for ty in WeightType::ALL.into_iter().filter(|&ty| is_grouped(ty)) {
            let mut seed = seed;
            let cols = blocks * ty.block_len();
            let bytes = rows(ty, count, cols, &mut seed);
            let x = activations(tokens * cols, &mut seed);
            let matrix = Matrix::new(ty, count, cols, &bytes).unwrap();
            let mut weights = vec![0.0; count * cols];
            matrix.dequantise(Isa::portable(), 0, &mut weights).unwrap();
            for isa in Isa::available() {
                let (mut rounded, mut scratch) = (Activations::default(), ProductScratch::default());
                rounded.round(isa, &x, cols);
                let mut out = vec![f32::NAN; tokens * count];
                multiply(isa, ty, &bytes, &rounded, &mut scratch, &mut ColumnsMut::new(&mut out, tokens, count));
                for (t, x) in x.chunks_exact(cols).enumerate() {
                    for (r, weights) in weights.chunks_exact(cols).enumerate() {
                        let (exact, bound) = exact(weights, x);
                        let found = f64::from(out[t * count + r]);
                        prop_assert!((found - exact).abs() <= bound, "{ty} {isa} {t} {r}: {found} for {exact} ± {bound}");
                    }
                }
            }
        }
    }
}

/// Activations that are integers times a power of two are held exactly, so that products are exact but for sums of
/// floats: even the largest integers of either side do not overflow.
#[test]
fn the_largest_integers_do_not_overflow() {
    let cols = 256;
    let mut bytes = vec![0u8; 210];
    bytes[..192].fill(0); // all weights are -32,
    bytes[192..208].fill(0x80); // times a scale of -128
    bytes[208..].copy_from_slice(&f16::from_f32(1.0).to_le_bytes());
    let x: Vec<f32> = vec![32_767.0; cols];
    for isa in Isa::available() {
        let (mut rounded, mut scratch, mut out) = (Activations::default(), ProductScratch::default(), [0.0]);
        rounded.round(isa, &x, cols);
        multiply(isa, WeightType::Q6_K, &bytes, &rounded, &mut scratch, &mut ColumnsMut::new(&mut out, 1, 1));
        let expected = 256.0 * 4096.0 * 32_767.0;
        assert!((f64::from(out[0]) - expected).abs() <= 1e-6 * expected, "{isa}: {}", out[0]);
    }
}

/// Few and many tokens take different ways to the same numbers.
#[test]
fn the_number_of_tokens_changes_nothing_that_matters() {
    let (count, cols, mut seed) = (77, 512, 5);
    for ty in WeightType::ALL {
        let bytes = rows(ty, count, cols, &mut seed);
        let bytes = if is_grouped(ty) { bytes } else { floats(ty, count * cols) };
        let matrix = Matrix::new(ty, count, cols, &bytes).unwrap();
        let x = activations(40 * cols, &mut seed);
        let mut weights = vec![0.0; count * cols];
        matrix.dequantise(Isa::portable(), 0, &mut weights).unwrap();
        for isa in Isa::available() {
            let workspace = Workspace::new(isa);
            for tokens in [1, 2, 3, 4, 5, 6, 12, 40] {
                let x = &x[..tokens * cols];
                let mut out = vec![f32::NAN; tokens * count];
                linear(&workspace, x, &matrix, None, &mut out).unwrap();
                for (t, x) in x.chunks_exact(cols).enumerate() {
                    for (r, weights) in weights.chunks_exact(cols).enumerate() {
                        let (exact, bound) = exact(weights, x);
                        let found = f64::from(out[t * count + r]);
                        assert!((found - exact).abs() <= bound, "{ty} {isa} {tokens}: {found} for {exact} ± {bound}");
                    }
                }
            }
        }
    }
}

/// Plain floats between -1 and 1.
fn floats(ty: WeightType, count: usize) -> Vec<u8> {
    let values = (0..count).map(|i| (i as f32 * 0.7).sin());
    match ty {
        WeightType::F32 => values.flat_map(|v| v.to_le_bytes()).collect(),
        WeightType::F16 => values.flat_map(|v| f16::from_f32(v).to_le_bytes()).collect(),
        _ => values.flat_map(|v| half::bf16::from_f32(v).to_le_bytes()).collect(),
    }
}
