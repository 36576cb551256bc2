//! Number types that kernels compute in: `f32` in use, `f64` for checking.

use fourier_kv_spectral::Real;

use crate::element::Element;
use crate::simd::exponential::{HIGHEST, LN2_HIGH, LN2_LOW, LOWEST, ROUND, TAYLOR};
use crate::simd::{Doubles, Lanes, Simd};

/// A [`Real`] with the operations that kernels need in every instruction set.
pub trait Number: Real + Element {
    /// Sixteen of them.
    type Lanes<V: Simd>: Lanes<Self>;
    /// `a * b + c`, fused where `F` is.
    fn mul_add_in<V: Simd>(a: Self, b: Self, c: Self) -> Self;
    /// `exp(x)`; 0 for minus infinity. Written without branches, so that it vectorises for `f32`.
    fn exp(x: Self) -> Self;
    /// Converts from `f32`, exactly.
    fn from_single(x: f32) -> Self;
    /// Rounds to `f32`.
    fn to_single(self) -> f32;
}

impl Number for f32 {
    type Lanes<V: Simd> = V::Floats;
    #[inline(always)]
    fn mul_add_in<V: Simd>(a: f32, b: f32, c: f32) -> f32 {
        V::mul_add(a, b, c)
    }
    #[inline(always)]
    fn exp(x: f32) -> f32 {
        exp_single(x)
    }
    #[inline(always)]
    fn from_single(x: f32) -> f32 {
        x
    }
    #[inline(always)]
    fn to_single(self) -> f32 {
        self
    }
}

impl Number for f64 {
    type Lanes<V: Simd> = Doubles;
    #[inline(always)]
    fn mul_add_in<V: Simd>(a: f64, b: f64, c: f64) -> f64 {
        a * b + c
    }
    #[inline(always)]
    fn exp(x: f64) -> f64 {
        x.exp()
    }
    #[inline(always)]
    fn from_single(x: f32) -> f64 {
        f64::from(x)
    }
    #[inline(always)]
    fn to_single(self) -> f32 {
        self as f32
    }
}

/// `exp(x)` to 2 units in the last place, over all `f32` that neither overflow nor underflow.
///
/// `x = n ln 2 + r` with `|r| <= ln 2 / 2`; `exp(r)` by its Taylor polynomial of degree 7 (the remainder,
/// `(ln 2 / 2)^8 / 8!`, is 5e-9), `2^n` by writing the exponent.
#[inline(always)]
pub(crate) fn exp_single(x: f32) -> f32 {
    let clamped = x.clamp(LOWEST, HIGHEST);
    let n = (clamped * std::f32::consts::LOG2_E + ROUND) - ROUND;
    let r = (clamped - n * LN2_HIGH) - n * LN2_LOW;
    let mut p = TAYLOR[0];
    for c in &TAYLOR[1..] {
        p = p * r + c;
    }
    let power = f32::from_bits(((n as i32 + 127) as u32) << 23);
    if x < LOWEST { 0.0 } else { p * power }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponential_is_accurate() {
        let mut worst = 0.0f64;
        for i in -870_000..880_000 {
            let x = i as f32 / 10_000.0;
            let exact = f64::from(x).exp();
            worst = worst.max((f64::from(exp_single(x)) - exact).abs() / exact);
        }
        assert!(worst < 2.4e-7, "relative error {worst:e}");
    }

    #[test]
    fn exponential_at_the_ends() {
        assert_eq!(exp_single(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp_single(-1e6), 0.0);
        assert_eq!(exp_single(0.0), 1.0);
        assert!(exp_single(1e6).is_finite());
    }
}
