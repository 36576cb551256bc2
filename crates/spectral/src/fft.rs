//! Whole-signal transforms by FFT: one plan a period, shared by every head, layer and thread.

use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

use crate::Real;
use crate::band::PairBand;

/// The real transforms of one even period `P`, with the twiddle factors they need.
#[derive(Clone)]
pub struct Fft<T: Real> {
    period: usize,
    forward: Arc<dyn RealToComplex<T>>,
    inverse: Arc<dyn ComplexToReal<T>>,
}

/// Working memory of one thread for one [`Fft`].
#[derive(Debug)]
pub struct FftScratch<T: Real> {
    /// `P` samples.
    pub time: Vec<T>,
    /// The bins `0 ..= P/2`.
    pub half: Vec<Complex<T>>,
    work: Vec<Complex<T>>,
}

impl<T: Real> std::fmt::Debug for Fft<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fft").field("period", &self.period).finish()
    }
}

impl<T: Real> Fft<T> {
    /// Plans the transforms of length `period`.
    ///
    /// # Panics
    /// If `period` is zero or odd; [`crate::period::fast_period`] gives one that is neither.
    pub fn new(period: usize) -> Self {
        assert!(period >= 2 && period.is_multiple_of(2), "an even period of at least 2, not {period}");
        let mut planner = RealFftPlanner::new();
        Fft { period, forward: planner.plan_fft_forward(period), inverse: planner.plan_fft_inverse(period) }
    }

    /// The period `P`.
    pub fn period(&self) -> usize {
        self.period
    }

    /// Working memory for this plan.
    pub fn scratch(&self) -> FftScratch<T> {
        let zero = Complex::new(T::zero(), T::zero());
        let work = self.forward.get_scratch_len().max(self.inverse.get_scratch_len());
        FftScratch { time: vec![T::zero(); self.period], half: vec![zero; self.period / 2 + 1], work: vec![zero; work] }
    }

    /// Transforms `scratch.time` (all `P` samples) into `scratch.half`; destroys `time`.
    pub fn forward(&self, scratch: &mut FftScratch<T>) {
        let FftScratch { time, half, work } = scratch;
        self.forward.process_with_scratch(time, half, work).expect("lengths were set by scratch()");
    }

    /// Transforms `scratch.half` into `scratch.time` **without** the factor `1/P`; destroys `half`.
    ///
    /// The bins `0` and `P/2` of a real signal are real: their imaginary parts are dropped.
    pub fn inverse_unscaled(&self, scratch: &mut FftScratch<T>) {
        let FftScratch { time, half, work } = scratch;
        half[0].im = T::zero();
        half[self.period / 2].im = T::zero();
        self.inverse.process_with_scratch(half, time, work).expect("lengths were set by scratch()");
    }

    /// The first `N` bins of a real signal: `out` is `[2][N]`, real parts first.
    ///
    /// `x` gives the samples `0 .. x.len()`, at most `P`.
    pub fn analyse(&self, x: &[T], out: &mut [T], scratch: &mut FftScratch<T>) {
        self.load(x, scratch);
        self.forward(scratch);
        let (re, im) = out.split_at_mut(out.len() / 2);
        for (n, bin) in scratch.half.iter().take(re.len()).enumerate() {
            re[n] = bin.re;
            im[n] = bin.im;
        }
    }

    /// The bins of `z = x + i y` that lie in `band`: `out` is `[2][band.count]`.
    pub fn analyse_pair(&self, x: &[T], y: &[T], band: PairBand, out: &mut [T], scratch: &mut FftScratch<T>) {
        let (re, im) = out.split_at_mut(band.count);
        self.load(x, scratch);
        self.forward(scratch);
        for (j, bin) in band.bins(self.period).enumerate() {
            let value = self.any_bin(&scratch.half, bin);
            re[j] = value.re;
            im[j] = value.im;
        }
        self.load(y, scratch);
        self.forward(scratch);
        for (j, bin) in band.bins(self.period).enumerate() {
            let value = self.any_bin(&scratch.half, bin);
            re[j] = re[j] - value.im; // i (re + i im) = -im + i re
            im[j] = im[j] + value.re;
        }
    }

    /// The samples `0 .. out.len()` that a kept spectrum `[2][N]` gives back.
    pub fn synthesise(&self, spectrum: &[T], out: &mut [T], scratch: &mut FftScratch<T>) {
        let (re, im) = spectrum.split_at(spectrum.len() / 2);
        for (n, bin) in scratch.half.iter_mut().enumerate() {
            *bin = match n < re.len() {
                true => Complex::new(re[n], im[n]),
                false => Complex::new(T::zero(), T::zero()),
            };
        }
        self.inverse_unscaled(scratch);
        self.store(out, scratch);
    }

    /// The samples `0 .. x.len()` of both parts of a pair from its kept bins `[2][band.count]`.
    pub fn synthesise_pair(
        &self,
        spectrum: &[T],
        band: PairBand,
        x: &mut [T],
        y: &mut [T],
        scratch: &mut FftScratch<T>,
    ) {
        let (re, im) = spectrum.split_at(band.count);
        let zero = Complex::new(T::zero(), T::zero());
        for (part, out) in [(0, x), (1, y)] {
            scratch.half.fill(zero);
            for (j, bin) in band.bins(self.period).enumerate() {
                // Re z and Im z = Re(-i z) are real signals: half of each bin, half of its mirror's conjugate.
                let value = if part == 0 { Complex::new(re[j], im[j]) } else { Complex::new(im[j], -re[j]) };
                self.fold(&mut scratch.half, bin, value);
            }
            self.inverse_unscaled(scratch);
            self.store(out, scratch);
        }
    }

    /// Adds one bin of a complex spectrum `Z` to the half spectrum of the real signal `Re z`.
    #[inline(always)]
    pub fn fold(&self, half: &mut [Complex<T>], bin: usize, value: Complex<T>) {
        let middle = self.period / 2;
        let scale = T::of(0.5);
        if bin == 0 || bin == middle {
            half[bin].re = half[bin].re + value.re;
        } else if bin < middle {
            half[bin] = half[bin] + value.scale(scale);
        } else {
            let mirror = self.period - bin;
            half[mirror] = half[mirror] + value.conj().scale(scale);
        }
    }

    /// Bin `bin` in `0 .. P` of a real signal, from its half spectrum.
    #[inline(always)]
    fn any_bin(&self, half: &[Complex<T>], bin: usize) -> Complex<T> {
        match half.get(bin) {
            Some(value) => *value,
            None => half[self.period - bin].conj(),
        }
    }

    fn load(&self, x: &[T], scratch: &mut FftScratch<T>) {
        scratch.time[..x.len()].copy_from_slice(x);
        scratch.time[x.len()..].fill(T::zero());
    }

    fn store(&self, out: &mut [T], scratch: &FftScratch<T>) {
        let scale = T::of(1.0 / self.period as f64);
        for (o, &s) in out.iter_mut().zip(&scratch.time) {
            *o = s * scale;
        }
    }
}
