//! How a signal along time becomes a short spectrum, and back.
//!
//! # Conventions
//!
//! They hold for the whole crate and are not repeated elsewhere.
//!
//! - **Letters.** `M` samples `x_0 .. x_{M-1}`, period `P >= M`, `N` harmonics, bin `n`.
//!   `T` is the number type (`f32` or `f64`).
//! - **Forward**: `X_n = sum_t x_t exp(-2 pi i n t / P)`, no scale factor. Samples past `M` are zero.
//! - **Inverse**: `x_t = (1/P) sum_n X_n exp(+2 pi i n t / P)`; the `1/P` is here and only here.
//! - **Real signals** keep the bins `0 .. N-1`; the bins `-n` are the conjugates and are implied. In the
//!   letters of the paper (FourierAttention, arXiv 2506.11886, section 3), `a_n = Re X_n` and
//!   `b_n = -Im X_n`.
//! - **Pairs** `z = x + i y` of two real signals keep the `2N - 1` bins `c-(N-1) ..= c+(N-1)` around a
//!   centre `c`, modulo `P`. With `c = 0` that is the same information as the two real signals kept in
//!   `0 .. N-1`, so both bands cost the same bytes.
//! - **Layout**: one signal's spectrum is two runs of equal length, first all real parts, then all
//!   imaginary parts.
//! - **Time** `t` is an integer and angles are computed from `n t mod P` in integers: no drift, whatever
//!   the length.
//!
//! The mean is no business of this crate: callers subtract it before and add it after.
#![forbid(unsafe_code)]

pub mod band;
pub mod dct;
pub mod fft;
pub mod oracle;
pub mod period;
pub mod streaming;
pub mod trellis;

/// A number type that signals are computed in: `f32` in use, `f64` in oracles.
pub trait Real: realfft::FftNum + num_traits::Float + num_traits::FromPrimitive + Default {
    /// Rounds an `f64` to this type.
    fn of(x: f64) -> Self;
    /// Widens to `f64`, exactly.
    fn wide(self) -> f64;
}

impl Real for f32 {
    #[inline(always)]
    fn of(x: f64) -> Self {
        x as f32
    }
    #[inline(always)]
    fn wide(self) -> f64 {
        f64::from(self)
    }
}

impl Real for f64 {
    #[inline(always)]
    fn of(x: f64) -> Self {
        x
    }
    #[inline(always)]
    fn wide(self) -> f64 {
        self
    }
}
