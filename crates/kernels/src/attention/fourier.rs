//! FlashFourierAttention on a CPU: attention over a middle that is kept as a spectrum, without rebuilding it.
//!
//! Reconstruction is linear in the stored numbers, so (FourierAttention, arXiv 2506.11886, section 3, carried on):
//!
//! - **Scores.** Contract the query with the coefficients once, `U_n = sum_d q_d X_{n,d}`; one inverse transform of
//!   length `P` then gives the spectral dims' part of the scores of *all* `M` tokens.
//! - **Outputs.** One forward transform of the weights, `F_n = sum_t p_t exp(-2 pi i n t / P)`; then
//!   `sum_t p_t v^_t = (1/P) Re sum_n w_n X_n conj(F_n)`, one dot product a dim.
//! - **Means** are constants: `q . mu` shifts every score and `(sum_t p_t) mu` is added to the output.
//!
//! Cost a row: `4 N` multiplications a spectral dim and side, `2 M` an exact dim, and two transforms of length `P`;
//! bytes read: what the cache holds, once a row. Rebuilding would cost `P log P` *a dim*.
//!
//! The shift `q . mu` is added to the state's maximum alone, never to the scores: keys with large biases (Qwen's)
//! make it thousands of times larger than the differences that decide, and `f32` would lose them.

use fourier_kv_spectral::Real;
use fourier_kv_spectral::band::PairBand;
use fourier_kv_spectral::fft::{Fft, FftScratch};

use crate::attention::Queries;
use crate::attention::state::AttnRowsMut;
use crate::element::Element;
use crate::isa::{Isa, Operation};
use crate::lanes;
use crate::number::Number;
use crate::simd::Simd;

/// Tokens a block of exact dims; see [`FourierSide::exact`].
pub const EXACT_BLOCK: usize = 64;

/// Keys or values of a middle of one head.
#[derive(Clone, Copy, Debug)]
pub struct FourierSide<'a, T, S, C> {
    /// The spectral dims; with [`FourierRegion::bands`], for keys: the spectral *pairs* (dims `i` and `i + D/2`).
    pub spectral: &'a [u16],
    /// Their spectra, `[track][2][bins]`.
    pub spectra: &'a [C],
    /// Their means, one a dim; two a pair, `i` before `i + D/2`.
    pub mean: &'a [T],
    /// The dims that are kept as they are.
    pub exact_dims: &'a [u16],
    /// Their values, `[ceil(M / 64)][exact dim][64]`.
    pub exact: &'a [S],
}

/// The middle of one head.
#[derive(Clone, Copy, Debug)]
pub struct FourierRegion<'a, T: Real, S, C> {
    /// Tokens `M`, at most the period.
    pub tokens: usize,
    /// Harmonics `N` of real signals, at most `P/2 + 1`.
    pub harmonics: usize,
    /// The bins kept of each spectral pair of the keys; `None`: keys are real signals in the base band.
    pub bands: Option<&'a [PairBand]>,
    /// The keys.
    pub keys: FourierSide<'a, T, S, C>,
    /// The values.
    pub values: FourierSide<'a, T, S, C>,
}

/// Working memory of one thread for one period.
#[derive(Debug)]
pub struct FourierScratch<T: Real> {
    fft: FftScratch<T>,
    /// `[2][P]` or `[2][N]`: real parts, then imaginary parts.
    spectrum: Vec<T>,
    scores: Vec<T>,
    out: Vec<T>,
}

impl<T: Number> FourierScratch<T> {
    /// Working memory for `fft`.
    pub fn new(fft: &Fft<T>) -> Self {
        let period = fft.period();
        // The scores grow with the middle, up to a period.
        let (spectrum, scores) = (Vec::with_capacity(2 * period), Vec::with_capacity(period));
        FourierScratch { fft: fft.scratch(), spectrum, scores, out: Vec::new() }
    }

    /// All memory that grows with use.
    pub(crate) fn buffers(&mut self) -> [&mut Vec<T>; 3] {
        [&mut self.spectrum, &mut self.scores, &mut self.out]
    }
}

/// Adds the tokens of `region` to the states of the rows of `q`; every row sees all of them.
pub fn attend_fourier<T: Number, S: Element, C: Element>(
    isa: Isa,
    fft: &Fft<T>,
    q: Queries<'_, T>,
    region: &FourierRegion<'_, T, S, C>,
    scratch: &mut FourierScratch<T>,
    state: &mut AttnRowsMut<'_, T>,
) {
    if region.tokens == 0 {
        return;
    }
    for r in 0..q.count() {
        isa.run(AttendRow { fft, q, r, region, scratch, state });
    }
}

