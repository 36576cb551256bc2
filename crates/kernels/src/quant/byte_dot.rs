//! Dot products of Q4_K and Q6_K rows with few activations, in bytes: for processors with VNNI.
//!
//! An activation is an integer of 16 bits (as in [`super::activations`]), `256 high + low` with `high` a signed byte and
//! `low` an unsigned one. Weights are unsigned bytes of at most 63, so both products are sums of products of an unsigned
//! with a signed byte, of which one instruction does 64. Nothing is widened: sixteen instructions or so for 64 weights,
//! where products of floats ([`super::dots`]) take forty. That matters where weights come from memory faster than two
//! cores can widen them.
//!
//! A row of blocks reads 144 (Q4_K) or 210 bytes (Q6_K) for 256 weights, and 704 bytes of activations, from the
//! first-level cache.

use std::arch::x86_64::*;

use bytemuck::{cast_slice, zeroed_vec};

use super::WeightType;
use super::activations::scale_of;
use super::k_blocks::{Q4K, Q6K};
use super::layout::GROUP;
use crate::isa::{Isa, Level, Operation};
use crate::matmul::ColumnsMut;
use crate::simd::exponential::ROUND;
use crate::simd::{Lanes, Simd, WIDTH};

/// Weights in a block.
const BLOCK: usize = 256;
/// How far ahead of their use weights are asked for, in bytes.
const AHEAD: usize = 2048;

/// The activations of one token that a block of weights is multiplied with.
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
pub struct BlockActivations {
    high: [i8; BLOCK],
    low: [u8; BLOCK],
    /// The scales of the eight groups of 32, then their sums.
    scales_and_sums: [f32; WIDTH],
    /// The scales of the sixteen halves of groups.
    half_scales: [f32; WIDTH],
    /// Their sums, times -32: Q6_K weights are six bits less that.
    half_offsets: [f32; WIDTH],
}

/// Whether rows of a type are multiplied in bytes on this instruction set.
pub fn is_fast(isa: Isa, ty: WeightType) -> bool {
    isa.level() == Level::Avx512Vnni && matches!(ty, WeightType::Q4_K | WeightType::Q6_K)
}

/// Rounds tokens, `[n][cols]`, to `[n][cols / 256]`; `cols` is a multiple of 256.
pub fn round(isa: Isa, x: &[f32], to: &mut Vec<BlockActivations>) {
    let (blocks, _) = x.as_chunks::<BLOCK>();
    if to.len() < blocks.len() {
        to.reserve_exact(blocks.len() - to.len());
        to.append(&mut zeroed_vec(blocks.len() - to.len()));
    }
    to.truncate(blocks.len());
    isa.run(Round { blocks, to });
}

struct Round<'a> {
    blocks: &'a [[f32; BLOCK]],
    to: &'a mut [BlockActivations],
}

impl Operation for Round<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        for (x, to) in self.blocks.iter().zip(self.to) {
            for (g, x) in x.as_chunks::<GROUP>().0.iter().enumerate() {
                round_group::<V>(x, g, to);
            }
        }
    }
}

#[inline(always)]
fn round_group<V: Simd>(x: &[f32; GROUP], g: usize, to: &mut BlockActivations) {
    let (scale, inverse, [a, b]) = scale_of::<V>(x);
    let high: &mut [i8; GROUP] = to.high[g * GROUP..].first_chunk_mut().expect("a group of the block");
    let low: &mut [u8; GROUP] = to.low[g * GROUP..].first_chunk_mut().expect("a group of the block");
    for i in 0..GROUP {
        let integer = (x[i] * inverse + ROUND).to_bits();
        (high[i], low[i]) = ((integer >> 8) as i8, integer as u8);
    }
    let sums = [a.sum(), b.sum()];
    (to.scales_and_sums[g], to.scales_and_sums[8 + g]) = (scale, sums[0] + sums[1]);
    for i in 0..2 {
        (to.half_scales[2 * g + i], to.half_offsets[2 * g + i]) = (scale, -32.0 * sums[i]);
    }
}

