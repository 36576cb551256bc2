//! Appending samples to a spectrum that exists: each adds its own term, in any order, exactly.
//!
//! `X_n += x_t exp(-2 pi i n t / P)`, so a block of `F` samples costs `2 F N` multiplications a signal.
//! The phasors depend on the time alone and are shared by all signals, heads and layers.

use crate::Real;
use crate::band::PairBand;
use crate::oracle::phasor;

/// `exp(-2 pi i n t / P)` for `F` consecutive times and the bins `0 .. N`.
#[derive(Clone, Debug)]
pub struct PhasorBlock<T> {
    first_time: usize,
    samples: usize,
    period: usize,
    harmonics: usize,
    /// `[F][2][N]`.
    table: Vec<T>,
}

/// The sines and cosines of one period: `exp(-2 pi i m / P)` for `m = 0 .. P`.
#[derive(Clone, Debug)]
pub struct PhasorTable<T> {
    cos: Vec<T>,
    sin: Vec<T>,
}

impl<T: Real> PhasorTable<T> {
    /// Computes the table of `period` entries in `f64` and rounds once.
    pub fn new(period: usize) -> Self {
        let (cos, sin) = (0..period).map(|m| phasor(m, 1, period)).map(|(cos, sin)| (T::of(cos), T::of(sin))).unzip();
        PhasorTable { cos, sin }
    }

    /// The period `P`.
    pub fn period(&self) -> usize {
        self.cos.len()
    }

    /// `exp(-2 pi i n t / P)`.
    #[inline(always)]
    pub fn at(&self, n: usize, t: usize) -> (T, T) {
        let m = (n as u128 * t as u128 % self.cos.len() as u128) as usize;
        (self.cos[m], self.sin[m])
    }

    /// The phasors of the times `first_time .. first_time + samples` and the bins `0 .. harmonics`.
    pub fn block(&self, first_time: usize, samples: usize, harmonics: usize) -> PhasorBlock<T> {
        let mut block = PhasorBlock { first_time, samples, period: self.period(), harmonics, table: Vec::new() };
        self.refill(&mut block, first_time, samples, harmonics);
        block
    }

    /// The same, in the memory of a block that is no longer needed.
    pub fn refill(&self, block: &mut PhasorBlock<T>, first_time: usize, samples: usize, harmonics: usize) {
        let period = self.period();
        let mut table = std::mem::take(&mut block.table);
        table.resize(samples * 2 * harmonics, T::zero());
        for f in 0..samples {
            let step = (first_time + f) % period;
            let (cos, sin) = table[f * 2 * harmonics..(f + 1) * 2 * harmonics].split_at_mut(harmonics);
            let mut m = 0;
            for n in 0..harmonics {
                cos[n] = self.cos[m];
                sin[n] = self.sin[m];
                m += step;
                if m >= period {
                    m -= period;
                }
            }
        }
        *block = PhasorBlock { first_time, samples, period, harmonics, table };
    }
}

impl<T: Real> PhasorBlock<T> {
    /// Time of the first sample.
    pub fn first_time(&self) -> usize {
        self.first_time
    }

    /// Harmonics `N`.
    pub fn harmonics(&self) -> usize {
        self.harmonics
    }

    /// Samples `F` that the block is for.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Adds the samples to a real signal's spectrum `[2][N]`.
    #[inline(always)]
    pub fn accumulate(&self, x: &[T], spectrum: &mut [T]) {
        let width = 2 * self.harmonics;
        for (f, &value) in x.iter().enumerate() {
            for (s, &p) in spectrum[..width].iter_mut().zip(&self.table[f * width..(f + 1) * width]) {
                *s = *s + value * p;
            }
        }
    }

    /// Adds the samples of a pair to its bins `[2][band.count]` around `centre`.
    ///
    /// The pair is first turned back by its carrier; then both parts are real signals around bin 0.
    /// `work` holds `4 N + 2 F` numbers.
    pub fn accumulate_pair(&self, x: &[T], y: &[T], carrier: Carrier<'_, T>, spectrum: &mut [T], work: &mut [T]) {
        let (n, samples) = (self.harmonics, x.len());
        let (parts, base) = work.split_at_mut(2 * n);
        let (other, base) = base.split_at_mut(2 * n);
        let (re, im) = base.split_at_mut(samples);
        for f in 0..samples {
            let (cos, sin) = carrier.table.at(carrier.centre, self.first_time + f);
            re[f] = x[f] * cos - y[f] * sin;
            im[f] = x[f] * sin + y[f] * cos;
        }
        parts.fill(T::zero());
        other.fill(T::zero());
        self.accumulate(re, parts);
        self.accumulate(&im[..samples], other);
        self.unfold(parts, other, carrier.band, spectrum);
    }

    /// Adds `A + i B` to the bins of a pair, where `A` and `B` are the half spectra of real signals.
    fn unfold(&self, a: &[T], b: &[T], band: PairBand, spectrum: &mut [T]) {
        let n = self.harmonics;
        let (re, im) = spectrum.split_at_mut(band.count);
        for j in 0..band.count {
            let mirrored = j + 1 < n; // bins below the centre are conjugates
            let h = if mirrored { n - 1 - j } else { j + 1 - n };
            let sign = if mirrored { -T::one() } else { T::one() };
            let (a_re, a_im) = (a[h], sign * a[n + h]);
            let (b_re, b_im) = (b[h], sign * b[n + h]);
            re[j] = re[j] + a_re - b_im;
            im[j] = im[j] + a_im + b_re;
        }
    }

    /// The period `P`.
    pub fn period(&self) -> usize {
        self.period
    }
}

/// Where a pair's band sits.
#[derive(Clone, Copy, Debug)]
pub struct Carrier<'a, T> {
    /// The phasors of the period.
    pub table: &'a PhasorTable<T>,
    /// The bin in the middle of the band.
    pub centre: usize,
    /// The bins kept.
    pub band: PairBand,
}
