//! Rows of plain floats: F32, F16, BF16.

use super::layout::{Element, half_value};

/// A little-endian 32-bit float.
pub(super) type F32 = [u8; 4];

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
        f32::from_le_bytes(self)
    }
}

impl Element for F16 {
    #[inline(always)]
    fn value(self) -> f32 {
        half_value(self.0)
    }
}

impl Element for BF16 {
    #[inline(always)]
    fn value(self) -> f32 {
        f32::from_bits(u32::from(u16::from_le_bytes(self.0)) << 16)
    }
}
