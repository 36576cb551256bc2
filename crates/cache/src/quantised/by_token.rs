//! Values of one token, coded over groups of dims.
//!
//! Each group of dims (the last perhaps smaller): an affine, then its packed codes.

use super::affine::{AFFINE_BYTES, Affine};
use super::packed::{pack, packed_bytes, unpack};
use super::settings::Bits;

/// Bytes of a token.
pub(super) fn token_bytes(bits: Bits, group: usize, dim: usize) -> usize {
    let rest = dim % group;
    let last = if rest > 0 { group_bytes(bits, rest) } else { 0 };
    dim / group * group_bytes(bits, group) + last
}

fn group_bytes(bits: Bits, dims: usize) -> usize {
    AFFINE_BYTES + packed_bytes(bits, dims)
}

/// Codes the values of one token, `[D]`.
pub(super) fn encode(bits: Bits, group: usize, row: &[f32], out: &mut [u8]) {
    for (row, out) in row.chunks(group).zip(out.chunks_mut(group_bytes(bits, group))) {
        let (head, packed) = out.split_at_mut(AFFINE_BYTES);
        let affine = Affine::of(bits, row.iter().copied());
        affine.store(head);
        let codes: Vec<u8> = row.iter().map(|&x| affine.code(bits, x)).collect();
        pack(bits, &codes, packed);
    }
}

/// Decodes the values of one token into `row`, `[D]`.
#[inline(always)]
pub(super) fn decode(bits: Bits, group: usize, bytes: &[u8], row: &mut [f32]) {
    for (row, bytes) in row.chunks_mut(group).zip(bytes.chunks(group_bytes(bits, group))) {
        let (head, packed) = bytes.split_at(AFFINE_BYTES);
        let Affine { least, step } = Affine::load(head);
        unpack(bits, packed, row);
        row.iter_mut().for_each(|x| *x = least + step * *x);
    }
}
