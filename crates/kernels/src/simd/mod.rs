//! Sixteen numbers at a time: the few vector operations that kernels are written in.
//!
//! A kernel is written once, over [`Simd`]; each instruction set gives it registers. `Portable` is plain loops over
//! arrays, and the meaning of every operation. Sums of a vector are taken in the same order on all, so instruction
//! sets differ by fused products alone.
//!
//! All methods are `#[inline(always)]`, and so must their callers in loops be: only then is the whole kernel compiled
//! for the instruction set of the [`Isa`](crate::isa::Isa) that runs it.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod cache_line;

mod portable;
#[cfg(target_arch = "x86_64")]
mod transposed;
mod wide;

use half::{bf16, f16};

use crate::element::Element;

#[cfg(target_arch = "x86_64")]
pub use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub use avx512::{Avx512, Avx512Vnni};
pub(crate) use cache_line::Aligned;
pub use cache_line::CacheLine;
pub use portable::Portable;
pub use wide::Doubles;

/// Numbers in a vector.
pub const WIDTH: usize = 16;

/// An instruction set: its vectors, and what it can do besides arithmetic on them.
pub trait Simd: Copy + 'static {
    /// Sixteen `f32`.
    type Floats: Lanes<f32>;
    /// Sixteen `i32`.
    type Integers: Copy;

    /// Registers that hold vectors, whatever their length.
    const REGISTERS: usize;
    /// Whether [`Simd::lookup`] is faster than a conversion and a product.
    const FAST_LOOKUP: bool;

    /// `a * b + c` of single numbers, rounded once where products are fused, else twice.
    fn mul_add(a: f32, b: f32, c: f32) -> f32;
    /// The value of a half float.
    fn half(x: f16) -> f32;
    /// Sixteen half floats.
    fn load_f16(x: &[f16; WIDTH]) -> Self::Floats;
    /// Sixteen brain floats.
    fn load_bf16(x: &[bf16; WIDTH]) -> Self::Floats;

    /// Asks for the cache line that begins `ahead` bytes after `at`, wherever that is, before it is needed.
    #[inline(always)]
    fn prefetch<T>(at: &[T], ahead: usize) {
        let _ = (at, ahead);
    }

    /// The same integer sixteen times.
    fn integers(x: i32) -> Self::Integers;
    /// Sixteen bytes, zero to 255.
    fn load_bytes(x: &[u8; WIDTH]) -> Self::Integers;
    /// Sixteen signed bytes.
    fn load_signed(x: &[i8; WIDTH]) -> Self::Integers;
    /// Reads sixteen integers.
    fn load_integers(x: &[i32; WIDTH]) -> Self::Integers;
    /// Bitwise and.
    fn and(a: Self::Integers, b: Self::Integers) -> Self::Integers;
    /// Bitwise or.
    fn or(a: Self::Integers, b: Self::Integers) -> Self::Integers;
    /// Shifts by `N` bits to the left.
    fn shift_left<const N: u32>(a: Self::Integers) -> Self::Integers;
    /// Shifts by `N` bits to the right, zeros coming in.
    fn shift_right<const N: u32>(a: Self::Integers) -> Self::Integers;
    /// Shifts each to the left by bits of its own, 0 to 31.
    fn shift_left_each(a: Self::Integers, by: Self::Integers) -> Self::Integers;
    /// Shifts each to the right by bits of its own, 0 to 31, zeros coming in.
    fn shift_right_each(a: Self::Integers, by: Self::Integers) -> Self::Integers;
    /// `marks | mark` where `a > b`, else `marks`.
    fn mark_greater(marks: Self::Integers, mark: Self::Integers, a: Self::Floats, b: Self::Floats) -> Self::Integers;
    /// `yes` where `a > b`, else `no`.
    fn select_greater(a: Self::Floats, b: Self::Floats, yes: Self::Floats, no: Self::Floats) -> Self::Floats;
    /// `table[index & (N - 1)]`; `N` is a power of two.
    fn gather<const N: usize>(table: &[f32; N], index: Self::Integers) -> Self::Floats;
    /// The integers as floats.
    fn to_floats(x: Self::Integers) -> Self::Floats;
    /// `table[index & 15]`.
    fn lookup(table: Self::Floats, index: Self::Integers) -> Self::Floats;
    /// The integers added.
    fn add_integers(a: Self::Integers, b: Self::Integers) -> Self::Integers;
    /// The lower halves of the integers' products.
    fn mul_integers(a: Self::Integers, b: Self::Integers) -> Self::Integers;
    /// Writes sixteen integers.
    fn store_integers(x: Self::Integers, to: &mut [i32; WIDTH]);
    /// Sixteen rows of sixteen integers with rows and columns exchanged.
    #[inline(always)]
    fn transpose(rows: &[[i32; WIDTH]; WIDTH]) -> [[i32; WIDTH]; WIDTH] {
        std::array::from_fn(|column| rows.map(|row| row[column]))
    }
    /// Four little-endian words of each of sixteen rows of bytes: vector `w` holds the words `w` of all rows.
    #[inline(always)]
    fn words_of_rows(rows: [&[u8; WIDTH]; WIDTH]) -> [Self::Integers; 4] {
        std::array::from_fn(|w| {
            let mut words = [0; WIDTH];
            for (word, row) in words.iter_mut().zip(rows) {
                *word = i32::from_le_bytes([row[4 * w], row[4 * w + 1], row[4 * w + 2], row[4 * w + 3]]);
            }
            Self::load_integers(&words)
        })
    }
    /// The values of the half floats in the lower 16 bits of each.
    #[inline(always)]
    fn half_floats(x: Self::Integers) -> Self::Floats {
        let mut all = [0; WIDTH];
        Self::store_integers(x, &mut all);
        Self::load_f16(&all.map(|x| f16::from_bits(x as u16)))
    }
    /// `sum[i] + low(w[i]) low(x) + high(w[i]) high(x)`, wrapping, where `low` and `high` are halves of 16 bits.
    fn dot_pairs(sum: Self::Integers, w: &[i32; WIDTH], x: i32) -> Self::Integers;
    /// The same with halves of their own for each: `sum[i] + low(w[i]) low(x[i]) + high(w[i]) high(x[i])`.
    fn dot_vectors(sum: Self::Integers, w: &[i32; WIDTH], x: &[i32; WIDTH]) -> Self::Integers;
    /// The floats to the nearest integers, ties to even; below 2^31.
    fn to_integers(x: Self::Floats) -> Self::Integers;
    /// The lower 16 bits of one as the lower halves, of the other as the upper ones.
    #[inline(always)]
    fn halves(low: Self::Integers, high: Self::Integers) -> Self::Integers {
        Self::or(Self::and(low, Self::integers(0xFFFF)), Self::shift_left::<16>(high))
    }
    /// Shifts halves of 16 bits to the left, all by the same 0 to 16 bits.
    #[inline(always)]
    fn shift_halves_left(a: Self::Integers, by: u32) -> Self::Integers {
        each_half::<Self>(a, |x| (u32::from(x) << by) as u16)
    }
    /// The same to the right, zeros coming in.
    #[inline(always)]
    fn shift_halves_right(a: Self::Integers, by: u32) -> Self::Integers {
        each_half::<Self>(a, |x| (u32::from(x) >> by) as u16)
    }
    /// The same to the right, the sign coming in.
    #[inline(always)]
    fn shift_halves_right_signed(a: Self::Integers, by: u32) -> Self::Integers {
        each_half::<Self>(a, |x| ((x as i16) >> by.min(15)) as u16)
    }
    /// `table[half & (N - 1)]` for each half of 16 bits; `N` is a power of two from 32 on.
    #[inline(always)]
    fn lookup_halves<const N: usize>(table: &[i16; N], index: Self::Integers) -> Self::Integers {
        const { assert!(N.is_power_of_two() && N >= 32) };
        each_half::<Self>(index, |i| table[usize::from(i) & (N - 1)] as u16)
    }
    /// Products of halves with those of `by`, as fractions of 2^15: `(a b + 2^14) >> 15`.
    #[inline(always)]
    fn scale_halves(a: Self::Integers, by: i32) -> Self::Integers {
        let mut all = [0; WIDTH];
        Self::store_integers(a, &mut all);
        let product = |a: i16, b: i16| ((i32::from(a) * i32::from(b) + (1 << 14)) >> 15) as u16;
        for x in &mut all {
            let (low, high) = (product(*x as i16, by as i16), product((*x >> 16) as i16, (by >> 16) as i16));
            *x = (u32::from(high) << 16 | u32::from(low)) as i32;
        }
        Self::load_integers(&all)
    }
}

