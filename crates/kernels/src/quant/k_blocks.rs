//! Blocks of 256 weights in groups with scales of their own: Q4_K, Q5_K, Q6_K.

use bytemuck::{Pod, Zeroable};

use super::layout::{Block, GROUP, half_value};
use crate::simd::Simd;

/// Eight groups of 32; group `g` lies in the low (`g` even) or high (`g` odd) nibbles of bytes
/// `32 * (g / 2) ..`.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Q4K {
    scale: [u8; 2],
    offset: [u8; 2],
    packed: [u8; 12],
    nibbles: [u8; 128],
}

/// As [`Q4K`], and bit `g` of `high[i]` is the fifth bit of weight `i` of group `g`.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Q5K {
    scale: [u8; 2],
    offset: [u8; 2],
    packed: [u8; 12],
    high: [u8; 32],
    nibbles: [u8; 128],
}

/// Two halves of four groups of 32. In a half, groups 0 and 1 lie in the low nibbles and groups 2
/// and 3 in the high nibbles of its 64 bytes; bits `2j` and `2j + 1` of a byte of `high` belong to
/// group `j`. There is one scale for every 16 weights.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Q6K {
    nibbles: [u8; 128],
    high: [u8; 64],
    scales: [i8; 16],
    scale: [u8; 2],
}

/// Scales and offsets of the eight groups of a [`Q4K`] or [`Q5K`] block.
#[derive(Clone, Copy)]
pub(super) struct GroupScales {
    scales: [f32; 8],
    offsets: [f32; 8],
}

impl GroupScales {
    /// Unpacks the six-bit numbers: byte `g < 4` of `packed` holds scale `g` and byte `4 + g`
    /// offset `g`, each with the two upper bits of that of group `g + 4` above it; byte `8 + g`
    /// holds the four lower bits of scale `g + 4` and, above them, of offset `g + 4`.
    #[inline(always)]
    fn unpack(scale: [u8; 2], offset: [u8; 2], packed: &[u8; 12]) -> GroupScales {
        let mut scales = [0u8; 8];
        let mut offsets = [0u8; 8];
        for g in 0..4 {
            let (low, middle, last) = (packed[g], packed[4 + g], packed[8 + g]);
            scales[g] = low & 63;
            offsets[g] = middle & 63;
            scales[4 + g] = (last & 15) | ((low >> 6) << 4);
            offsets[4 + g] = (last >> 4) | ((middle >> 6) << 4);
        }
        let (scale, offset) = (half_value(scale), -half_value(offset));
        let mut out = GroupScales { scales: [0.0; 8], offsets: [0.0; 8] };
        for g in 0..8 {
            out.scales[g] = scale * f32::from(scales[g]);
            out.offsets[g] = offset * f32::from(offsets[g]);
        }
        out
    }
}

impl Block for Q4K {
    const GROUPS: usize = 8;
    type Scales = GroupScales;

    #[inline(always)]
    fn scales(&self) -> GroupScales {
        GroupScales::unpack(self.scale, self.offset, &self.packed)
    }

    #[inline(always)]
    fn group<V: Simd>(&self, scales: &GroupScales, g: usize) -> [f32; GROUP] {
        let nibbles = &self.nibbles[GROUP * (g / 2)..][..GROUP];
        let shift = 4 * (g % 2);
        let (scale, offset) = (scales.scales[g], scales.offsets[g]);
        let mut out = [0.0; GROUP];
        for i in 0..GROUP {
            let q = (nibbles[i] >> shift) & 15;
            out[i] = V::mul_add(i32::from(q) as f32, scale, offset);
        }
        out
    }
}

impl Block for Q5K {
    const GROUPS: usize = 8;
    type Scales = GroupScales;

    #[inline(always)]
    fn scales(&self) -> GroupScales {
        GroupScales::unpack(self.scale, self.offset, &self.packed)
    }

    #[inline(always)]
    fn group<V: Simd>(&self, scales: &GroupScales, g: usize) -> [f32; GROUP] {
        let nibbles = &self.nibbles[GROUP * (g / 2)..][..GROUP];
        let shift = 4 * (g % 2);
        let (scale, offset) = (scales.scales[g], scales.offsets[g]);
        let mut out = [0.0; GROUP];
        for i in 0..GROUP {
            let q = ((nibbles[i] >> shift) & 15) | (((self.high[i] >> g) & 1) << 4);
            out[i] = V::mul_add(i32::from(q) as f32, scale, offset);
        }
        out
    }
}

impl Block for Q6K {
    const GROUPS: usize = 8;
    type Scales = [f32; 16];

    #[inline(always)]
    fn scales(&self) -> [f32; 16] {
        let scale = half_value(self.scale);
        let mut out = [0.0; 16];
        for i in 0..16 {
            out[i] = scale * f32::from(self.scales[i]);
        }
        out
    }

    #[inline(always)]
    fn group<V: Simd>(&self, scales: &[f32; 16], g: usize) -> [f32; GROUP] {
        let (half, j) = (g / 4, g % 4);
        let nibbles = &self.nibbles[64 * half + GROUP * (j % 2)..][..GROUP];
        let high = &self.high[GROUP * half..][..GROUP];
        let mut out = [0.0; GROUP];
        for i in 0..GROUP {
            let q = ((nibbles[i] >> (4 * (j / 2))) & 15) | (((high[i] >> (2 * j)) & 3) << 4);
            out[i] = (i32::from(q) - 32) as f32 * scales[2 * g + i / 16];
        }
        out
    }
}