struct AttendRow<'a, 'b, T: Real, S, C> {
    fft: &'a Fft<T>,
    q: Queries<'a, T>,
    r: usize,
    region: &'a FourierRegion<'a, T, S, C>,
    scratch: &'a mut FourierScratch<T>,
    state: &'a mut AttnRowsMut<'b, T>,
}

impl<T: Number, S: Element, C: Element> Operation for AttendRow<'_, '_, T, S, C> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        let AttendRow { fft, q, r, region, scratch, state } = self;
        let query = q.row(r);
        let offset = score_row::<V, T, S, C>(fft, query, region, q.scale, scratch);
        let top = lanes::maximum(&scratch.scores);
        let sum = lanes::exponentials(&mut scratch.scores, top);
        output_row::<V, T, S, C>(fft, q.dim, region, sum, scratch);
        state.row(r).absorb(top + offset, sum, &scratch.out);
    }
}

/// Fills `scratch.scores` with the scores of all `M` tokens but for a shift common to all, which is returned.
#[inline(always)]
fn score_row<V: Simd, T: Number, S: Element, C: Element>(
    fft: &Fft<T>,
    query: &[T],
    region: &FourierRegion<'_, T, S, C>,
    scale: T,
    scratch: &mut FourierScratch<T>,
) -> T {
    scratch.scores.clear();
    scratch.scores.resize(region.tokens, T::zero());
    let keys = &region.keys;
    let mut offset = T::zero();
    if !keys.spectral.is_empty() {
        offset = match region.bands {
            None => contract_dims::<V, T, S, C>(fft, query, region, scratch),
            Some(bands) => contract_pairs::<V, T, S, C>(fft, query, keys, bands, scratch),
        };
        fft.inverse_unscaled(&mut scratch.fft);
        let factor = scale * T::of(1.0 / fft.period() as f64);
        for (s, &x) in scratch.scores.iter_mut().zip(&scratch.fft.time) {
            *s = x * factor;
        }
    }
    for (b, scores) in scratch.scores.chunks_mut(EXACT_BLOCK).enumerate() {
        for (d, &dim) in keys.exact_dims.iter().enumerate() {
            let at = (b * keys.exact_dims.len() + d) * EXACT_BLOCK;
            let run = &keys.exact[at..at + scores.len()];
            lanes::add_scaled::<V, T, S>(query[usize::from(dim)] * scale, run, scores);
        }
    }
    offset * scale
}

/// Base band: the half spectrum of `sum_d q_d k^_d` into the transform's input; returns `sum_d q_d mu_d`.
#[inline(always)]
fn contract_dims<V: Simd, T: Number, S: Element, C: Element>(
    fft: &Fft<T>,
    query: &[T],
    region: &FourierRegion<'_, T, S, C>,
    scratch: &mut FourierScratch<T>,
) -> T {
    let (keys, harmonics) = (&region.keys, region.harmonics);
    scratch.spectrum.clear();
    scratch.spectrum.resize(2 * harmonics, T::zero());
    let mut offset = T::zero();
    for (track, &dim) in keys.spectral.iter().enumerate() {
        let weight = query[usize::from(dim)];
        offset = offset + weight * keys.mean[track];
        let run = &keys.spectra[track * 2 * harmonics..(track + 1) * 2 * harmonics];
        lanes::add_scaled::<V, T, C>(weight, run, &mut scratch.spectrum);
    }
    let (re, im) = scratch.spectrum.split_at(harmonics);
    let (kept, above) = scratch.fft.half.split_at_mut(harmonics);
    for (n, bin) in kept.iter_mut().enumerate() {
        bin.re = re[n];
        bin.im = im[n];
    }
    above.fill(Default::default());
    debug_assert!(harmonics <= fft.period() / 2 + 1);
    offset
}

