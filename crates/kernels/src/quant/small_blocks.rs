//! Blocks of 32 weights: Q8_0, Q4_0, Q4_1, Q5_0, Q5_1.
//!
//! `nibbles[i]` holds the four low bits of weight `i` below those of weight `i + 16`; bit `i` of
//! `high` is the fifth bit of weight `i`.

use bytemuck::{Pod, Zeroable};

use super::layout::{Block, GROUP, half_value};
use crate::simd::Simd;

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
    let mut out = [0.0; GROUP];
    for i in 0..GROUP {
        out[i] = (i32::from(q[i]) - middle) as f32 * scale;
    }
    out
}

/// `scale * q + offset`
#[inline(always)]
fn affine<V: Simd>(q: [u8; GROUP], scale: f32, offset: f32) -> [f32; GROUP] {
    let mut out = [0.0; GROUP];
    for i in 0..GROUP {
        out[i] = V::mul_add(i32::from(q[i]) as f32, scale, offset);
    }
    out
}

impl Block for Q8_0 {
    const GROUPS: usize = 1;
    type Scales = f32;

    #[inline(always)]
    fn scales(&self) -> f32 {
        half_value(self.scale)
    }

    #[inline(always)]
    fn group<V: Simd>(&self, scale: &f32, _: usize) -> [f32; GROUP] {
        let mut out = [0.0; GROUP];
        for i in 0..GROUP {
            out[i] = f32::from(self.weights[i]) * scale;
        }
        out
    }
}

impl Block for Q4_0 {
    const GROUPS: usize = 1;
    type Scales = f32;

    #[inline(always)]
    fn scales(&self) -> f32 {
        half_value(self.scale)
    }

    #[inline(always)]
    fn group<V: Simd>(&self, scale: &f32, _: usize) -> [f32; GROUP] {
        centred(split(&self.nibbles), 8, *scale)
    }
}

impl Block for Q4_1 {
    const GROUPS: usize = 1;
    type Scales = (f32, f32);

    #[inline(always)]
    fn scales(&self) -> (f32, f32) {
        (half_value(self.scale), half_value(self.offset))
    }

    #[inline(always)]
    fn group<V: Simd>(&self, &(scale, offset): &(f32, f32), _: usize) -> [f32; GROUP] {
        affine::<V>(split(&self.nibbles), scale, offset)
    }
}

impl Block for Q5_0 {
    const GROUPS: usize = 1;
    type Scales = f32;

    #[inline(always)]
    fn scales(&self) -> f32 {
        half_value(self.scale)
    }

    #[inline(always)]
    fn group<V: Simd>(&self, scale: &f32, _: usize) -> [f32; GROUP] {
        centred(split_with_high(&self.nibbles, self.high), 16, *scale)
    }
}

impl Block for Q5_1 {
    const GROUPS: usize = 1;
    type Scales = (f32, f32);

    #[inline(always)]
    fn scales(&self) -> (f32, f32) {
        (half_value(self.scale), half_value(self.offset))
    }

    #[inline(always)]
    fn group<V: Simd>(&self, &(scale, offset): &(f32, f32), _: usize) -> [f32; GROUP] {
        affine::<V>(split_with_high(&self.nibbles, self.high), scale, offset)
    }
}
