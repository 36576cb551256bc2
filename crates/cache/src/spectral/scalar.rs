//! A scalar code: each coefficient by itself, as the nearest of `2^k` levels. What the trellis code is measured against.

use fourier_kv_kernels::coded::LANES;
use fourier_kv_spectral::trellis::{MAX_BITS, pack, unpack};

/// The density is known at so many places of each side of zero, `REACH` deviations wide.
const PLACES: usize = 1 << 13;
const REACH: f64 = 8.0;
/// Rounds of Lloyd's iteration; it begins near its end.
const ROUNDS: usize = 100;

/// The levels of the least mean squared error for a standard Gaussian (Lloyd-Max), and that error, at each rate.
#[derive(Clone, Debug)]
pub(super) struct ScalarCode {
    /// Those of `k` bits, ascending, from `2^k` on.
    levels: [f32; 2 << MAX_BITS],
    distortion: [f64; MAX_BITS + 1],
}

impl ScalarCode {
    pub(super) fn new() -> Self {
        let step = REACH / PLACES as f64;
        let places = (0..PLACES).map(|i| (i as f64 + 0.5) * step);
        let density: Vec<(f64, f64)> = places.map(|x| (x, (-x * x / 2.0).exp())).collect();
        let mut code = ScalarCode { levels: [0.0; 2 << MAX_BITS], distortion: [1.0; MAX_BITS + 1] };
        for bits in 1..=MAX_BITS {
            // Levels are the same on both sides of zero.
            let half = 1 << (bits - 1);
            let (upper, error) = lloyd_max(half, &density);
            for (i, &level) in upper.iter().enumerate() {
                code.levels[3 * half + i] = level as f32;
                code.levels[3 * half - 1 - i] = -level as f32;
            }
            code.distortion[bits] = error;
        }
        code
    }

    /// The mean squared error of a coefficient of this many bits, over its variance.
    pub(super) fn distortion(&self, bits: usize) -> f64 {
        self.distortion[bits]
    }

    fn levels(&self, bits: u8) -> &[f32] {
        &self.levels[1 << bits..2 << bits]
    }

    /// Values, `[n][16]`, each in its number of bits, as words, `[words][16]`, no fewer than they need. What is not finite is coded as 0.
    pub(super) fn encode(&self, values: &[[f32; LANES]], bits: &[u8], words: &mut [[u32; LANES]]) {
        let mut symbols = Vec::with_capacity(LANES * bits.len());
        for (lanes, &bits) in values.iter().zip(bits) {
            symbols.extend(lanes.iter().map(|&x| nearest(self.levels(bits), if x.is_finite() { x } else { 0.0 })));
        }
        let packed = pack(&symbols, bits);
        let (own, rest) = words.as_flattened_mut().split_at_mut(packed.len());
        own.copy_from_slice(&packed);
        rest.fill(0);
    }

    /// The way back, times `sizes`.
    pub(super) fn decode(&self, words: &[[u32; LANES]], bits: &[u8], sizes: &[f32], values: &mut [[f32; LANES]]) {
        let symbols = unpack(words.as_flattened(), bits);
        for (((lanes, symbols), &bits), size) in
            values.iter_mut().zip(symbols.as_chunks::<LANES>().0).zip(bits).zip(sizes)
        {
            let levels = self.levels(bits);
            *lanes = symbols.map(|symbol| levels[usize::from(symbol)] * size);
        }
    }
}

/// The number of the level nearest to `x`, of 256 at most.
fn nearest(levels: &[f32], x: f32) -> u8 {
    let above = levels.partition_point(|level| *level < x).min(levels.len() - 1);
    match above.checked_sub(1) {
        Some(below) if x - levels[below] < levels[above] - x => below as u8,
        _ => above as u8,
    }
}

