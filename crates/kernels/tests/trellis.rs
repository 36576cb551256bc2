//! The vectors' trellis code against the oracle's, on every instruction set.

use fourier_kv_kernels::isa::Isa;
use fourier_kv_kernels::simd::WIDTH;
use fourier_kv_kernels::trellis::{Coefficients, EncodeScratch, TrellisTables};
use fourier_kv_spectral::trellis::{STANDARD, decode, encode_weighted, pack, unpack, words};
use proptest::prelude::*;

/// Numbers from a seed, near to Gaussian: sums of twelve uniform ones.
struct Noise(u64);

impl Noise {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f64 / (1u64 << 24) as f64
    }
    fn gaussian(&mut self) -> f32 {
        ((0..12).map(|_| self.uniform()).sum::<f64>() - 6.0) as f32
    }
    fn vectors(&mut self, n: usize) -> Vec<[f32; WIDTH]> {
        (0..n).map(|_| std::array::from_fn(|_| self.gaussian())).collect()
    }
}

fn encoded(isa: Isa, x: Coefficients<'_>) -> Vec<[u32; WIDTH]> {
    let mut out = vec![[7; WIDTH]; words(x.bits)];
    TrellisTables::new().encode(isa, x, &mut out, &mut EncodeScratch::default());
    out
}

/// Symbols by lane.
fn lanes(stream: &[[u32; WIDTH]], bits: &[u8]) -> Vec<Vec<u8>> {
    let symbols = unpack(stream.as_flattened(), bits);
    (0..WIDTH).map(|lane| symbols.iter().skip(lane).step_by(WIDTH).copied().collect()).collect()
}

fn weighted_error(values: &[f64], symbols: &[u8], bits: &[u8], weights: &[f64]) -> f64 {
    let decoded = decode(symbols, bits);
    (0..bits.len()).filter(|&i| bits[i] > 0).map(|i| weights[i] * (values[i] - decoded[i]).powi(2)).sum()
}

/// Asserts that all instruction sets code alike, and as the oracle does; a lane may have other symbols only where both
/// have the same error but for rounding. The number of lanes with the oracle's symbols.
fn check(x: Coefficients<'_>) -> usize {
    let stream = encoded(Isa::portable(), x);
    for isa in Isa::available() {
        assert_eq!(encoded(isa, x), stream, "{isa} codes otherwise");
    }
    let weights: Vec<f64> = x.weights.iter().map(|&w| f64::from(w)).collect();
    let same = |(lane, symbols): (usize, Vec<u8>)| {
        let values: Vec<f64> = x.values.iter().map(|v| f64::from(v[lane])).collect();
        let best = encode_weighted(&STANDARD, &values, x.bits, &weights);
        let (least, error) =
            (weighted_error(&values, &best, x.bits, &weights), weighted_error(&values, &symbols, x.bits, &weights));
        assert!(error <= least * (1.0 + 1e-6), "lane {lane}: {error} for {least}");
        usize::from(symbols == best)
    };
    lanes(&stream, x.bits).into_iter().enumerate().map(same).sum()
}

#[test]
fn every_rate_is_coded_as_the_oracle_does() {
    for k in 1..=8 {
        let (values, bits) = (Noise(u64::from(k)).vectors(500), vec![k; 500]);
        let same = check(Coefficients { values: &values, bits: &bits, weights: &vec![1.0; 500] });
        assert!(same >= 15, "{k} bits: {same} of 16 lanes have the oracle's symbols");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn mixed_rates_and_weights_are_coded_as_the_oracle_does(
        seed in any::<u64>(),
        bits in prop::collection::vec(0u8..=8, 0..200),
    ) {
        let mut noise = Noise(seed);
        let values = noise.vectors(bits.len());
        let weights: Vec<f32> = bits.iter().map(|&k| (noise.gaussian().exp2()) * f32::from(k).exp2()).collect();
        check(Coefficients { values: &values, bits: &bits, weights: &weights });
    }

    #[test]
    fn any_words_decode_as_the_oracle_says(seed in any::<u64>(), bits in prop::collection::vec(0u8..=8, 0..120)) {
        let mut noise = Noise(seed);
        let stream: Vec<[u32; WIDTH]> =
            (0..words(&bits)).map(|_| std::array::from_fn(|_| (noise.uniform() * 4_294_967_296.0) as u32)).collect();
        let scales: Vec<f32> = bits.iter().map(|_| noise.gaussian()).collect();
        let symbols = lanes(&stream, &bits);
        for isa in Isa::available() {
            let mut out = vec![[f32::NAN; WIDTH]; bits.len()];
            TrellisTables::new().decode(isa, &stream, &bits, &scales, &mut out);
            for (lane, symbols) in symbols.iter().enumerate() {
                for (i, value) in decode(symbols, &bits).into_iter().enumerate() {
                    prop_assert_eq!(out[i][lane], value as f32 * scales[i], "{} {} {}", isa, i, lane);
                }
            }
        }
    }
}

#[test]
fn odd_numbers_are_coded_as_the_oracle_does() {
    let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, -1e30, 64.0, -3e4, f32::MIN_POSITIVE, 0.0, 30.0];
    for k in 1..=8u8 {
        let mut values = Noise(u64::from(k)).vectors(60);
        for (i, x) in odd.into_iter().enumerate() {
            values[5 * i + 1][i] = x;
            values[5 * i + 2][i] = x;
        }
        let (bits, weights) = ([k; 60], [0.5; 60]);
        let stream = encoded(Isa::portable(), Coefficients { values: &values, bits: &bits, weights: &weights });
        for v in values.as_flattened_mut() {
            *v = if v.is_finite() { v.clamp(-64.0, 64.0) } else { 0.0 };
        }
        let x = Coefficients { values: &values, bits: &bits, weights: &weights };
        assert_eq!(stream, encoded(Isa::portable(), x));
        check(x);
    }
}

#[test]
fn odd_weights_still_give_streams() {
    let values = Noise(3).vectors(64);
    for weight in [0.0, -1.0, f32::NAN, f32::INFINITY, f32::MAX, f32::MIN_POSITIVE] {
        let x = Coefficients { values: &values, bits: &[2; 64], weights: &[weight; 64] };
        let stream = encoded(Isa::portable(), x);
        for isa in Isa::available() {
            assert_eq!(encoded(isa, x), stream, "{isa} at weight {weight}");
        }
    }
    // Only ratios matter, and a heavy coefficient is still coded well beside light ones.
    let light: Vec<f32> = (0..64).map(|i| if i == 20 { 1e20 } else { 1e-10 }).collect();
    let x = Coefficients { values: &values, bits: &[2; 64], weights: &light };
    let decoded = decode(&lanes(&encoded(Isa::detect(), x), &[2; 64])[0], &[2; 64]);
    assert!((decoded[20] - f64::from(values[20][0])).abs() < 0.5);
}

#[test]
fn words_are_packed_as_the_oracle_packs_them() {
    let bits: Vec<u8> = (0..97).map(|i| (i * 5 % 9) as u8).collect();
    let values = Noise(11).vectors(97);
    let stream = encoded(Isa::detect(), Coefficients { values: &values, bits: &bits, weights: &[1.0; 97] });
    let symbols = unpack(stream.as_flattened(), &bits);
    assert_eq!(pack(&symbols, &bits), stream.as_flattened(), "bits past the end are 0");
}
