//! Sums over slices, written in lanes so that they vectorise without reordering being left to the compiler.
//!
//! All are `#[inline(always)]` building blocks for [`crate::isa::Operation`] bodies. The order of summation is
//! fixed by [`LANES`], so results are the same from run to run and for every instruction set of one kind.

use crate::element::Element;
use crate::number::Number;
use crate::simd::{Lanes, Simd, WIDTH};

/// Independent partial sums in a reduction: two AVX-512 registers of `f32`.
pub const LANES: usize = 32;

/// `sum x_i y_i`.
#[inline(always)]
pub fn dot<V: Simd, T: Number, S: Element>(x: &[T], y: &[S]) -> T {
    let mut sums = [T::zero(); LANES];
    let (xs, x_rest) = x.as_chunks::<LANES>();
    let (ys, y_rest) = y.as_chunks::<LANES>();
    for (a, b) in xs.iter().zip(ys) {
        for l in 0..LANES {
            sums[l] = T::mul_add_in::<V>(a[l], b[l].load(), sums[l]);
        }
    }
    for (l, (a, b)) in x_rest.iter().zip(y_rest).enumerate() {
        sums[l] = T::mul_add_in::<V>(*a, b.load(), sums[l]);
    }
    total(sums)
}

/// The largest number, minus infinity for none.
#[inline(always)]
pub fn largest<V: Simd, T: Number>(x: &[T]) -> T {
    let (chunks, rest) = x.as_chunks::<WIDTH>();
    let mut largest = T::Lanes::<V>::splat(T::neg_infinity());
    for c in chunks {
        largest = T::Lanes::<V>::load(c).max(largest);
    }
    rest.iter().fold(largest.largest(), |m, &v| if v > m { v } else { m })
}

/// Replaces each `x_i` by `exp(x_i - shift)` and returns their sum.
#[inline(always)]
pub fn shifted_exponentials<V: Simd, T: Number>(x: &mut [T], shift: T) -> T {
    let by = T::Lanes::<V>::splat(shift);
    let mut sum = T::Lanes::<V>::splat(T::zero());
    let (chunks, rest) = x.as_chunks_mut::<WIDTH>();
    for c in chunks {
        let e = T::Lanes::<V>::load(c).sub(by).exp();
        e.store(c);
        sum = sum.add(e);
    }
    let mut total = sum.sum();
    for v in rest {
        *v = Number::exp(*v - shift);
        total = total + *v;
    }
    total
}

/// Adds partial sums in halves.
#[inline(always)]
fn total<T: Number>(mut sums: [T; LANES]) -> T {
    let mut width = LANES / 2;
    while width > 0 {
        for l in 0..width {
            sums[l] = sums[l] + sums[l + width];
        }
        width /= 2;
    }
    sums[0]
}