/// The `n` levels above zero, and their error.
fn lloyd_max(n: usize, density: &[(f64, f64)]) -> (Vec<f64>, f64) {
    let mut levels = companded(n, density);
    let mut error = 0.0;
    for _ in 0..ROUNDS {
        let (mut sums, mut masses) = (vec![0.0; n], vec![0.0; n]);
        let (mut own, mut total) = (0, 0.0);
        error = 0.0;
        for &(x, mass) in density {
            while own + 1 < n && x > (levels[own] + levels[own + 1]) / 2.0 {
                own += 1;
            }
            sums[own] += mass * x;
            masses[own] += mass;
            error += mass * (x - levels[own]).powi(2);
            total += mass;
        }
        error /= total;
        for ((level, sum), mass) in levels.iter_mut().zip(sums).zip(masses).filter(|(_, mass)| *mass > 0.0) {
            *level = sum / mass;
        }
    }
    (levels, error)
}

/// Where many levels are best: as dense as the cube root of what they stand for (Panter and Dite, 1951).
fn companded(n: usize, density: &[(f64, f64)]) -> Vec<f64> {
    let total: f64 = density.iter().map(|(_, mass)| mass.cbrt()).sum();
    let mut passed = 0.0;
    let mut levels = Vec::with_capacity(n);
    for &(x, mass) in density {
        passed += mass.cbrt() / total * n as f64;
        if levels.len() < n && passed >= levels.len() as f64 + 0.5 {
            levels.push(x);
        }
    }
    levels
}

#[cfg(test)]
mod tests {
    use super::*;

    /// To half a percent, what the places of the density leave: Max (1960), table I, of 2 to 32 levels; more of them from `sqrt(3) pi / 2 * 4^-k`, which they come near to.
    #[test]
    fn levels_are_maxs() {
        let code = ScalarCode::new();
        let known = [0.3634, 0.1175, 0.03454, 0.009497, 0.002499];
        for (bits, known) in (1..).zip(known) {
            assert!((code.distortion(bits) / known - 1.0).abs() < 5e-3, "{bits}: {}", code.distortion(bits));
        }
        for bits in 6..=8 {
            let limit = 3f64.sqrt() * std::f64::consts::PI / 2.0 * 0.25f64.powi(bits);
            assert!((0.9..1.0).contains(&(code.distortion(bits as usize) / limit)), "{bits}");
        }
        assert!(code.levels(1).iter().zip([-0.7980, 0.7980]).all(|(a, b)| (a - b).abs() < 1e-3));
        let four = [-1.5104, -0.4528, 0.4528, 1.5104];
        assert!(code.levels(2).iter().zip(four).all(|(a, b)| (a - b).abs() < 2e-3), "{:?}", code.levels(2));
        assert!((1..=8).all(|bits| code.levels(bits).is_sorted_by(|a, b| a < b)));
    }

    #[test]
    fn values_come_back_as_the_nearest_level() {
        let code = ScalarCode::new();
        let bits: Vec<u8> = (0..50).map(|i| 1 + i % 8).collect();
        let mut values: Vec<[f32; LANES]> =
            (0..50).map(|i| std::array::from_fn(|lane| ((i * 16 + lane) as f32 * 0.7).sin() * 4.0)).collect();
        values[3][2] = f32::NAN;
        let mut words = vec![[0; LANES]; fourier_kv_spectral::trellis::words(&bits)];
        code.encode(&values, &bits, &mut words);
        let (mut found, sizes) = (vec![[0.0; LANES]; 50], vec![2.0; 50]);
        code.decode(&words, &bits, &sizes, &mut found);
        for ((values, found), &bits) in values.iter().zip(&found).zip(&bits) {
            for (x, y) in values.iter().zip(found) {
                let x = if x.is_nan() { 0.0 } else { *x };
                let least = code.levels(bits).iter().map(|level| (level - x).abs()).fold(f32::MAX, f32::min);
                assert!(((y / 2.0 - x).abs() - least).abs() < 1e-6, "{x} as {y} in {bits} bits");
            }
        }
    }
}
