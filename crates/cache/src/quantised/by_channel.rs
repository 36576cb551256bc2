//! Keys of a group of tokens, each dim coded over the tokens of the group.
//!
//! Keys have a few dims that are large in every token: coded over time they cost their own group alone, coded over the
//! dims of a token they would cost all others.
//!
//! A group of `T` tokens: `D` affines, then `T` rows of `D` packed codes.

use super::affine::{AFFINE_BYTES, Affine};
use super::packed::{pack, packed_bytes, unpack};
use super::settings::Bits;

/// Dims that are decoded at a time.
const RUN: usize = 32;

/// Bytes of a group.
pub(super) fn group_bytes(bits: Bits, tokens: usize, dim: usize) -> usize {
    dim * AFFINE_BYTES + tokens * packed_bytes(bits, dim)
}

/// Codes `rows`, `[T][D]`.
pub(super) fn encode(bits: Bits, dim: usize, rows: &[f32], out: &mut [u8]) {
    let (affines, packed) = out.split_at_mut(dim * AFFINE_BYTES);
    for (d, bytes) in affines.chunks_exact_mut(AFFINE_BYTES).enumerate() {
        Affine::of(bits, rows.iter().skip(d).step_by(dim).copied()).store(bytes);
    }
    let mut codes = vec![0; dim];
    for (row, packed) in rows.chunks_exact(dim).zip(packed.chunks_exact_mut(packed_bytes(bits, dim))) {
        for ((code, &x), affine) in codes.iter_mut().zip(row).zip(affines.chunks_exact(AFFINE_BYTES)) {
            *code = Affine::load(affine).code(bits, x);
        }
        pack(bits, &codes, packed);
    }
}

/// Decodes a group into `rows`, `[T][D]`.
#[inline(always)]
pub(super) fn decode(bits: Bits, dim: usize, group: &[u8], rows: &mut [f32]) {
    let (affines, packed) = group.split_at(dim * AFFINE_BYTES);
    for (row, packed) in rows.chunks_exact_mut(dim).zip(packed.chunks_exact(packed_bytes(bits, dim))) {
        unpack(bits, packed, row);
    }
    for (run, affines) in affines.chunks(RUN * AFFINE_BYTES).enumerate() {
        let (mut least, mut step) = ([0.0; RUN], [0.0; RUN]);
        for (i, affine) in affines.chunks_exact(AFFINE_BYTES).map(Affine::load).enumerate() {
            (least[i], step[i]) = (affine.least, affine.step);
        }
        for row in rows.chunks_exact_mut(dim) {
            let end = dim.min((run + 1) * RUN);
            for ((x, &least), &step) in row[run * RUN..end].iter_mut().zip(&least).zip(&step) {
                *x = least + step * *x;
            }
        }
    }
}
