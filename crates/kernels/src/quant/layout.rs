//! What the dequantiser and the dot product ask of a block layout.

use bytemuck::Pod;

use crate::simd::{Lanes, Simd, WIDTH};

/// Weights in a group: the unit that all kernels work in.
pub(super) const GROUP: usize = 32;

/// How a group's weights follow from small integers: `w = scale * integer + offset`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Affine {
    pub(super) scale: f32,
    pub(super) offset: f32,
}

/// One quantised block as it lies in the file (bytes only, so it has no alignment).
pub(super) trait Block: Pod {
    /// Groups of 32 weights in a block: 1 or 8.
    const GROUPS: usize;
    /// Whether [`Affine::offset`] is ever anything but zero.
    const OFFSETS: bool;
    /// Whether [`Block::integers`] are larger than a byte.
    const LARGE_INTEGERS: bool = false;
    /// Whether [`Block::rows`] is there.
    const ROWS: bool = false;
    /// The block's scales and offsets, unpacked once a block.
    type Scales: Copy;

    /// Unpacks the scales and offsets.
    fn scales<V: Simd>(&self) -> Self::Scales;

    /// The weights of group `g < GROUPS`, never fused: the definition, the same bits on every instruction set.
    fn group(&self, scales: &Self::Scales, g: usize) -> [f32; GROUP];

    /// The same weights but for rounding, in two vectors. `g` must be known when this is compiled to be fast.
    fn vectors<V: Simd>(&self, scales: &Self::Scales, g: usize) -> [V::Floats; 2];

    /// The same weights as integers of at most 4096 either way (those of Q6_K are products of six bits with a scale of
    /// eight), the first half of the group and the second, and what turns them into weights.
    fn integers<V: Simd>(&self, scales: &Self::Scales, g: usize) -> ([V::Integers; 2], Affine);

    /// The integers of a block of each of sixteen rows, a row a lane: `put` is given pair `i` of columns, `i` and
    /// `i + 16`, as halves of 16 bits, for every `i` below 16. Returns the rows' scales and offsets. For blocks of one
    /// group; many times faster than rows one by one.
    #[inline(always)]
    fn rows<V: Simd>(blocks: [&Self; WIDTH], put: impl FnMut(usize, V::Integers)) -> [V::Floats; 2] {
        let _ = (blocks, put);
        unreachable!("where `ROWS` says so")
    }
}

/// Pairs of columns of sixteen rows of nibbles: byte `i` of a row has the columns `i` and `i + 16`.
#[inline(always)]
pub(super) fn nibble_rows<V: Simd>(rows: [&[u8; WIDTH]; WIDTH], mut put: impl FnMut(usize, V::Integers)) {
    let (low, high) = (V::integers(15), V::integers(15 << 16));
    let pair = |first: V::Integers, second: V::Integers| V::or(V::and(first, low), V::and(second, high));
    for (w, words) in V::words_of_rows(rows).into_iter().enumerate() {
        put(4 * w, pair(words, V::shift_left::<12>(words)));
        put(4 * w + 1, pair(V::shift_right::<8>(words), V::shift_left::<4>(words)));
        put(4 * w + 2, pair(V::shift_right::<16>(words), V::shift_right::<4>(words)));
        put(4 * w + 3, pair(V::shift_right::<24>(words), V::shift_right::<12>(words)));
    }
}

/// The same of sixteen rows of signed bytes, the first sixteen columns and the second.
#[inline(always)]
pub(super) fn byte_rows<V: Simd>(
    first: [&[u8; WIDTH]; WIDTH],
    second: [&[u8; WIDTH]; WIDTH],
    mut put: impl FnMut(usize, V::Integers),
) {
    // Bytes in the upper halves of halves: the sign comes in from there.
    let (low, high) = (V::integers(0xFF00), V::integers(0xFF00_0000_u32 as i32));
    let pair = |first: V::Integers, second: V::Integers| {
        V::shift_halves_right_signed(V::or(V::and(first, low), V::and(second, high)), 8)
    };
    let words = V::words_of_rows(first).into_iter().zip(V::words_of_rows(second));
    for (w, (a, b)) in words.enumerate() {
        put(4 * w, pair(V::shift_left::<8>(a), V::shift_left::<24>(b)));
        put(4 * w + 1, pair(a, V::shift_left::<16>(b)));
        put(4 * w + 2, pair(V::shift_right::<8>(a), V::shift_left::<8>(b)));
        put(4 * w + 3, pair(V::shift_right::<16>(a), b));
    }
}

