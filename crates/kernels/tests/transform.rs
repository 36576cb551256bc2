//! Lane transforms against the slow definitions in `f64` and against realfft, over periods, harmonics and lengths.

use fourier_kv_kernels::isa::Isa;
use fourier_kv_kernels::number::Number;
use fourier_kv_kernels::transform::{GridTransform, LaneScratch, LaneTransform, TimeScratch, TimeTransform};
use fourier_kv_spectral::fft::Fft;
use fourier_kv_spectral::oracle;
use fourier_kv_spectral::period::{fast_period, usable_harmonics};
use proptest::prelude::*;

fn noise(length: usize, seed: u64) -> Vec<f64> {
    (0..length)
        .map(|t| {
            let mut z = seed.wrapping_add((t as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        })
        .collect()
}

fn narrow<T: Number>(x: &[f64]) -> Vec<T> {
    x.iter().map(|&v| T::of(v)).collect()
}

/// Norm of the difference over the norm of what is expected.
fn error<T: Number>(got: &[T], expected: &[f64]) -> f64 {
    assert_eq!(got.len(), expected.len());
    let square = |it: &mut dyn Iterator<Item = f64>| it.map(|x| x * x).sum::<f64>();
    let difference = square(&mut got.iter().zip(expected).map(|(g, e)| g.wide() - e));
    (difference / square(&mut expected.iter().copied()).max(f64::MIN_POSITIVE)).sqrt()
}

/// What the transforms give: harmonics of `x`, and samples of those harmonics.
fn transform<T: Number>(isa: Isa, plan: &LaneTransform<T>, x: &[f64], spectrum: &[f64]) -> (Vec<T>, Vec<T>) {
    let mut scratch = LaneScratch::default();
    let mut harmonics = vec![T::zero(); 2 * plan.harmonics()];
    plan.forward(isa, &narrow(x), &mut harmonics, &mut scratch);
    let mut samples = vec![T::of(9.0); plan.period()];
    plan.inverse(isa, &narrow(spectrum), T::of(1.0 / plan.period() as f64), &mut samples, &mut scratch);
    (harmonics, samples)
}

/// The same by realfft in `f64`.
fn by_realfft(period: usize, harmonics: usize, x: &[f64], spectrum: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let fft = Fft::<f64>::new(period);
    let mut scratch = fft.scratch();
    let (mut out, mut samples) = (vec![0.0; 2 * harmonics], vec![0.0; period]);
    fft.analyse(x, &mut out, &mut scratch);
    fft.synthesise(spectrum, &mut samples, &mut scratch);
    (out, samples)
}

fn divisors(n: usize) -> Vec<usize> {
    (1..=n).filter(|&q| n.is_multiple_of(q)).collect()
}

proptest! {
    #[test]
    fn equal_the_definitions(samples in 0usize..700, spare in 0usize..200, wanted in 1usize..600, pick: usize, seed: u64) {
        let period = fast_period(samples + spare);
        let harmonics = usable_harmonics(wanted, period);
        let (x, spectrum) = (noise(samples, seed), noise(2 * harmonics, !seed));
        let lengths = divisors(period / 32);
        let plan = LaneTransform::<f64>::with_length(period, harmonics, lengths[pick % lengths.len()]);
        let (got, back) = transform(Isa::detect(), &plan, &x, &spectrum);
        prop_assert!(error(&got, &oracle::analyse(&x, period, harmonics)) < 1e-12);
        prop_assert!(error(&back, &oracle::synthesise(&spectrum, period, period)) < 1e-12);
    }
}

/// Every divisor of periods with every radix among their steps, from one harmonic to the full spectrum.
#[test]
fn every_length_equals_realfft() {
    for steps in [1, 2, 3, 4, 5, 6, 8, 16, 18, 25, 27, 30, 36, 48, 64, 72, 90, 100, 216, 225] {
        let period = 32 * steps;
        for harmonics in [1, 2, 17, period / 5 + 1, period / 2, period / 2 + 1] {
            let (x, spectrum) = (noise(period - 7, 5), noise(2 * harmonics, 6));
            let (expected, samples) = by_realfft(period, harmonics, &x, &spectrum);
            for length in divisors(steps) {
                let plan = LaneTransform::<f64>::with_length(period, harmonics, length);
                let (got, back) = transform(Isa::detect(), &plan, &x, &spectrum);
                assert!(error(&got, &expected) < 1e-12, "{period} {harmonics} {length}");
                assert!(error(&back, &samples) < 1e-12, "{period} {harmonics} {length}");
            }
        }
    }
}

/// Sizes in use, in `f32` on every instruction set, twice: close to `f64`, and the same bits again.
#[test]
fn single_precision_is_close_and_repeats() {
    for (period, harmonics) in
        [(4_096, 512), (6_912, 512), (36_864, 512), (36_000, 100), (6_912, 3_457), (147_456, 512)]
    {
        let (x, spectrum) = (noise(period - period / 9, 1), noise(2 * harmonics, 2));
        let (expected, samples) = by_realfft(period, harmonics, &x, &spectrum);
        let plan = LaneTransform::<f32>::new(period, harmonics);
        for isa in Isa::available() {
            let (got, back) = transform(isa, &plan, &x, &spectrum);
            assert!(error(&got, &expected) < 1e-6, "{isa} {period}: {:e}", error(&got, &expected));
            assert!(error(&back, &samples) < 1e-6, "{isa} {period}: {:e}", error(&back, &samples));
            assert_eq!(transform(isa, &plan, &x, &spectrum), (got, back), "the same numbers in every run");
        }
    }
}

/// What a plan gives, as [`transform`] has it for lane transforms.
fn by_time<T: Number>(isa: Isa, plan: &TimeTransform<T>, x: &[f64], spectrum: &[f64]) -> (Vec<T>, Vec<T>) {
    let mut scratch = TimeScratch::default();
    let mut harmonics = vec![T::zero(); 2 * plan.harmonics()];
    plan.forward(isa, &narrow(x), &mut harmonics, &mut scratch);
    let mut samples = vec![T::of(9.0); plan.period()];
    plan.inverse(isa, &narrow(spectrum), T::of(1.0 / plan.period() as f64), &mut samples, &mut scratch);
    (harmonics, samples)
}

proptest! {
    /// Grids of every spacing that fits: in `f64` the window's error alone.
    #[test]
    fn grids_are_good_for_single_precision(
        steps in prop::sample::select(vec![16usize, 32, 48, 64, 80, 96, 128, 144, 160, 240, 384]),
        wanted in 1usize..600, less in 0usize..40, pick: usize, seed: u64,
    ) {
        let period = 32 * steps;
        let spacings: Vec<usize> = divisors(steps).into_iter().filter(|r| matches!(r, 16 | 32) || r.is_multiple_of(64)).collect();
        let spacing = spacings[pick % spacings.len()];
        let harmonics = wanted.min(period / spacing / 4).max(1);
        prop_assert!(GridTransform::<f64>::fits(period, harmonics, spacing));
        let (x, spectrum) = (noise(period - less.min(period), seed), noise(2 * harmonics, !seed));
        let (expected, samples) = by_realfft(period, harmonics, &x, &spectrum);
        let plan = TimeTransform::Grid(GridTransform::<f64>::new(period, harmonics, spacing));
        for isa in Isa::available() {
            let (got, back) = by_time(isa, &plan, &x, &spectrum);
            prop_assert!(error(&got, &expected) < 2e-7, "{isa} {period} {spacing} {harmonics}: {:e}", error(&got, &expected));
            prop_assert!(error(&back, &samples) < 2e-7, "{isa} {period} {spacing} {harmonics}: {:e}", error(&back, &samples));
        }
    }
}

/// Sizes in use: long periods go by a grid, are as close to `f64` as lane transforms, and repeat.
#[test]
fn long_periods_go_by_a_grid() {
    for (period, harmonics, long) in
        [(4_096, 512, false), (36_864, 512, true), (36_000, 100, false), (147_456, 512, true), (36_864, 18_433, false)]
    {
        let (x, spectrum) = (noise(period - period / 9, 1), noise(2 * harmonics, 2));
        let (expected, samples) = by_realfft(period, harmonics, &x, &spectrum);
        let plan = TimeTransform::<f32>::new(period, harmonics);
        assert_eq!(matches!(plan, TimeTransform::Grid(_)), long, "{period}, {harmonics}");
        for isa in Isa::available() {
            let (got, back) = by_time(isa, &plan, &x, &spectrum);
            assert!(error(&got, &expected) < 1e-6, "{isa} {period}: {:e}", error(&got, &expected));
            assert!(error(&back, &samples) < 1e-6, "{isa} {period}: {:e}", error(&back, &samples));
            assert_eq!(by_time(isa, &plan, &x, &spectrum), (got, back), "the same numbers in every run");
        }
    }
}

/// Memory that has served a larger transform gives the same as fresh memory.
#[test]
fn scratch_is_shared_between_periods() {
    let mut scratch = LaneScratch::default();
    for (period, harmonics) in [(6_912, 3_457), (32, 17), (960, 40), (4_096, 512)] {
        let plan = LaneTransform::<f32>::new(period, harmonics);
        let x = narrow::<f32>(&noise(period, 3));
        let (mut used, mut fresh) = (vec![0.0; 2 * harmonics], vec![0.0; 2 * harmonics]);
        plan.forward(Isa::detect(), &x, &mut used, &mut scratch);
        plan.forward(Isa::detect(), &x, &mut fresh, &mut LaneScratch::default());
        assert_eq!(used, fresh);
        let (mut used, mut other) = (vec![0.0; period], vec![0.0; period]);
        plan.inverse(Isa::detect(), &fresh, 1.0, &mut used, &mut scratch);
        plan.inverse(Isa::detect(), &fresh, 1.0, &mut other, &mut LaneScratch::default());
        assert_eq!(used, other);
    }
}
