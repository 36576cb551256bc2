//! Blocks of 256 weights in groups with scales of their own: Q4_K, Q5_K, Q6_K.

use bytemuck::{Pod, Zeroable};

use half::f16;

use super::layout::{Affine, Block, FourBits, GROUP, affine, each, halves, integers_of, shifted};
use crate::simd::{Lanes, Simd};

/// Eight groups of 32; group `g` lies in the low (`g` even) or high (`g` odd) nibbles of bytes
/// `32 * (g / 2) ..`.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Q4K {
    pub(super) scale: [u8; 2],
    pub(super) offset: [u8; 2],
    pub(super) packed: [u8; 12],
    pub(super) nibbles: [u8; 128],
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
    pub(super) nibbles: [u8; 128],
    pub(super) high: [u8; 64],
    pub(super) scales: [i8; 16],
    pub(super) scale: [u8; 2],
}

/// The six-bit scales, then offsets, of eight groups: byte `g < 4` of `packed` holds scale `g` and byte `4 + g`
/// offset `g`, each with the two upper bits of that of group `g + 4` above it; byte `8 + g` holds the four lower bits
/// of scale `g + 4` and, above them, of offset `g + 4`. Four bytes at a time.
#[inline(always)]
fn six_bits(packed: &[u8; 12]) -> [u8; 16] {
    const SIX: u32 = 0x3F3F_3F3F;
    const FOUR: u32 = 0x0F0F_0F0F;
    const TWO: u32 = 0x0303_0303;
    let word = |at: usize| u32::from_le_bytes([packed[at], packed[at + 1], packed[at + 2], packed[at + 3]]);
    let (low, middle, last) = (word(0), word(4), word(8));
    let words = [
        low & SIX,
        (last & FOUR) | ((low >> 6 & TWO) << 4),
        middle & SIX,
        (last >> 4 & FOUR) | ((middle >> 6 & TWO) << 4),
    ];
    let mut bytes = [0; 16];
    for i in 0..4 {
        bytes[4 * i..4 * i + 4].copy_from_slice(&words[i].to_le_bytes());
    }
    bytes
}

/// Scales, then offsets, of the eight groups of a [`Q4K`] or [`Q5K`] block: six-bit integers, times the block's own.
#[derive(Clone, Copy)]
pub(super) struct GroupScales([f32; 16]);

impl GroupScales {
    /// Unpacks the six-bit numbers and multiplies them.
    #[inline(always)]
    fn unpack<V: Simd>(scale: [u8; 2], offset: [u8; 2], packed: &[u8; 12]) -> GroupScales {
        let (scale, offset) = (V::half(f16::from_le_bytes(scale)), -V::half(f16::from_le_bytes(offset)));
        let mut by = [scale; 16];
        by[8..].fill(offset);
        let mut out = [0.0; 16];
        V::to_floats(V::load_bytes(&six_bits(packed))).mul(V::Floats::load(&by)).store(&mut out);
        GroupScales(out)
    }

    #[inline(always)]
    fn of(&self, g: usize) -> Affine {
        Affine { scale: self.0[g], offset: self.0[8 + g] }
    }
}

impl Q4K {
    /// The six-bit scales, then offsets, of the groups.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(super) fn six_bits(&self) -> [u8; 16] {
        six_bits(&self.packed)
    }

    #[inline(always)]
    fn nibbles(&self, g: usize) -> &[u8; GROUP] {
        self.nibbles[GROUP * (g / 2)..][..GROUP].try_into().expect("32 bytes")
    }

    #[inline(always)]
    fn quants(&self, g: usize) -> [u8; GROUP] {
        each(*self.nibbles(g), |b| (b >> (4 * (g % 2))) & 15)
    }
}

impl Q4K {
    #[inline(always)]
    fn quant_vectors<V: Simd>(&self, g: usize) -> [V::Integers; 2] {
        let ([low, high], shift) = (integers_of::<V>(self.nibbles(g)), 4 * (g % 2));
        let four_bits = V::integers(15);
        [V::and(shifted::<V>(low, shift), four_bits), V::and(shifted::<V>(high, shift), four_bits)]
    }
}

impl Block for Q4K {
    const GROUPS: usize = 8;
    const OFFSETS: bool = true;
    type Scales = GroupScales;

    #[inline(always)]
    fn scales<V: Simd>(&self) -> GroupScales {
        GroupScales::unpack::<V>(self.scale, self.offset, &self.packed)
    }

    #[inline(always)]
    fn group(&self, scales: &GroupScales, g: usize) -> [f32; GROUP] {
        affine(self.quants(g), scales.of(g))
    }

    #[inline(always)]
    fn vectors<V: Simd>(&self, scales: &GroupScales, g: usize) -> [V::Floats; 2] {
        let (four_bits, [low, high]) = (FourBits::<V>::new(scales.of(g)), halves(self.nibbles(g)));
        let shift = 4 * (g % 2);
        [
            four_bits.weights(shifted::<V>(V::load_bytes(low), shift)),
            four_bits.weights(shifted::<V>(V::load_bytes(high), shift)),
        ]
    }

    #[inline(always)]
    fn integers<V: Simd>(&self, scales: &GroupScales, g: usize) -> ([V::Integers; 2], Affine) {
        (self.quant_vectors::<V>(g), scales.of(g))
    }
}

impl Q5K {
    #[inline(always)]
    fn nibbles(&self, g: usize) -> &[u8; GROUP] {
        self.nibbles[GROUP * (g / 2)..][..GROUP].try_into().expect("32 bytes")
    }

