//! The trellis code: the search against all sequences, the errors it promises, and streams.

#[path = "../examples/trellis_levels/gaussian.rs"]
mod gaussian;

use fourier_kv_spectral::trellis::*;
use gaussian::Gaussian;
use proptest::prelude::*;

fn squared_error(values: &[f64], decoded: &[f64]) -> f64 {
    values.iter().zip(decoded).map(|(a, b)| (a - b).powi(2)).sum()
}

/// The mean squared error of fresh samples at one rate.
fn measured(bits: u8) -> f64 {
    let x = Gaussian(0xF0E5).samples(1 << 18);
    let rates = [bits; 1024];
    let of = |x: &[f64]| squared_error(x, &decode(&encode(x, &rates), &rates));
    x.chunks_exact(1024).map(of).sum::<f64>() / x.len() as f64
}

/// The least error of all symbol sequences.
fn exhaustive(values: &[f64], bits: &[u8]) -> f64 {
    let total: u32 = bits.iter().map(|&k| u32::from(k)).sum();
    let of = |sequence: u32| {
        let mut at = 0;
        let symbol = |&k: &u8| {
            let symbol = (sequence >> at) & ((1 << k) - 1);
            at += u32::from(k);
            symbol as u8
        };
        let symbols: Vec<u8> = bits.iter().map(symbol).collect();
        squared_error(values, &decode(&symbols, bits))
    };
    (0..1u32 << total).map(of).fold(f64::INFINITY, f64::min)
}

#[test]
fn the_search_finds_what_trying_everything_finds() {
    let mut noise = Gaussian(5);
    for bits in [&[1; 12][..], &[2; 6], &[3; 4], &[1, 0, 4, 2, 0, 0, 3, 1], &[8, 1, 1, 2], &[0; 4], &[5, 6], &[7, 3, 1]]
    {
        for _ in 0..4 {
            let values = noise.samples(bits.len());
            let found = squared_error(&values, &decode(&encode(&values, bits), bits));
            let least = exhaustive(&values, bits);
            assert!((found - least).abs() < 1e-12, "{bits:?}: {found} for {least}");
        }
    }
}

#[test]
fn errors_are_those_of_eight_states() {
    for (bits, bar) in [(1, 0.310), (2, 0.0925), (3, 0.0265)] {
        let error = measured(bits);
        assert!(error < bar, "{bits} bits: {error}");
    }
}

#[test]
fn errors_are_those_of_the_table() {
    for bits in 0..=8u8 {
        let (error, promised) = (measured(bits), DISTORTION[usize::from(bits)]);
        assert!((error / promised - 1.0).abs() < 0.02, "{bits} bits: {error} for {promised}");
    }
}

#[test]
fn levels_ascend_and_are_symmetric() {
    for (bits, levels) in LEVELS.iter().enumerate().skip(1) {
        assert_eq!(levels.len(), 2 << bits);
        assert!(levels.windows(2).all(|w| w[0] < w[1]), "{bits} bits");
        assert!(levels.iter().zip(levels.iter().rev()).all(|(a, b)| *a == -b), "{bits} bits");
    }
}

#[test]
fn branches_leave_and_enter_by_subsets_that_are_far_apart() {
    for state in 0..STATES {
        assert_eq!(SUBSET[state][0] ^ SUBSET[state][1], 2, "out of {state}");
        let (b, low, high) = (state % 2, state / 2, state / 2 + 4);
        assert_eq!(SUBSET[low][b] ^ SUBSET[high][b], 2, "into {state}");
    }
}

#[test]
fn a_weight_draws_the_error_from_a_coefficient() {
    let x = Gaussian(8).samples(512);
    let (bits, ones) = ([1; 512], [1.0; 512]);
    let weights: Vec<f64> = (0..512).map(|i| if i % 2 == 0 { 9.0 } else { 1.0 }).collect();
    let error_of_even = |weights: &[f64]| {
        let decoded = decode(&encode_weighted(&STANDARD, &x, &bits, weights), &bits);
        (0..512).step_by(2).map(|i| (x[i] - decoded[i]).powi(2)).sum::<f64>()
    };
    assert!(error_of_even(&weights) < 0.9 * error_of_even(&ones));
}

#[test]
fn odd_numbers_are_coded_as_the_nearest_or_as_nothing() {
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, -1e300, f64::MIN_POSITIVE, 0.5, -50.0];
    for k in 1..=8 {
        let bits = [k; 8];
        let instead = [0.0, 0.0, 0.0, LIMIT, -LIMIT, 0.0, 0.5, -50.0];
        assert_eq!(encode(&odd, &bits), encode(&instead, &bits));
        let decoded = decode(&encode(&odd, &bits), &bits);
        let widest = f64::from(*LEVELS[usize::from(k)].last().expect("levels"));
        assert!(decoded[3] > 0.25 * widest && decoded[4] < -0.25 * widest, "{k} bits: {decoded:?}");
        assert!(decoded.iter().all(|x| x.is_finite()));
    }
}

proptest! {
    #[test]
    fn streams_hold_the_symbols(seed in any::<u64>(), bits in prop::collection::vec(0u8..=8, 0..80)) {
        let mut noise = Gaussian(seed);
        let mut symbols = Vec::new();
        for &k in &bits {
            symbols.extend(noise.samples(LANES).iter().map(|x| ((x.abs() * 1e6) as u64 & ((1 << k) - 1)) as u8));
        }
        let stream = pack(&symbols, &bits);
        prop_assert_eq!(stream.len(), LANES * words(&bits));
        prop_assert_eq!(unpack(&stream, &bits), symbols);
    }

    #[test]
    fn any_symbols_have_values(symbols in prop::collection::vec(any::<u8>(), 20), bits in prop::collection::vec(0u8..=8, 20)) {
        let values = decode(&symbols, &bits);
        prop_assert!(values.iter().zip(&bits).all(|(x, &k)| x.is_finite() && (k > 0) == (*x != 0.0)));
    }
}

#[test]
fn a_stream_begins_with_the_lowest_bits() {
    let (bits, mut symbols) = ([3, 8, 8, 8, 8], vec![0; 5 * LANES]);
    for (i, s) in [0b101, 0xAB, 0xCD, 0xEF, 0b1001_0110].into_iter().enumerate() {
        symbols[i * LANES + 2] = s;
    }
    let stream = pack(&symbols, &bits);
    assert_eq!(stream.len(), 2 * LANES);
    assert_eq!(stream[2], 0b101 | 0xAB << 3 | 0xCD << 11 | 0xEF << 19 | 0b1_0110 << 27);
    assert_eq!(stream[LANES + 2], 0b100);
    assert!(unpack(&stream[..LANES], &bits)[4 * LANES + 2] == 0b1_0110, "bits of missing words are 0");
}
