//! Rows and columns exchanged, in registers.

use std::arch::x86_64::*;

use super::WIDTH;

/// Sixteen rows of sixteen integers: a transposition in four steps of sixteen shuffles: numbers of two rows, pairs of four, fours of eight and of sixteen.
///
/// # Safety
/// Inlined into code for AVX-512 F.
#[inline(always)]
pub(super) unsafe fn avx512(rows: &[[i32; WIDTH]; WIDTH]) -> [[i32; WIDTH]; WIDTH] {
    // SAFETY: as the caller promises; loads and stores stay inside the arrays.
    unsafe {
        let rows: [__m512i; WIDTH] = std::array::from_fn(|i| _mm512_loadu_si512(rows[i].as_ptr().cast()));
        // `fours[4 i + c]` holds the columns `c + 4 lane` of rows `4 i` to `4 i + 3`.
        let mut fours = [_mm512_setzero_si512(); WIDTH];
        for i in 0..4 {
            let (a, b, c, d) = (rows[4 * i], rows[4 * i + 1], rows[4 * i + 2], rows[4 * i + 3]);
            let (low, high) = (_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
            let (more_low, more_high) = (_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
            fours[4 * i] = _mm512_unpacklo_epi64(low, more_low);
            fours[4 * i + 1] = _mm512_unpackhi_epi64(low, more_low);
            fours[4 * i + 2] = _mm512_unpacklo_epi64(high, more_high);
            fours[4 * i + 3] = _mm512_unpackhi_epi64(high, more_high);
        }
        let mut out = [[0; WIDTH]; WIDTH];
        for c in 0..4 {
            let (a, b, x, y) = (fours[c], fours[4 + c], fours[8 + c], fours[12 + c]);
            // Lanes 0 and 2 of two, lanes 1 and 3 of two.
            let (even, odd) = (_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0xDD>(a, b));
            let (more_even, more_odd) = (_mm512_shuffle_i32x4::<0x88>(x, y), _mm512_shuffle_i32x4::<0xDD>(x, y));
            let lanes = [
                _mm512_shuffle_i32x4::<0x88>(even, more_even),
                _mm512_shuffle_i32x4::<0x88>(odd, more_odd),
                _mm512_shuffle_i32x4::<0xDD>(even, more_even),
                _mm512_shuffle_i32x4::<0xDD>(odd, more_odd),
            ];
            for (lane, column) in lanes.into_iter().enumerate() {
                _mm512_storeu_si512(out[4 * lane + c].as_mut_ptr().cast(), column);
            }
        }
        out
    }
}

/// Four words of each of sixteen rows, word by word. Lane `i` of vector `j` takes row `4 i + j`, so that words of four
/// rows lie in the same lane: two steps of four shuffles bring them together.
///
/// # Safety
/// Inlined into code for AVX-512 F.
#[inline(always)]
pub(super) unsafe fn avx512_words(rows: [&[u8; WIDTH]; WIDTH]) -> [__m512i; 4] {
    // SAFETY: as the caller promises; a row is sixteen bytes.
    unsafe {
        let row = |i: usize| _mm_loadu_si128(rows[i].as_ptr().cast());
        let mut lanes = [_mm512_setzero_si512(); 4];
        for (j, to) in lanes.iter_mut().enumerate() {
            let two = _mm512_inserti32x4::<1>(_mm512_castsi128_si512(row(j)), row(4 + j));
            *to = _mm512_inserti32x4::<3>(_mm512_inserti32x4::<2>(two, row(8 + j)), row(12 + j));
        }
        let [a, b, c, d] = lanes;
        let (low, high) = (_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
        let (more_low, more_high) = (_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
        [
            _mm512_unpacklo_epi64(low, more_low),
            _mm512_unpackhi_epi64(low, more_low),
            _mm512_unpacklo_epi64(high, more_high),
            _mm512_unpackhi_epi64(high, more_high),
        ]
    }
}

/// The same in two registers a word, of eight rows each.
///
/// # Safety
/// Inlined into code for AVX2.
#[inline(always)]
pub(super) unsafe fn avx2_words(rows: [&[u8; WIDTH]; WIDTH]) -> [[__m256i; 2]; 4] {
    // SAFETY: as the caller promises; a row is sixteen bytes.
    unsafe {
        let mut words = [[_mm256_setzero_si256(); 2]; 4];
        for half in 0..2 {
            let row = |i: usize| _mm_loadu_si128(rows[8 * half + i].as_ptr().cast());
            let mut lanes = [_mm256_setzero_si256(); 4];
            for (j, to) in lanes.iter_mut().enumerate() {
                *to = _mm256_set_m128i(row(4 + j), row(j));
            }
            let [a, b, c, d] = lanes;
            let (low, high) = (_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
            let (more_low, more_high) = (_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
            words[0][half] = _mm256_unpacklo_epi64(low, more_low);
            words[1][half] = _mm256_unpackhi_epi64(low, more_low);
            words[2][half] = _mm256_unpacklo_epi64(high, more_high);
            words[3][half] = _mm256_unpackhi_epi64(high, more_high);
        }
        words
    }
}