/// The dot products of rows of weights, `[columns of out][blocks]`, with tokens, `[rows of out][blocks]`.
///
/// # Panics
///
/// If [`is_fast`] says no, or the lengths do not fit.
pub fn dots(isa: Isa, ty: WeightType, rows: &[u8], x: &[BlockActivations], out: &mut ColumnsMut<'_, f32>) {
    assert!(is_fast(isa, ty), "{ty} rows are not multiplied in bytes on {isa}");
    let blocks = x.len() / out.rows().max(1);
    assert_eq!(x.len(), blocks * out.rows(), "activations of {} tokens", out.rows());
    let bytes = ty.row_bytes(blocks * BLOCK).expect("whole blocks");
    assert_eq!(rows.len(), bytes * out.columns(), "bytes of {} rows of {blocks} blocks of {ty}", out.columns());
    for t in 0..out.rows() {
        let x = &x[t * blocks..(t + 1) * blocks];
        let out = out.row(t);
        match ty {
            // SAFETY: an `Isa` of this level is only made where these features were detected.
            WeightType::Q4_K => unsafe { q4_k_rows(cast_slice(rows), x, out) },
            // SAFETY: likewise.
            _ => unsafe { q6_k_rows(cast_slice(rows), x, out) },
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn q4_k_rows(rows: &[Q4K], x: &[BlockActivations], out: &mut [f32]) {
    for (row, out) in rows.chunks_exact(x.len().max(1)).zip(out) {
        let (mut sum, mut offsets) = (_mm512_setzero_ps(), _mm512_setzero_ps());
        for (w, x) in row.iter().zip(x) {
            prefetch(w);
            q4_k_block(w, x, &mut sum, &mut offsets);
        }
        // The lower half of `offsets` is what scales came to.
        *out = _mm512_reduce_add_ps(sum) + _mm512_mask_reduce_add_ps(0xFF00, offsets);
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn q6_k_rows(rows: &[Q6K], x: &[BlockActivations], out: &mut [f32]) {
    for (row, out) in rows.chunks_exact(x.len().max(1)).zip(out) {
        let (mut sum, mut offsets) = (_mm512_setzero_ps(), _mm512_setzero_ps());
        for (w, x) in row.iter().zip(x) {
            prefetch(w);
            q6_k_block(w, x, &mut sum, &mut offsets);
        }
        *out = _mm512_reduce_add_ps(sum) + _mm512_reduce_add_ps(offsets);
    }
}

/// Asks for the bytes a little way after a block.
#[inline]
fn prefetch<B>(block: &B) {
    for line in (0..size_of::<B>()).step_by(64) {
        // SAFETY: a prefetch reads nothing, so that any address will do.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(block).cast::<i8>().wrapping_add(AHEAD + line)) }
    }
}

#[inline]
fn bytes_of(x: [u8; WIDTH]) -> __m128i {
    // SAFETY: sixteen bytes.
    unsafe { _mm_loadu_si128(x.as_ptr().cast()) }
}

/// The value of a little-endian half float.
#[inline]
#[target_feature(enable = "avx512f,f16c")]
fn half(bytes: [u8; 2]) -> f32 {
    _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(u16::from_le_bytes(bytes)))))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn q4_k_block(w: &Q4K, x: &BlockActivations, sum: &mut __m512, offsets: &mut __m512) {
    let of_block =
        _mm512_insertf32x8::<1>(_mm512_castps256_ps512(_mm256_set1_ps(half(w.scale))), _mm256_set1_ps(-half(w.offset)));
    let six_bits = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes_of(w.six_bits())));
    // SAFETY: sixteen floats.
    let of_x = unsafe { _mm512_loadu_ps(x.scales_and_sums.as_ptr()) };
    let factors = _mm512_mul_ps(_mm512_mul_ps(six_bits, of_block), of_x);
    *offsets = _mm512_add_ps(*offsets, factors);
    let four_bits = _mm512_set1_epi8(15);
    let shifts = _mm512_set_epi64(4, 4, 4, 4, 0, 0, 0, 0);
    let mut index = _mm512_set_epi32(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0);
    for pair in 0..4 {
        // SAFETY: 32 of 128 bytes.
        let nibbles = unsafe { _mm256_loadu_si256(w.nibbles[pair * GROUP..][..GROUP].as_ptr().cast()) };
        let both = _mm512_broadcast_i64x4(nibbles);
        let q = _mm512_and_si512(_mm512_srlv_epi64(both, shifts), four_bits);
        let products = _mm512_cvtepi32_ps(bytes_times(q, x, pair * 64));
        *sum = _mm512_fmadd_ps(products, _mm512_permutexvar_ps(index, factors), *sum);
        index = _mm512_add_epi32(index, _mm512_set1_epi32(2));
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn q6_k_block(w: &Q6K, x: &BlockActivations, sum: &mut __m512, offsets: &mut __m512) {
    // SAFETY: sixteen bytes, and sixteen floats twice.
    let (scales, half_scales, half_offsets) = unsafe {
        (
            _mm_loadu_si128(w.scales.as_ptr().cast()),
            _mm512_loadu_ps(x.half_scales.as_ptr()),
            _mm512_loadu_ps(x.half_offsets.as_ptr()),
        )
    };
    let scales = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(scales)), _mm512_set1_ps(half(w.scale)));
    *offsets = _mm512_fmadd_ps(scales, half_offsets, *offsets);
    let factors = _mm512_mul_ps(scales, half_scales);
    let (four_bits, two_bits) = (_mm512_set1_epi8(15), _mm512_set1_epi8(0x30));
    let left = _mm512_set_epi64(2, 2, 2, 2, 4, 4, 4, 4);
    let right = _mm512_set_epi64(2, 2, 2, 2, 0, 0, 0, 0);
    let mut index = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
    for i in 0..2 {
        // SAFETY: 64 of 128 bytes, 32 of 64.
        let (nibbles, high) = unsafe {
            (
                _mm512_loadu_si512(w.nibbles[i * 64..][..64].as_ptr().cast()),
                _mm256_loadu_si256(w.high[i * GROUP..][..GROUP].as_ptr().cast()),
            )
        };
        let high = _mm512_broadcast_i64x4(high);
        let lower = _mm512_and_si512(nibbles, four_bits);
        let upper = _mm512_and_si512(_mm512_srli_epi16::<4>(nibbles), four_bits);
        let lower = _mm512_or_si512(lower, _mm512_and_si512(_mm512_sllv_epi64(high, left), two_bits));
        let upper = _mm512_or_si512(upper, _mm512_and_si512(_mm512_srlv_epi64(high, right), two_bits));
        for (j, q) in [lower, upper].into_iter().enumerate() {
            let products = _mm512_cvtepi32_ps(bytes_times(q, x, (2 * i + j) * 64));
            *sum = _mm512_fmadd_ps(products, _mm512_permutexvar_ps(index, factors), *sum);
            index = _mm512_add_epi32(index, _mm512_set1_epi32(4));
        }
    }
}

/// Sums over four neighbours of 64 weights times activations from `at` on.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn bytes_times(q: __m512i, x: &BlockActivations, at: usize) -> __m512i {
    // SAFETY: 64 of 256 bytes, twice.
    let (high, low) = unsafe {
        (_mm512_loadu_si512(x.high[at..][..64].as_ptr().cast()), _mm512_loadu_si512(x.low[at..][..64].as_ptr().cast()))
    };
    let of_high = _mm512_dpbusd_epi32(_mm512_setzero_si512(), q, high);
    _mm512_dpbusd_epi32(_mm512_slli_epi32::<8>(of_high), low, q)
}
