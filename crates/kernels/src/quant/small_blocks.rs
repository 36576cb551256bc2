//! Blocks of 32 weights: Q8_0, Q4_0, Q4_1, Q5_0, Q5_1.
//!
//! `nibbles[i]` holds the four low bits of weight `i` below those of weight `i + 16`; bit `i` of
//! `high` is the fifth bit of weight `i`.

use bytemuck::{Pod, Zeroable};

use half::f16;

use super::layout::{
    Affine, Block, FourBits, GROUP, affine, affine_vectors, byte_rows, each, halves, halves_of_rows, integers_of,
    nibble_rows,
};
use crate::simd::{Lanes, Simd, WIDTH};

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Q8_0 {
    scale: [u8; 2],
    weights: [i8; 32],
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Q4_0 {
    scale: [u8; 2],
    nibbles: [u8; 16],
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Q4_1 {
    scale: [u8; 2],
    offset: [u8; 2],
    nibbles: [u8; 16],
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Q5_0 {
    scale: [u8; 2],
    high: [u8; 4],
    nibbles: [u8; 16],
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Q5_1 {
    scale: [u8; 2],
    offset: [u8; 2],
    high: [u8; 4],
    nibbles: [u8; 16],
}

/// The 32 four-bit numbers of a block.
#[inline(always)]
fn split(nibbles: &[u8; 16]) -> [u8; GROUP] {
    let mut out = [0; GROUP];
    for i in 0..16 {
        out[i] = nibbles[i] & 15;
        out[i + 16] = nibbles[i] >> 4;
    }
    out
}

/// The 32 five-bit numbers of a block.
#[inline(always)]
fn split_with_high(nibbles: &[u8; 16], high: [u8; 4]) -> [u8; GROUP] {
    let mut out = split(nibbles);
    for i in 0..GROUP {
        // each byte of `high` serves eight weights: testing a bit needs no shift by a variable
        let bit = high[i / 8] & (1 << (i % 8));
        out[i] |= if bit != 0 { 16 } else { 0 };
    }
    out
}

/// `scale * (q - middle)`
#[inline(always)]
fn centred(q: [u8; GROUP], middle: i32, scale: f32) -> [f32; GROUP] {
    each(q, |q| (i32::from(q) - middle) as f32 * scale)
}

/// A scale that lies in a file.
#[inline(always)]
fn half<V: Simd>(bytes: [u8; 2]) -> f32 {
    V::half(f16::from_le_bytes(bytes))
}

/// The weights of sixteen bytes of nibbles.
#[inline(always)]
fn nibble_vectors<V: Simd>(nibbles: &[u8; 16], by: Affine) -> [V::Floats; 2] {
    let (four_bits, low) = (FourBits::<V>::new(by), V::load_bytes(nibbles));
    [four_bits.weights(low), four_bits.weights(V::shift_right::<4>(low))]
}

/// The integers of sixteen bytes of nibbles.
#[inline(always)]
fn nibble_integers<V: Simd>(nibbles: &[u8; 16]) -> [V::Integers; 2] {
    let all = V::load_bytes(nibbles);
    [V::and(all, V::integers(15)), V::shift_right::<4>(all)]
}

impl Block for Q8_0 {
    const GROUPS: usize = 1;
    const OFFSETS: bool = false;
    const ROWS: bool = true;
    type Scales = f32;

    #[inline(always)]
    fn scales<V: Simd>(&self) -> f32 {
        half::<V>(self.scale)
    }

    #[inline(always)]
    fn group(&self, scale: &f32, _: usize) -> [f32; GROUP] {
        each(self.weights, |w| f32::from(w) * scale)
    }

    #[inline(always)]
    fn vectors<V: Simd>(&self, scale: &f32, _: usize) -> [V::Floats; 2] {
        let ([low, high], scale) = (halves(&self.weights), V::Floats::splat(*scale));
        [V::to_floats(V::load_signed(low)).mul(scale), V::to_floats(V::load_signed(high)).mul(scale)]
    }

    #[inline(always)]
    fn integers<V: Simd>(&self, &scale: &f32, _: usize) -> ([V::Integers; 2], Affine) {
        let [low, high] = halves(&self.weights);
        ([V::load_signed(low), V::load_signed(high)], Affine { scale, offset: 0.0 })
    }

    #[inline(always)]
    fn rows<V: Simd>(blocks: [&Self; WIDTH], put: impl FnMut(usize, V::Integers)) -> [V::Floats; 2] {
        let bytes = |i: usize| halves(bytemuck::cast_ref::<[i8; GROUP], [u8; GROUP]>(&blocks[i].weights));
        byte_rows::<V>(std::array::from_fn(|i| bytes(i)[0]), std::array::from_fn(|i| bytes(i)[1]), put);
        let scales = halves_of_rows::<V>(std::array::from_fn(|i| blocks[i].scale), [[0; 2]; WIDTH]);
        [V::half_floats(scales), V::Floats::splat(0.0)]
    }
}

impl Block for Q4_0 {
    const GROUPS: usize = 1;
    const OFFSETS: bool = true;
    const ROWS: bool = true;
    type Scales = f32;

    #[inline(always)]
    fn scales<V: Simd>(&self) -> f32 {
        half::<V>(self.scale)
    }

    #[inline(always)]
    fn group(&self, scale: &f32, _: usize) -> [f32; GROUP] {
        centred(split(&self.nibbles), 8, *scale)
    }

    #[inline(always)]
    fn vectors<V: Simd>(&self, &scale: &f32, _: usize) -> [V::Floats; 2] {
        nibble_vectors::<V>(&self.nibbles, Affine { scale, offset: -8.0 * scale })
    }

    #[inline(always)]
    fn integers<V: Simd>(&self, &scale: &f32, _: usize) -> ([V::Integers; 2], Affine) {
        (nibble_integers::<V>(&self.nibbles), Affine { scale, offset: -8.0 * scale })
    }

    #[inline(always)]
    fn rows<V: Simd>(blocks: [&Self; WIDTH], put: impl FnMut(usize, V::Integers)) -> [V::Floats; 2] {
        nibble_rows::<V>(std::array::from_fn(|i| &blocks[i].nibbles), put);
        let scales = halves_of_rows::<V>(std::array::from_fn(|i| blocks[i].scale), [[0; 2]; WIDTH]);
        let scales = V::half_floats(scales);
        [scales, scales.mul(V::Floats::splat(-8.0))]
    }
}

impl Block for Q4_1 {
    const GROUPS: usize = 1;
    const OFFSETS: bool = true;
    const ROWS: bool = true;
    type Scales = Affine;

    #[inline(always)]
    fn scales<V: Simd>(&self) -> Affine {
        Affine { scale: half::<V>(self.scale), offset: half::<V>(self.offset) }
    }

    #[inline(always)]
    fn group(&self, by: &Affine, _: usize) -> [f32; GROUP] {
        affine(split(&self.nibbles), *by)
    }

    #[inline(always)]
    fn vectors<V: Simd>(&self, by: &Affine, _: usize) -> [V::Floats; 2] {
        nibble_vectors::<V>(&self.nibbles, *by)
    }

    #[inline(always)]
    fn integers<V: Simd>(&self, by: &Affine, _: usize) -> ([V::Integers; 2], Affine) {
        (nibble_integers::<V>(&self.nibbles), *by)
    }

    #[inline(always)]
    fn rows<V: Simd>(blocks: [&Self; WIDTH], put: impl FnMut(usize, V::Integers)) -> [V::Floats; 2] {
        nibble_rows::<V>(std::array::from_fn(|i| &blocks[i].nibbles), put);
        let both =
            halves_of_rows::<V>(std::array::from_fn(|i| blocks[i].scale), std::array::from_fn(|i| blocks[i].offset));
        [V::half_floats(both), V::half_floats(V::shift_right::<16>(both))]
    }
}

impl Block for Q5_0 {
    const GROUPS: usize = 1;
    const OFFSETS: bool = true;
    type Scales = f32;

    #[inline(always)]
    fn scales<V: Simd>(&self) -> f32 {
        half::<V>(self.scale)
    }

    #[inline(always)]
    fn group(&self, scale: &f32, _: usize) -> [f32; GROUP] {
        centred(split_with_high(&self.nibbles, self.high), 16, *scale)
    }

    #[inline(always)]
    fn vectors<V: Simd>(&self, &scale: &f32, _: usize) -> [V::Floats; 2] {
        affine_vectors::<V>(&split_with_high(&self.nibbles, self.high), Affine { scale, offset: -16.0 * scale })
    }

    #[inline(always)]
    fn integers<V: Simd>(&self, &scale: &f32, _: usize) -> ([V::Integers; 2], Affine) {
        let q = split_with_high(&self.nibbles, self.high);
        (integers_of::<V>(&q), Affine { scale, offset: -16.0 * scale })
    }
}

impl Block for Q5_1 {
    const GROUPS: usize = 1;
    const OFFSETS: bool = true;
    type Scales = Affine;

    #[inline(always)]
    fn scales<V: Simd>(&self) -> Affine {
        Affine { scale: half::<V>(self.scale), offset: half::<V>(self.offset) }
    }

    #[inline(always)]
    fn group(&self, by: &Affine, _: usize) -> [f32; GROUP] {
        affine(split_with_high(&self.nibbles, self.high), *by)
    }

    #[inline(always)]
    fn vectors<V: Simd>(&self, by: &Affine, _: usize) -> [V::Floats; 2] {
        affine_vectors::<V>(&split_with_high(&self.nibbles, self.high), *by)
    }

    #[inline(always)]
    fn integers<V: Simd>(&self, by: &Affine, _: usize) -> ([V::Integers; 2], Affine) {
        (integers_of::<V>(&split_with_high(&self.nibbles, self.high)), *by)
    }
}
