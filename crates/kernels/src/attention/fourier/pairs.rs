//! Queries times the spectra of rotary pairs, whose bins lie anywhere on the circle.

use fourier_kv_spectral::band::PairBand;

use crate::element::Element;
use crate::isa::Operation;
use crate::number::Number;
use crate::simd::Simd;

/// `U_n = sum_i conj(q_i) Z_{n,i}` over the whole circle of `P` bins, folded to the half spectrum of its real part.
pub(super) struct Pairs<'a, T, C> {
    pub(super) query: &'a [T],
    pub(super) spectral: &'a [u16],
    pub(super) spectra: &'a [C],
    pub(super) bands: &'a [PairBand],
    /// `[2][P]`.
    pub(super) circle: &'a mut [T],
    /// `[2][P/2 + 1]`.
    pub(super) half: &'a mut [T],
}

impl<T: Number, C: Element> Operation for Pairs<'_, T, C> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        let Pairs { query, spectral, spectra, bands, circle, half } = self;
        circle.fill(T::zero());
        let (period, middle) = (circle.len() / 2, query.len() / 2);
        let (re, im) = circle.split_at_mut(period);
        let mut at = 0;
        for (&pair, band) in spectral.iter().zip(bands) {
            let (x, y) = (query[usize::from(pair)], query[usize::from(pair) + middle]);
            let (z_re, z_im) = spectra[at..at + 2 * band.count].split_at(band.count);
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
        let (half_re, half_im) = half.split_at_mut(period / 2 + 1);
        fold_circle(re, im, half_re, half_im);
    }
}

/// The half spectrum of the real part of a signal whose spectrum is given on the whole circle:
/// `(U_n + conj(U_{P-n})) / 2`.
#[inline(always)]
fn fold_circle<T: Number>(re: &[T], im: &[T], half_re: &mut [T], half_im: &mut [T]) {
    let (period, middle) = (re.len(), re.len() / 2);
    let scale = T::of(0.5);
    for own in [0, middle] {
        half_re[own] = re[own];
        half_im[own] = T::zero();
    }
    for n in 1..middle {
        half_re[n] = (re[n] + re[period - n]) * scale;
        half_im[n] = (im[n] - im[period - n]) * scale;
    }
}
