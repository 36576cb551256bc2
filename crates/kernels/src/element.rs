//! Types that a cache may store numbers in.

use half::{bf16, f16};

use crate::number::Number;
use crate::simd::{Lanes, Simd, WIDTH};

/// A storage type: plain bits, converted on the way in and out.
pub trait Element: bytemuck::Pod + Default + std::fmt::Debug + Send + Sync {
    /// The type's name as users write it.
    const NAME: &'static str;
    /// Reads a stored number.
    fn load<T: Number>(self) -> T;
    /// Reads sixteen stored numbers.
    fn load_lanes<V: Simd>(x: &[Self; WIDTH]) -> V::Floats;
    /// Rounds to the nearest storable number, ties to even.
    fn store<T: Number>(x: T) -> Self;
}

impl Element for f32 {
    const NAME: &'static str = "f32";
    #[inline(always)]
    fn load<T: Number>(self) -> T {
        T::from_single(self)
    }
    #[inline(always)]
    fn load_lanes<V: Simd>(x: &[f32; WIDTH]) -> V::Floats {
        V::Floats::load(x)
    }
    #[inline(always)]
    fn store<T: Number>(x: T) -> f32 {
        x.to_single()
    }
}

impl Element for f64 {
    const NAME: &'static str = "f64";
    #[inline(always)]
    fn load<T: Number>(self) -> T {
        T::of(self)
    }
    #[inline(always)]
    fn load_lanes<V: Simd>(x: &[f64; WIDTH]) -> V::Floats {
        V::Floats::load(&x.map(|v| v as f32))
    }
    #[inline(always)]
    fn store<T: Number>(x: T) -> f64 {
        x.wide()
    }
}

impl Element for bf16 {
    const NAME: &'static str = "bf16";
    #[inline(always)]
    fn load<T: Number>(self) -> T {
        T::from_single(f32::from_bits(u32::from(self.to_bits()) << 16))
    }
    #[inline(always)]
    fn load_lanes<V: Simd>(x: &[bf16; WIDTH]) -> V::Floats {
        V::load_bf16(x)
    }
    #[inline(always)]
    fn store<T: Number>(x: T) -> bf16 {
        let single = x.to_single();
        let bits = single.to_bits();
        let rounded = bits.wrapping_add(0x7FFF + ((bits >> 16) & 1)) >> 16;
        let quiet = (bits >> 16) | 0x40; // a NaN must not round into an infinity
        bf16::from_bits(if single.is_nan() { quiet } else { rounded } as u16)
    }
}

impl Element for f16 {
    const NAME: &'static str = "f16";
    #[inline(always)]
    fn load<T: Number>(self) -> T {
        // Shift exponent and mantissa into place and correct the exponent's bias by a product, which also
        // normalises subnormal numbers; no branches, so that it vectorises.
        let bits = u32::from(self.to_bits());
        let magnitude = f32::from_bits((bits & 0x7FFF) << 13) * f32::from_bits((254 - 15) << 23);
        let special = if magnitude >= 65_536.0 { 0x7F80_0000 } else { 0 };
        T::from_single(f32::from_bits(magnitude.to_bits() | special | ((bits & 0x8000) << 16)))
    }
    #[inline(always)]
    fn load_lanes<V: Simd>(x: &[f16; WIDTH]) -> V::Floats {
        V::load_f16(x)
    }
    #[inline(always)]
    fn store<T: Number>(x: T) -> f16 {
        f16::from_f32(x.to_single())
    }
}

/// Converts a run of stored numbers.
#[inline(always)]
pub fn load_all<T: Number, S: Element>(from: &[S], to: &mut [T]) {
    for (t, f) in to.iter_mut().zip(from) {
        *t = f.load();
    }
}

/// Rounds a run of numbers into storage.
#[inline(always)]
pub fn store_all<T: Number, S: Element>(from: &[T], to: &mut [S]) {
    for (t, &f) in to.iter_mut().zip(from) {
        *t = S::store(f);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_types_load_as_the_half_crate_says() {
        for bits in 0..=u16::MAX {
            let (b, h) = (bf16::from_bits(bits), f16::from_bits(bits));
            let (mine, theirs): (f32, f32) = (b.load(), b.to_f32());
            assert!(mine == theirs || mine.is_nan() && theirs.is_nan(), "bf16 {bits:#x}");
            let (mine, theirs): (f32, f32) = (h.load(), h.to_f32());
            assert!(mine.to_bits() == theirs.to_bits() || mine.is_nan() && theirs.is_nan(), "f16 {bits:#x}");
        }
    }

    #[test]
    fn brain_floats_round_as_the_half_crate_does() {
        for i in 0..2_000_000u32 {
            let x = f32::from_bits(i.wrapping_mul(2_654_435_761));
            let (mine, theirs) = (<bf16 as Element>::store(x), bf16::from_f32(x));
            assert!(mine == theirs || mine.is_nan() && theirs.is_nan(), "{x:e}");
        }
    }
}