/// A function of each half of 16 bits.
#[inline(always)]
fn each_half<V: Simd>(a: V::Integers, f: impl Fn(u16) -> u16) -> V::Integers {
    let mut all = [0; WIDTH];
    V::store_integers(a, &mut all);
    for x in &mut all {
        *x = (u32::from(f((*x as u32 >> 16) as u16)) << 16 | u32::from(f(*x as u16))) as i32;
    }
    V::load_integers(&all)
}

/// Sixteen numbers of type `T`.
pub trait Lanes<T>: Copy {
    /// The same number sixteen times.
    fn splat(x: T) -> Self;
    /// Reads sixteen numbers.
    fn load(x: &[T; WIDTH]) -> Self;
    /// Reads sixteen stored numbers.
    fn load_stored<S: Element>(x: &[S; WIDTH]) -> Self;
    /// Writes sixteen numbers.
    fn store(self, to: &mut [T; WIDTH]);
    /// `self + other`.
    fn add(self, other: Self) -> Self;
    /// `self - other`.
    fn sub(self, other: Self) -> Self;
    /// `self * other`.
    fn mul(self, other: Self) -> Self;
    /// `self * b + c`, fused where the instruction set does so.
    fn mul_add(self, b: Self, c: Self) -> Self;
    /// `c - self * b`, fused where the instruction set does so.
    fn neg_mul_add(self, b: Self, c: Self) -> Self;
    /// The larger of each; `other` where one is not a number.
    fn max(self, other: Self) -> Self;
    /// `exp` of each, as [`Number::exp`](crate::number::Number::exp).
    fn exp(self) -> Self;
    /// The sum, taken in halves: `i` and `i + 8`, then `i` and `i + 4`, and so on.
    fn sum(self) -> T;
    /// The sums of sixteen vectors, each as [`Lanes::sum`] takes it.
    #[inline(always)]
    fn sums(x: [Self; WIDTH]) -> Self {
        Self::load(&x.map(Self::sum))
    }
    /// The largest.
    fn largest(self) -> T;
}

/// Up to sixteen numbers, zeros after them.
#[inline(always)]
pub fn load_some<T: Copy + Default, L: Lanes<T>>(x: &[T]) -> L {
    let mut all = [T::default(); WIDTH];
    all[..x.len()].copy_from_slice(x);
    L::load(&all)
}

/// Constants of `exp` for `f32`, shared by all instruction sets; the method stands at `number::exp_single`.
pub(crate) mod exponential {
    /// Adding it to a number below 2^22 rounds that to an integer: `1.5 * 2^23`.
    pub(crate) const ROUND: f32 = 12_582_912.0;
    /// `ln 2` with its low bits cleared, so that a small integer times it is exact.
    pub(crate) const LN2_HIGH: f32 = 0.693_145_75;
    /// The rest of `ln 2`.
    pub(crate) const LN2_LOW: f32 = 1.428_606_8e-6;
    /// `1 / k!` for `k` = 7 down to 0.
    pub(crate) const TAYLOR: [f32; 8] = [1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];
    /// Below it the result is zero.
    pub(crate) const LOWEST: f32 = -87.0;
    /// Above it the result is that of this number.
    pub(crate) const HIGHEST: f32 = 88.0;
}

#[cfg(test)]
mod tests;
