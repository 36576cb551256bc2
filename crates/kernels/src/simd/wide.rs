//! Sixteen `f64` in an array, on every instruction set: kernels run in `f64` to check those that run in `f32`.

use super::{Lanes, WIDTH};
use crate::element::Element;
use crate::number::Number;

/// The sum, taken in halves.
#[inline(always)]
pub(super) fn sum<T: Number>(mut x: [T; WIDTH]) -> T {
    let mut width = WIDTH / 2;
    while width > 0 {
        for i in 0..width {
            x[i] = x[i] + x[i + width];
        }
        width /= 2;
    }
    x[0]
}

/// The largest number.
#[inline(always)]
pub(super) fn largest<T: Number>(mut x: [T; WIDTH]) -> T {
    let mut width = WIDTH / 2;
    while width > 0 {
        for i in 0..width {
            x[i] = if x[i] > x[i + width] { x[i] } else { x[i + width] };
        }
        width /= 2;
    }
    x[0]
}

/// Sixteen `f64`.
#[derive(Clone, Copy, Debug)]
pub struct Doubles([f64; WIDTH]);

impl Doubles {
    #[inline(always)]
    fn with(mut self, other: Doubles, f: impl Fn(f64, f64) -> f64) -> Self {
        for i in 0..WIDTH {
            self.0[i] = f(self.0[i], other.0[i]);
        }
        self
    }
}

impl Lanes<f64> for Doubles {
    #[inline(always)]
    fn splat(x: f64) -> Self {
        Doubles([x; WIDTH])
    }
    #[inline(always)]
    fn load(x: &[f64; WIDTH]) -> Self {
        Doubles(*x)
    }
    #[inline(always)]
    fn load_stored<S: Element>(x: &[S; WIDTH]) -> Self {
        let mut out = [0.0; WIDTH];
        for i in 0..WIDTH {
            out[i] = x[i].load();
        }
        Doubles(out)
    }
    #[inline(always)]
    fn store(self, to: &mut [f64; WIDTH]) {
        *to = self.0;
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.with(other, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.with(other, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.with(other, |a, b| a * b)
    }
    #[inline(always)]
    fn mul_add(self, b: Self, c: Self) -> Self {
        self.mul(b).add(c)
    }
    #[inline(always)]
    fn neg_mul_add(self, b: Self, c: Self) -> Self {
        c.sub(self.mul(b))
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.with(other, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn exp(self) -> Self {
        self.with(self, |a, _| a.exp())
    }
    #[inline(always)]
    fn sum(self) -> f64 {
        sum(self.0)
    }
    #[inline(always)]
    fn largest(self) -> f64 {
        largest(self.0)
    }
}