/// Two bytes of each of sixteen rows, in the lower halves, and two more in the upper ones.
#[inline(always)]
pub(super) fn halves_of_rows<V: Simd>(low: [[u8; 2]; WIDTH], high: [[u8; 2]; WIDTH]) -> V::Integers {
    let mut words = [0; WIDTH];
    for i in 0..WIDTH {
        words[i] = i32::from_le_bytes([low[i][0], low[i][1], high[i][0], high[i][1]]);
    }
    V::load_integers(&words)
}

/// The numbers 0 to 15.
pub(super) const COUNT: [f32; WIDTH] =
    [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0];

/// 32 bytes as integers.
#[inline(always)]
pub(super) fn integers_of<V: Simd>(q: &[u8; GROUP]) -> [V::Integers; 2] {
    let [low, high] = halves(q);
    [V::load_bytes(low), V::load_bytes(high)]
}

/// `f` of each. (The standard library's `map` need not be inlined, and would then miss the instruction set.)
#[inline(always)]
pub(super) fn each<const N: usize, A: Copy, B: Copy + Default>(x: [A; N], f: impl Fn(A) -> B) -> [B; N] {
    let mut out = [B::default(); N];
    for i in 0..N {
        out[i] = f(x[i]);
    }
    out
}

/// How the weights of four-bit numbers are found: by a table of their sixteen values, or by computing them.
#[derive(Clone, Copy)]
pub(super) struct FourBits<V: Simd> {
    /// The table, or the scale.
    first: V::Floats,
    offset: V::Floats,
}

impl<V: Simd> FourBits<V> {
    #[inline(always)]
    pub(super) fn new(by: Affine) -> Self {
        let (scale, offset) = (V::Floats::splat(by.scale), V::Floats::splat(by.offset));
        let first = if V::FAST_LOOKUP { V::Floats::load(&COUNT).mul_add(scale, offset) } else { scale };
        FourBits { first, offset }
    }

    /// The weights of the four lowest bits of each of `q`.
    #[inline(always)]
    pub(super) fn weights(self, q: V::Integers) -> V::Floats {
        match V::FAST_LOOKUP {
            true => V::lookup(self.first, q),
            false => V::to_floats(V::and(q, V::integers(15))).mul_add(self.first, self.offset),
        }
    }
}

/// `scale * q + offset` of 32 bytes, never fused.
#[inline(always)]
pub(super) fn affine(q: [u8; GROUP], by: Affine) -> [f32; GROUP] {
    each(q, |q| f32::from(q) * by.scale + by.offset)
}

/// The same in vectors, fused where the instruction set does so.
#[inline(always)]
pub(super) fn affine_vectors<V: Simd>(q: &[u8; GROUP], by: Affine) -> [V::Floats; 2] {
    let (scale, offset) = (V::Floats::splat(by.scale), V::Floats::splat(by.offset));
    let [low, high] = halves(q);
    [V::to_floats(V::load_bytes(low)).mul_add(scale, offset), V::to_floats(V::load_bytes(high)).mul_add(scale, offset)]
}

/// The two halves of a group's bytes.
#[inline(always)]
pub(super) fn halves<B>(bytes: &[B; GROUP]) -> [&[B; WIDTH]; 2] {
    let (low, high) = bytes.split_at(WIDTH);
    [low.try_into().expect("16 of 32"), high.try_into().expect("16 of 32")]
}

/// Shifts right by `n`, at most 7; fast if `n` is known when this is compiled.
#[inline(always)]
pub(super) fn shifted<V: Simd>(x: V::Integers, n: usize) -> V::Integers {
    match n {
        0 => x,
        1 => V::shift_right::<1>(x),
        2 => V::shift_right::<2>(x),
        3 => V::shift_right::<3>(x),
        4 => V::shift_right::<4>(x),
        5 => V::shift_right::<5>(x),
        6 => V::shift_right::<6>(x),
        _ => V::shift_right::<7>(x),
    }
}

/// One number of a row of plain floats.
pub(super) trait Element: Pod {
    /// Its value.
    fn value(self) -> f32;
    /// The values of sixteen.
    fn vector<V: Simd>(x: &[Self; WIDTH]) -> V::Floats;
}
