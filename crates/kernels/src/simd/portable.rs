//! Plain loops over arrays: what every operation means, and what machines without the others run.

use half::{bf16, f16};

use super::{Lanes, Simd, WIDTH};
use crate::element::Element;
use crate::number::exp_single;

/// No particular instruction set.
#[derive(Clone, Copy, Debug)]
pub struct Portable;

/// Sixteen `f32` in an array.
#[derive(Clone, Copy, Debug)]
pub struct Singles([f32; WIDTH]);

#[inline(always)]
fn each<A: Copy, B: Default + Copy>(x: [A; WIDTH], f: impl Fn(A) -> B) -> [B; WIDTH] {
    let mut out = [B::default(); WIDTH];
    for i in 0..WIDTH {
        out[i] = f(x[i]);
    }
    out
}

#[inline(always)]
fn both<A: Copy, B: Default + Copy>(x: [A; WIDTH], y: [A; WIDTH], f: impl Fn(A, A) -> B) -> [B; WIDTH] {
    let mut out = [B::default(); WIDTH];
    for i in 0..WIDTH {
        out[i] = f(x[i], y[i]);
    }
    out
}

/// `sum + low(w) low(x) + high(w) high(x)`.
#[inline(always)]
fn dot(sum: i32, w: i32, x: i32) -> i32 {
    let products = [i32::from(w as i16) * i32::from(x as i16), (w >> 16).wrapping_mul(x >> 16)];
    sum.wrapping_add(products[0]).wrapping_add(products[1])
}

impl Simd for Portable {
    type Floats = Singles;
    type Integers = [i32; WIDTH];
    const REGISTERS: usize = 16;
    const FAST_LOOKUP: bool = false;

    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }
    #[inline(always)]
    fn half(x: f16) -> f32 {
        x.load()
    }
    #[inline(always)]
    fn load_f16(x: &[f16; WIDTH]) -> Singles {
        Singles(each(*x, |v| v.load()))
    }
    #[inline(always)]
    fn load_bf16(x: &[bf16; WIDTH]) -> Singles {
        Singles(each(*x, |v| v.load()))
    }
    #[inline(always)]
    fn integers(x: i32) -> [i32; WIDTH] {
        [x; WIDTH]
    }
    #[inline(always)]
    fn load_bytes(x: &[u8; WIDTH]) -> [i32; WIDTH] {
        each(*x, i32::from)
    }
    #[inline(always)]
    fn load_signed(x: &[i8; WIDTH]) -> [i32; WIDTH] {
        each(*x, i32::from)
    }
    #[inline(always)]
    fn load_integers(x: &[i32; WIDTH]) -> [i32; WIDTH] {
        *x
    }
    #[inline(always)]
    fn and(a: [i32; WIDTH], b: [i32; WIDTH]) -> [i32; WIDTH] {
        both(a, b, |a, b| a & b)
    }
    #[inline(always)]
    fn or(a: [i32; WIDTH], b: [i32; WIDTH]) -> [i32; WIDTH] {
        both(a, b, |a, b| a | b)
    }
    #[inline(always)]
    fn shift_left<const N: u32>(a: [i32; WIDTH]) -> [i32; WIDTH] {
        each(a, |a| a << N)
    }
    #[inline(always)]
    fn shift_right<const N: u32>(a: [i32; WIDTH]) -> [i32; WIDTH] {
        each(a, |a| (a as u32 >> N) as i32)
    }
    #[inline(always)]
    fn shift_left_each(a: [i32; WIDTH], by: [i32; WIDTH]) -> [i32; WIDTH] {
        both(a, by, |a, by| a << (by & 31))
    }
    #[inline(always)]
    fn shift_right_each(a: [i32; WIDTH], by: [i32; WIDTH]) -> [i32; WIDTH] {
        both(a, by, |a, by| (a as u32 >> (by & 31)) as i32)
    }
    #[inline(always)]
    fn mark_greater(marks: [i32; WIDTH], mark: [i32; WIDTH], a: Singles, b: Singles) -> [i32; WIDTH] {
        let greater = both(a.0, b.0, |a, b| if a > b { -1 } else { 0 });
        both(marks, both(greater, mark, |g, m| g & m), |marks, m| marks | m)
    }
    #[inline(always)]
    fn select_greater(a: Singles, b: Singles, yes: Singles, no: Singles) -> Singles {
        let mut out = no.0;
        for i in 0..WIDTH {
            out[i] = if a.0[i] > b.0[i] { yes.0[i] } else { no.0[i] };
        }
        Singles(out)
    }
    #[inline(always)]
    fn gather<const N: usize>(table: &[f32; N], index: [i32; WIDTH]) -> Singles {
        const { assert!(N.is_power_of_two()) };
        Singles(each(index, |i| table[i as usize & (N - 1)]))
    }
    #[inline(always)]
    fn to_floats(x: [i32; WIDTH]) -> Singles {
        Singles(each(x, |v| v as f32))
    }
    #[inline(always)]
    fn to_integers(x: Singles) -> [i32; WIDTH] {
        each(x.0, |v| v.round_ties_even() as i32)
    }
    #[inline(always)]
    fn lookup(table: Singles, index: [i32; WIDTH]) -> Singles {
        Singles(each(index, |i| table.0[(i & 15) as usize]))
    }
    #[inline(always)]
    fn add_integers(a: [i32; WIDTH], b: [i32; WIDTH]) -> [i32; WIDTH] {
        both(a, b, i32::wrapping_add)
    }
    #[inline(always)]
    fn mul_integers(a: [i32; WIDTH], b: [i32; WIDTH]) -> [i32; WIDTH] {
        both(a, b, i32::wrapping_mul)
    }
    #[inline(always)]
    fn store_integers(x: [i32; WIDTH], to: &mut [i32; WIDTH]) {
        *to = x;
    }
    #[inline(always)]
    fn dot_pairs(sum: [i32; WIDTH], w: &[i32; WIDTH], x: i32) -> [i32; WIDTH] {
        std::array::from_fn(|i| dot(sum[i], w[i], x))
    }
    #[inline(always)]
    fn dot_vectors(sum: [i32; WIDTH], w: &[i32; WIDTH], x: &[i32; WIDTH]) -> [i32; WIDTH] {
        std::array::from_fn(|i| dot(sum[i], w[i], x[i]))
    }
}

impl Lanes<f32> for Singles {
    #[inline(always)]
    fn splat(x: f32) -> Self {
        Singles([x; WIDTH])
    }
    #[inline(always)]
    fn load(x: &[f32; WIDTH]) -> Self {
        Singles(*x)
    }
    #[inline(always)]
    fn load_stored<S: Element>(x: &[S; WIDTH]) -> Self {
        S::load_lanes::<Portable>(x)
    }
    #[inline(always)]
    fn store(self, to: &mut [f32; WIDTH]) {
        *to = self.0;
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Singles(both(self.0, other.0, |a, b| a + b))
    }
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Singles(both(self.0, other.0, |a, b| a - b))
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Singles(both(self.0, other.0, |a, b| a * b))
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
        Singles(both(self.0, other.0, |a, b| if a > b { a } else { b }))
    }
    #[inline(always)]
    fn exp(self) -> Self {
        Singles(each(self.0, exp_single))
    }
    #[inline(always)]
    fn sum(self) -> f32 {
        super::wide::sum(self.0)
    }
    #[inline(always)]
    fn largest(self) -> f32 {
        super::wide::largest(self.0)
    }
}
