//! Complex numbers, sixteen at a time.

use std::marker::PhantomData;

use crate::number::Number;
use crate::simd::{Lanes, Simd};
use crate::transform::line::Line;

/// Sixteen complex numbers: real parts, imaginary parts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Complex<T, L> {
    pub(super) re: L,
    pub(super) im: L,
    number: PhantomData<T>,
}

/// Sixteen complex numbers of type `T` on the instruction set `V`.
pub(super) type Complexes<V, T> = Complex<T, <T as Number>::Lanes<V>>;

impl<T: Number, L: Lanes<T>> Complex<T, L> {
    #[inline(always)]
    pub(super) fn new(re: L, im: L) -> Self {
        Complex { re, im, number: PhantomData }
    }

    /// The same number sixteen times.
    #[inline(always)]
    pub(super) fn splat((re, im): (T, T)) -> Self {
        Complex::new(L::splat(re), L::splat(im))
    }

    #[inline(always)]
    pub(super) fn add(self, b: Self) -> Self {
        Complex::new(self.re.add(b.re), self.im.add(b.im))
    }

    #[inline(always)]
    pub(super) fn sub(self, b: Self) -> Self {
        Complex::new(self.re.sub(b.re), self.im.sub(b.im))
    }

    /// `self + conj(b)`.
    #[inline(always)]
    pub(super) fn add_conj(self, b: Self) -> Self {
        Complex::new(self.re.add(b.re), self.im.sub(b.im))
    }

    /// `self - conj(b)`.
    #[inline(always)]
    pub(super) fn sub_conj(self, b: Self) -> Self {
        Complex::new(self.re.sub(b.re), self.im.add(b.im))
    }

    /// `self + i b`, or `self - i b` where `BACK`.
    #[inline(always)]
    pub(super) fn add_turned<const BACK: bool>(self, b: Self) -> Self {
        match BACK {
            false => Complex::new(self.re.sub(b.im), self.im.add(b.re)),
            true => Complex::new(self.re.add(b.im), self.im.sub(b.re)),
        }
    }

    /// `self + s b` with a real `s`.
    #[inline(always)]
    pub(super) fn add_scaled(self, b: Self, s: L) -> Self {
        Complex::new(s.mul_add(b.re, self.re), s.mul_add(b.im, self.im))
    }

    /// `self - s b` with a real `s`.
    #[inline(always)]
    pub(super) fn sub_scaled(self, b: Self, s: L) -> Self {
        Complex::new(s.neg_mul_add(b.re, self.re), s.neg_mul_add(b.im, self.im))
    }

    /// `s self` with a real `s`.
    #[inline(always)]
    pub(super) fn scale(self, s: L) -> Self {
        Complex::new(s.mul(self.re), s.mul(self.im))
    }

    /// `self b`, or `self conj(b)` where `CONJ`.
    #[inline(always)]
    pub(super) fn mul<const CONJ: bool>(self, b: Self) -> Self {
        match CONJ {
            false => {
                Complex::new(self.im.neg_mul_add(b.im, self.re.mul(b.re)), self.im.mul_add(b.re, self.re.mul(b.im)))
            }
            true => {
                Complex::new(self.im.mul_add(b.im, self.re.mul(b.re)), self.re.neg_mul_add(b.im, self.im.mul(b.re)))
            }
        }
    }

    /// `self + a b`, or `self + a conj(b)` where `CONJ`.
    #[inline(always)]
    pub(super) fn mul_add<const CONJ: bool>(self, a: Self, b: Self) -> Self {
        let (re, im) = (a.re.mul_add(b.re, self.re), a.im.mul_add(b.re, self.im));
        match CONJ {
            false => Complex::new(a.im.neg_mul_add(b.im, re), a.re.mul_add(b.im, im)),
            true => Complex::new(a.im.mul_add(b.im, re), a.re.neg_mul_add(b.im, im)),
        }
    }
}

/// Number `k` of complex numbers that are two lines each.
#[inline(always)]
pub(super) fn load<V: Simd, T: Number>(lines: &[Line<T>], k: usize) -> Complexes<V, T> {
    let [re, im] = &lines.as_chunks::<2>().0[k];
    Complex::new(re.load::<V>(), im.load::<V>())
}

/// Writes number `k`.
#[inline(always)]
pub(super) fn store<V: Simd, T: Number>(lines: &mut [Line<T>], k: usize, x: Complexes<V, T>) {
    let [re, im] = &mut lines.as_chunks_mut::<2>().0[k];
    re.store::<V>(x.re);
    im.store::<V>(x.im);
}