/// Carrier band: `U_n = sum_i conj(q_i) Z_{n,i}` over the whole circle of bins, folded to the half spectrum of its
/// real part; returns the shift that the means make.
#[inline(always)]
fn contract_pairs<V: Simd, T: Number, S: Element, C: Element>(
    fft: &Fft<T>,
    query: &[T],
    keys: &FourierSide<'_, T, S, C>,
    bands: &[PairBand],
    scratch: &mut FourierScratch<T>,
) -> T {
    let (period, half) = (fft.period(), query.len() / 2);
    scratch.spectrum.clear();
    scratch.spectrum.resize(2 * period, T::zero());
    let (re, im) = scratch.spectrum.split_at_mut(period);
    let (mut offset, mut at) = (T::zero(), 0);
    for (track, (&pair, band)) in keys.spectral.iter().zip(bands).enumerate() {
        let (x, y) = (query[usize::from(pair)], query[usize::from(pair) + half]);
        offset = offset + x * keys.mean[2 * track] + y * keys.mean[2 * track + 1];
        let (z_re, z_im) = keys.spectra[at..at + 2 * band.count].split_at(band.count);
        at += 2 * band.count;
        for (first, from, length) in band.stretches(period) {
            let (a, b) = (&z_re[from..from + length], &z_im[from..from + length]);
            let (u, v) = (&mut re[first..first + length], &mut im[first..first + length]);
            for n in 0..length {
                let (a, b): (T, T) = (a[n].load(), b[n].load());
                u[n] = T::mul_add_in::<V>(x, a, T::mul_add_in::<V>(y, b, u[n]));
                v[n] = T::mul_add_in::<V>(x, b, T::mul_add_in::<V>(-y, a, v[n]));
            }
        }
    }
    fold_circle(re, im, &mut scratch.fft.half);
    offset
}

/// The half spectrum of the real part of a signal whose spectrum is given on the whole circle:
/// `(U_n + conj(U_{P-n})) / 2`.
#[inline(always)]
fn fold_circle<T: Number>(re: &[T], im: &[T], half: &mut [realfft::num_complex::Complex<T>]) {
    let (period, middle) = (re.len(), re.len() / 2);
    let scale = T::of(0.5);
    half[0].re = re[0];
    half[0].im = T::zero();
    half[middle].re = re[middle];
    half[middle].im = T::zero();
    for n in 1..middle {
        half[n].re = (re[n] + re[period - n]) * scale;
        half[n].im = (im[n] - im[period - n]) * scale;
    }
}

/// `scratch.out = sum_t p_t v_t`, with the weights in `scratch.scores` and their sum given.
#[inline(always)]
fn output_row<V: Simd, T: Number, S: Element, C: Element>(
    fft: &Fft<T>,
    dim: usize,
    region: &FourierRegion<'_, T, S, C>,
    sum: T,
    scratch: &mut FourierScratch<T>,
) {
    scratch.out.clear();
    scratch.out.resize(dim, T::zero());
    let values = &region.values;
    for (b, weights) in scratch.scores.chunks(EXACT_BLOCK).enumerate() {
        for (d, &dim) in values.exact_dims.iter().enumerate() {
            let at = (b * values.exact_dims.len() + d) * EXACT_BLOCK;
            let part = lanes::dot::<V, T, S>(weights, &values.exact[at..at + weights.len()]);
            scratch.out[usize::from(dim)] = scratch.out[usize::from(dim)] + part;
        }
    }
    if values.spectral.is_empty() {
        return;
    }
    let harmonics = region.harmonics;
    transform_weights(fft, harmonics, scratch);
    for (track, &dim) in values.spectral.iter().enumerate() {
        let run = &values.spectra[track * 2 * harmonics..(track + 1) * 2 * harmonics];
        scratch.out[usize::from(dim)] = lanes::dot::<V, T, C>(&scratch.spectrum, run) + sum * values.mean[track];
    }
}

/// `[2][N]` of `w_n F_n / P`, so that a dot product with a stored spectrum is the weighted sum of the signal.
/// `w_n` counts a bin's mirror: 2, but 1 for the bins `0` and `P/2`, which are their own.
#[inline(always)]
fn transform_weights<T: Number>(fft: &Fft<T>, harmonics: usize, scratch: &mut FourierScratch<T>) {
    let FourierScratch { fft: work, spectrum, scores, .. } = scratch;
    work.time[..scores.len()].copy_from_slice(scores);
    work.time[scores.len()..].fill(T::zero());
    fft.forward(work);
    spectrum.clear();
    spectrum.resize(2 * harmonics, T::zero());
    let (re, im) = spectrum.split_at_mut(harmonics);
    let both = T::of(2.0 / fft.period() as f64);
    for n in 0..harmonics {
        re[n] = work.half[n].re * both;
        im[n] = work.half[n].im * both;
    }
    let once = T::of(0.5);
    re[0] = re[0] * once;
    im[0] = T::zero();
    if 2 * (harmonics - 1) == fft.period() {
        re[harmonics - 1] = re[harmonics - 1] * once;
        im[harmonics - 1] = T::zero();
    }
}
