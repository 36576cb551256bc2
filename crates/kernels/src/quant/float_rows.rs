//! Rows of plain floats: F32, F16, BF16.

use half::{bf16, f16};

use super::layout::Element;
use crate::simd::{Lanes, Simd, WIDTH};

/// A little-endian 32-bit float.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(transparent)]
pub(super) struct F32([u8; 4]);

/// A little-endian 16-bit float.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(transparent)]
pub(super) struct F16([u8; 2]);

/// The upper half of a little-endian 32-bit float.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(transparent)]
pub(super) struct BF16([u8; 2]);

impl Element for F32 {
    #[inline(always)]
    fn value(self) -> f32 {
        f32::from_le_bytes(self.0)
    }

    #[inline(always)]
    fn vector<V: Simd>(x: &[F32; WIDTH]) -> V::Floats {
        V::Floats::load(&values(x))
    }
}

impl Element for F16 {
    #[inline(always)]
    fn value(self) -> f32 {
        crate::element::Element::load(f16::from_le_bytes(self.0))
    }

    #[inline(always)]
    fn vector<V: Simd>(x: &[F16; WIDTH]) -> V::Floats {
        let mut all = [f16::ZERO; WIDTH];
        for i in 0..WIDTH {
            all[i] = f16::from_le_bytes(x[i].0);
        }
        V::load_f16(&all)
    }
}

impl Element for BF16 {
    #[inline(always)]
    fn value(self) -> f32 {
        crate::element::Element::load(bf16::from_le_bytes(self.0))
    }

    #[inline(always)]
    fn vector<V: Simd>(x: &[BF16; WIDTH]) -> V::Floats {
        let mut all = [bf16::ZERO; WIDTH];
        for i in 0..WIDTH {
            all[i] = bf16::from_le_bytes(x[i].0);
        }
        V::load_bf16(&all)
    }
}

#[inline(always)]
fn values<E: Element>(x: &[E; WIDTH]) -> [f32; WIDTH] {
    let mut out = [0.0; WIDTH];
    for i in 0..WIDTH {
        out[i] = x[i].value();
    }
    out
}