    #[inline(always)]
    fn quants(&self, g: usize) -> [u8; GROUP] {
        let (nibbles, mut out) = (self.nibbles(g), [0; GROUP]);
        for i in 0..GROUP {
            out[i] = ((nibbles[i] >> (4 * (g % 2))) & 15) | (((self.high[i] >> g) & 1) << 4);
        }
        out
    }
}

impl Q5K {
    #[inline(always)]
    fn quant_vectors<V: Simd>(&self, g: usize) -> [V::Integers; 2] {
        let (nibbles, high) = (integers_of::<V>(self.nibbles(g)), integers_of::<V>(&self.high));
        let mut out = [V::integers(0); 2];
        for i in 0..2 {
            let low = V::and(shifted::<V>(nibbles[i], 4 * (g % 2)), V::integers(15));
            let fifth = V::and(shifted::<V>(high[i], g), V::integers(1));
            out[i] = V::or(low, V::shift_left::<4>(fifth));
        }
        out
    }
}

impl Block for Q5K {
    const GROUPS: usize = 8;
    const OFFSETS: bool = true;
    type Scales = GroupScales;

    #[inline(always)]
    fn scales<V: Simd>(&self) -> GroupScales {
        GroupScales::unpack::<V>(self.scale, self.offset, &self.packed)
    }

    #[inline(always)]
    fn group(&self, scales: &GroupScales, g: usize) -> [f32; GROUP] {
        affine(self.quants(g), scales.of(g))
    }

    #[inline(always)]
    fn vectors<V: Simd>(&self, scales: &GroupScales, g: usize) -> [V::Floats; 2] {
        let (by, [low, high]) = (scales.of(g), self.quant_vectors::<V>(g));
        let (scale, offset) = (V::Floats::splat(by.scale), V::Floats::splat(by.offset));
        [V::to_floats(low).mul_add(scale, offset), V::to_floats(high).mul_add(scale, offset)]
    }

    #[inline(always)]
    fn integers<V: Simd>(&self, scales: &GroupScales, g: usize) -> ([V::Integers; 2], Affine) {
        (self.quant_vectors::<V>(g), scales.of(g))
    }
}

/// The scales of a [`Q6K`] block, one for every 16 weights: the block's own, the integers, and their products.
#[derive(Clone, Copy)]
pub(super) struct HalfGroupScales {
    block: f32,
    integers: [i8; 16],
    products: [f32; 16],
}

impl Q6K {
    #[inline(always)]
    fn nibbles(&self, g: usize) -> &[u8; GROUP] {
        self.nibbles[64 * (g / 4) + GROUP * (g % 2)..][..GROUP].try_into().expect("32 bytes")
    }

    #[inline(always)]
    fn high(&self, g: usize) -> &[u8; GROUP] {
        self.high[GROUP * (g / 4)..][..GROUP].try_into().expect("32 bytes")
    }

    #[inline(always)]
    fn quants(&self, g: usize) -> [u8; GROUP] {
        let (j, nibbles, high, mut out) = (g % 4, self.nibbles(g), self.high(g), [0; GROUP]);
        for i in 0..GROUP {
            out[i] = ((nibbles[i] >> (4 * (j / 2))) & 15) | (((high[i] >> (2 * j)) & 3) << 4);
        }
        out
    }
}

impl Q6K {
    #[inline(always)]
    fn quant_vectors<V: Simd>(&self, g: usize) -> [V::Integers; 2] {
        let (nibbles, high) = (integers_of::<V>(self.nibbles(g)), integers_of::<V>(self.high(g)));
        let mut out = [V::integers(0); 2];
        for i in 0..2 {
            let low = V::and(shifted::<V>(nibbles[i], 4 * (g % 4 / 2)), V::integers(15));
            let upper = V::and(shifted::<V>(high[i], 2 * (g % 4)), V::integers(3));
            out[i] = V::or(low, V::shift_left::<4>(upper));
        }
        out
    }
}

impl Block for Q6K {
    const GROUPS: usize = 8;
    const OFFSETS: bool = false;
    const LARGE_INTEGERS: bool = true;
    type Scales = HalfGroupScales;

    #[inline(always)]
    fn scales<V: Simd>(&self) -> HalfGroupScales {
        let (block, mut products) = (V::half(f16::from_le_bytes(self.scale)), [0.0; 16]);
        V::to_floats(V::load_signed(&self.scales)).mul(V::Floats::splat(block)).store(&mut products);
        HalfGroupScales { block, integers: self.scales, products }
    }

    #[inline(always)]
    fn group(&self, by: &HalfGroupScales, g: usize) -> [f32; GROUP] {
        let (q, mut out) = (self.quants(g), [0.0; GROUP]);
        for i in 0..GROUP {
            out[i] = (i32::from(q[i]) - 32) as f32 * by.products[2 * g + i / 16];
        }
        out
    }

    #[inline(always)]
    fn vectors<V: Simd>(&self, by: &HalfGroupScales, g: usize) -> [V::Floats; 2] {
        let (q, mut out) = (self.quant_vectors::<V>(g), [V::Floats::splat(0.0); 2]);
        for i in 0..2 {
            let scale = by.products[2 * g + i];
            out[i] = V::to_floats(q[i]).mul_add(V::Floats::splat(scale), V::Floats::splat(-32.0 * scale));
        }
        out
    }

    #[inline(always)]
    fn integers<V: Simd>(&self, by: &HalfGroupScales, g: usize) -> ([V::Integers; 2], Affine) {
        let (q, mut out) = (self.quant_vectors::<V>(g), [V::integers(0); 2]);
        for i in 0..2 {
            let scale = V::integers(i32::from(by.integers[2 * g + i]));
            out[i] = V::mul_integers(V::add_integers(q[i], V::integers(-32)), scale);
        }
        (out, Affine { scale: by.block, offset: 0.0 })
    }
}
