//! FFT and streaming against the slow definitions, over random shapes.

use fourier_kv_spectral::band::PairBand;
use fourier_kv_spectral::fft::Fft;
use fourier_kv_spectral::oracle;
use fourier_kv_spectral::period::{fast_period, usable_harmonics};
use fourier_kv_spectral::streaming::{Carrier, PhasorTable};
use proptest::prelude::*;

fn signal(length: usize, seed: u64) -> Vec<f64> {
    (0..length)
        .map(|t| {
            let mut z = seed.wrapping_add((t as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        })
        .collect()
}

fn close(a: &[f64], b: &[f64], tolerance: f64) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| (x - y).abs() <= tolerance)
}

proptest! {
    #[test]
    fn fft_equals_the_definition(samples in 0usize..90, spare in 0usize..40, wanted in 1usize..70, centre in 0usize..200, seed: u64) {
        let period = fast_period(samples + spare);
        let harmonics = usable_harmonics(wanted, period);
        let (x, y) = (signal(samples, seed), signal(samples, !seed));
        let fft = Fft::<f64>::new(period);
        let mut scratch = fft.scratch();

        let mut spectrum = vec![0.0; 2 * harmonics];
        fft.analyse(&x, &mut spectrum, &mut scratch);
        prop_assert!(close(&spectrum, &oracle::analyse(&x, period, harmonics), 1e-10));
        let mut back = vec![0.0; samples];
        fft.synthesise(&spectrum, &mut back, &mut scratch);
        prop_assert!(close(&back, &oracle::synthesise(&spectrum, period, samples), 1e-11));

        let band = PairBand::around(centre, harmonics, period);
        let mut pair = vec![0.0; 2 * band.count];
        fft.analyse_pair(&x, &y, band, &mut pair, &mut scratch);
        prop_assert!(close(&pair, &oracle::analyse_pair(&x, &y, period, band), 1e-10));
        let (mut bx, mut by) = (vec![0.0; samples], vec![0.0; samples]);
        fft.synthesise_pair(&pair, band, &mut bx, &mut by, &mut scratch);
        let (ox, oy) = oracle::synthesise_pair(&pair, period, band, samples);
        prop_assert!(close(&bx, &ox, 1e-11) && close(&by, &oy, 1e-11));
    }

    #[test]
    fn full_spectrum_gives_the_signal_back(samples in 0usize..200, spare in 0usize..60, centre in 0usize..300, seed: u64) {
        let period = fast_period(samples + spare);
        let harmonics = period / 2 + 1;
        let (x, y) = (signal(samples, seed), signal(samples, !seed));
        let fft = Fft::<f64>::new(period);
        let mut scratch = fft.scratch();
        let (mut spectrum, mut back) = (vec![0.0; 2 * harmonics], vec![0.0; samples]);
        fft.analyse(&x, &mut spectrum, &mut scratch);
        fft.synthesise(&spectrum, &mut back, &mut scratch);
        prop_assert!(close(&back, &x, 1e-12));

        let band = PairBand::around(centre, harmonics, period);
        let mut pair = vec![0.0; 2 * band.count];
        fft.analyse_pair(&x, &y, band, &mut pair, &mut scratch);
        let (mut bx, mut by) = (vec![0.0; samples], vec![0.0; samples]);
        fft.synthesise_pair(&pair, band, &mut bx, &mut by, &mut scratch);
        prop_assert!(close(&bx, &x, 1e-12) && close(&by, &y, 1e-12));
    }

    #[test]
    fn streaming_equals_block(samples in 1usize..120, block in 1usize..40, wanted in 1usize..70, centre in 0usize..300, seed: u64) {
        let period = fast_period(samples);
        let harmonics = usable_harmonics(wanted, period);
        let (x, y) = (signal(samples, seed), signal(samples, !seed));
        let table = PhasorTable::<f64>::new(period);
        let band = PairBand::around(centre, harmonics, period);
        let mut real = vec![0.0; 2 * harmonics];
        let mut pair = vec![0.0; 2 * band.count];
        let mut work = vec![0.0; 4 * harmonics + 2 * block];
        for first in (0..samples).step_by(block) {
            let end = samples.min(first + block);
            let phasors = table.block(first, end - first, harmonics);
            phasors.accumulate(&x[first..end], &mut real);
            let carrier = Carrier { table: &table, centre: centre % period, band };
            phasors.accumulate_pair(&x[first..end], &y[first..end], carrier, &mut pair, &mut work);
        }
        prop_assert!(close(&real, &oracle::analyse(&x, period, harmonics), 1e-10));
        prop_assert!(close(&pair, &oracle::analyse_pair(&x, &y, period, band), 1e-10));
    }
}

/// Projection: what is inside the band comes back untouched when the signal fills the period.
#[test]
fn in_band_content_is_kept() {
    let (period, harmonics) = (600, 20);
    let frequency = std::f64::consts::TAU * 150.0 / period as f64;
    let x: Vec<f64> = (0..period).map(|t| (frequency * t as f64).cos()).collect();
    let y: Vec<f64> = (0..period).map(|t| (frequency * t as f64).sin()).collect();
    let band = PairBand::around(fourier_kv_spectral::band::carrier_bin(frequency, period), harmonics, period);
    let (bx, by) = oracle::synthesise_pair(&oracle::analyse_pair(&x, &y, period, band), period, band, period);
    assert!(close(&bx, &x, 1e-10) && close(&by, &y, 1e-10));
    let base = oracle::synthesise(&oracle::analyse(&x, period, harmonics), period, period);
    assert!(base.iter().all(|v| v.abs() < 1e-10), "the base band holds nothing of it");
}

/// A million tokens in, the clock is still exact.
#[test]
fn phasors_do_not_drift() {
    let table = PhasorTable::<f32>::new(5_000);
    let block = table.block(1_000_003, 1, 500);
    let mut spectrum = vec![0.0f32; 1_000];
    block.accumulate(&[1.0], &mut spectrum);
    for n in 0..500 {
        let (cos, sin) = oracle::phasor(n, 1_000_003, 5_000);
        assert!((spectrum[n] - cos as f32).abs() < 1e-7 && (spectrum[500 + n] - sin as f32).abs() < 1e-7);
    }
}
