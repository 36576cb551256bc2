//! AVX-512: a vector is one register. With VNNI, products of pairs of 16-bit integers are summed in one instruction.

use std::arch::x86_64::*;

use half::{bf16, f16};

use super::exponential::{HIGHEST, LN2_HIGH, LN2_LOW, LOWEST, TAYLOR};
use super::{Lanes, Simd, WIDTH, transposed};
use crate::element::Element;

/// AVX-512 F, BW, DQ, VL, with AVX2, FMA and F16C.
#[derive(Clone, Copy, Debug)]
pub struct Avx512;

/// [`Avx512`] and VNNI.
#[derive(Clone, Copy, Debug)]
pub struct Avx512Vnni;

/// Sixteen `f32` in a register.
#[derive(Clone, Copy, Debug)]
pub struct Singles(__m512);

/// Sixteen `i32` in a register.
#[derive(Clone, Copy, Debug)]
pub struct Integers(__m512i);

// SAFETY, for all blocks of this file: these methods are inlined into functions that were compiled for the features
// named above and that `Isa::run` calls only where they were detected; loads and stores are unaligned and stay inside
// the arrays that the references name.
macro_rules! avx512 {
    ($name:ident, $dot:expr) => {
        impl Simd for $name {
            type Floats = Singles;
            type Integers = Integers;
            const REGISTERS: usize = 32;
            const FAST_LOOKUP: bool = true;

            #[inline(always)]
            fn mul_add(a: f32, b: f32, c: f32) -> f32 {
                a.mul_add(b, c)
            }
            #[inline(always)]
            fn half(x: f16) -> f32 {
                // SAFETY: see above.
                unsafe { _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(x.to_bits())))) }
            }
            #[inline(always)]
            fn load_f16(x: &[f16; WIDTH]) -> Singles {
                // SAFETY: see above.
                unsafe { Singles(_mm512_cvtph_ps(_mm256_loadu_si256(x.as_ptr().cast()))) }
            }
            #[inline(always)]
            fn load_bf16(x: &[bf16; WIDTH]) -> Singles {
                // SAFETY: see above.
                unsafe {
                    let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(x.as_ptr().cast()));
                    Singles(_mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide)))
                }
            }
            #[inline(always)]
            fn prefetch<T>(at: &[T], ahead: usize) {
                // SAFETY: see above; a prefetch reads nothing, so that any address will do.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(at.as_ptr().cast::<i8>().wrapping_add(ahead)) }
            }
            #[inline(always)]
            fn integers(x: i32) -> Integers {
                // SAFETY: see above.
                unsafe { Integers(_mm512_set1_epi32(x)) }
            }
            #[inline(always)]
            fn load_bytes(x: &[u8; WIDTH]) -> Integers {
                // SAFETY: see above.
                unsafe { Integers(_mm512_cvtepu8_epi32(_mm_loadu_si128(x.as_ptr().cast()))) }
            }
            #[inline(always)]
            fn load_signed(x: &[i8; WIDTH]) -> Integers {
                // SAFETY: see above.
                unsafe { Integers(_mm512_cvtepi8_epi32(_mm_loadu_si128(x.as_ptr().cast()))) }
            }
            #[inline(always)]
            fn load_integers(x: &[i32; WIDTH]) -> Integers {
                // SAFETY: see above.
                unsafe { Integers(_mm512_loadu_si512(x.as_ptr().cast())) }
            }
            #[inline(always)]
            fn and(a: Integers, b: Integers) -> Integers {
                // SAFETY: see above.
                unsafe { Integers(_mm512_and_si512(a.0, b.0)) }
            }
            #[inline(always)]
            fn or(a: Integers, b: Integers) -> Integers {
                // SAFETY: see above.
                unsafe { Integers(_mm512_or_si512(a.0, b.0)) }
            }
            #[inline(always)]
            fn shift_left<const N: u32>(a: Integers) -> Integers {
                // SAFETY: see above.
                unsafe { Integers(_mm512_slli_epi32::<N>(a.0)) }
            }
            #[inline(always)]
            fn shift_right<const N: u32>(a: Integers) -> Integers {
                // SAFETY: see above.
                unsafe { Integers(_mm512_srli_epi32::<N>(a.0)) }
            }
            #[inline(always)]
            fn shift_left_each(a: Integers, by: Integers) -> Integers {
                // SAFETY: see above.
                unsafe { Integers(_mm512_sllv_epi32(a.0, by.0)) }
            }
            #[inline(always)]
            fn shift_right_each(a: Integers, by: Integers) -> Integers {
                // SAFETY: see above.
                unsafe { Integers(_mm512_srlv_epi32(a.0, by.0)) }
            }
            #[inline(always)]
            fn mark_greater(marks: Integers, mark: Integers, a: Singles, b: Singles) -> Integers {
                // SAFETY: see above.
                unsafe {
                    let greater = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(a.0, b.0);
                    Integers(_mm512_mask_or_epi32(marks.0, greater, marks.0, mark.0))
                }
            }
            #[inline(always)]
            fn select_greater(a: Singles, b: Singles, yes: Singles, no: Singles) -> Singles {
                // SAFETY: see above.
                unsafe { Singles(_mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(a.0, b.0), no.0, yes.0)) }
            }
            #[inline(always)]
            fn gather<const N: usize>(table: &[f32; N], index: Integers) -> Singles {
                const { assert!(N.is_power_of_two()) };
                // SAFETY: see above; the mask keeps the indices in the table.
                unsafe {
                    let index = _mm512_and_si512(index.0, _mm512_set1_epi32(N as i32 - 1));
                    Singles(_mm512_i32gather_ps::<4>(index, table.as_ptr()))
                }
            }
            #[inline(always)]
            fn to_floats(x: Integers) -> Singles {
                // SAFETY: see above.
                unsafe { Singles(_mm512_cvtepi32_ps(x.0)) }
            }
            #[inline(always)]
            fn to_integers(x: Singles) -> Integers {
                // SAFETY: see above.
                unsafe { Integers(_mm512_cvtps_epi32(x.0)) }
            }
            #[inline(always)]
            fn shift_halves_left(a: Integers, by: u32) -> Integers {
                // SAFETY: see above.
                unsafe { Integers(_mm512_sll_epi16(a.0, _mm_cvtsi32_si128(by as i32))) }
            }
            #[inline(always)]
            fn shift_halves_right(a: Integers, by: u32) -> Integers {
                // SAFETY: see above.
                unsafe { Integers(_mm512_srl_epi16(a.0, _mm_cvtsi32_si128(by as i32))) }
            }
            #[inline(always)]
            fn shift_halves_right_signed(a: Integers, by: u32) -> Integers {
                // SAFETY: see above.
                unsafe { Integers(_mm512_sra_epi16(a.0, _mm_cvtsi32_si128(by as i32))) }
            }
            #[inline(always)]
            fn lookup_halves<const N: usize>(table: &[i16; N], index: Integers) -> Integers {
                const { assert!(N.is_power_of_two() && N >= 32) };
                Integers(lookup_halves(table, index.0))
            }
            #[inline(always)]
            fn scale_halves(a: Integers, by: i32) -> Integers {
                // SAFETY: see above.
                unsafe { Integers(_mm512_mulhrs_epi16(a.0, _mm512_set1_epi32(by))) }
            }
            #[inline(always)]
            fn lookup(table: Singles, index: Integers) -> Singles {
                // SAFETY: see above.
                unsafe { Singles(_mm512_permutexvar_ps(index.0, table.0)) }
            }
            #[inline(always)]
            fn add_integers(a: Integers, b: Integers) -> Integers {
                // SAFETY: see above.
                unsafe { Integers(_mm512_add_epi32(a.0, b.0)) }
            }
            #[inline(always)]
            fn mul_integers(a: Integers, b: Integers) -> Integers {
                // SAFETY: see above.
                unsafe { Integers(_mm512_mullo_epi32(a.0, b.0)) }
            }
            #[inline(always)]
            fn store_integers(x: Integers, to: &mut [i32; WIDTH]) {
                // SAFETY: see above.
                unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), x.0) }
            }
            #[inline(always)]
            fn transpose(rows: &[[i32; WIDTH]; WIDTH]) -> [[i32; WIDTH]; WIDTH] {
                // SAFETY: see above.
                unsafe { transposed::avx512(rows) }
            }
            #[inline(always)]
            fn words_of_rows(rows: [&[u8; WIDTH]; WIDTH]) -> [Integers; 4] {
                // SAFETY: see above.
                unsafe { transposed::avx512_words(rows).map(Integers) }
            }
            #[inline(always)]
            fn half_floats(x: Integers) -> Singles {
                // SAFETY: see above.
                unsafe { Singles(_mm512_cvtph_ps(_mm512_cvtepi32_epi16(x.0))) }
            }
            #[inline(always)]
            fn dot_pairs(sum: Integers, w: &[i32; WIDTH], x: i32) -> Integers {
                // SAFETY: see above.
                unsafe { Integers($dot(sum.0, _mm512_loadu_si512(w.as_ptr().cast()), _mm512_set1_epi32(x))) }
            }
            #[inline(always)]
            fn dot_vectors(sum: Integers, w: &[i32; WIDTH], x: &[i32; WIDTH]) -> Integers {
                // SAFETY: see above.
                unsafe {
                    let [w, x] = [w, x].map(|at| _mm512_loadu_si512(at.as_ptr().cast()));
                    Integers($dot(sum.0, w, x))
                }
            }
        }
    };
}

/// One permutation looks up 32 halves, one of two registers 64; of larger tables the parts are chosen among by the upper
/// bits of an index.
#[inline(always)]
fn lookup_halves<const N: usize>(table: &[i16; N], index: __m512i) -> __m512i {
    // SAFETY: see above; all parts are inside the table.
    unsafe {
        let part = |i: usize| _mm512_loadu_si512(table.as_ptr().add(32 * i).cast());
        if N == 32 {
            return _mm512_permutexvar_epi16(index, part(0));
        }
        let mut found = _mm512_permutex2var_epi16(part(0), index, part(1));
        for i in 1..N / 64 {
            let more = _mm512_permutex2var_epi16(part(2 * i), index, part(2 * i + 1));
            let upper = _mm512_and_si512(index, _mm512_set1_epi16((N - 64) as i16));
            let here = _mm512_cmpeq_epi16_mask(upper, _mm512_set1_epi16((64 * i) as i16));
            found = _mm512_mask_blend_epi16(here, found, more);
        }
        found
    }
}

avx512!(Avx512, |sum, w, x| _mm512_add_epi32(sum, _mm512_madd_epi16(w, x)));
avx512!(Avx512Vnni, |sum, w, x| _mm512_dpwssd_epi32(sum, w, x));

impl Lanes<f32> for Singles {
    #[inline(always)]
    fn splat(x: f32) -> Self {
        // SAFETY: see above.
        unsafe { Singles(_mm512_set1_ps(x)) }
    }
    #[inline(always)]
    fn load(x: &[f32; WIDTH]) -> Self {
        // SAFETY: see above.
        unsafe { Singles(_mm512_loadu_ps(x.as_ptr())) }
    }
    #[inline(always)]
    fn load_stored<S: Element>(x: &[S; WIDTH]) -> Self {
        S::load_lanes::<Avx512>(x)
    }
    #[inline(always)]
    fn store(self, to: &mut [f32; WIDTH]) {
        // SAFETY: see above.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), self.0) }
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: see above.
        unsafe { Singles(_mm512_add_ps(self.0, other.0)) }
    }
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        // SAFETY: see above.
        unsafe { Singles(_mm512_sub_ps(self.0, other.0)) }
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        // SAFETY: see above.
        unsafe { Singles(_mm512_mul_ps(self.0, other.0)) }
    }
    #[inline(always)]
    fn mul_add(self, b: Self, c: Self) -> Self {
        // SAFETY: see above.
        unsafe { Singles(_mm512_fmadd_ps(self.0, b.0, c.0)) }
    }
    #[inline(always)]
    fn neg_mul_add(self, b: Self, c: Self) -> Self {
        // SAFETY: see above.
        unsafe { Singles(_mm512_fnmadd_ps(self.0, b.0, c.0)) }
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        // SAFETY: see above.
        unsafe { Singles(_mm512_max_ps(self.0, other.0)) }
    }
    #[inline(always)]
    fn exp(self) -> Self {
        // SAFETY: see above.
        unsafe {
            let x = _mm512_min_ps(_mm512_max_ps(self.0, _mm512_set1_ps(LOWEST)), _mm512_set1_ps(HIGHEST));
            let n = _mm512_roundscale_ps::<0>(_mm512_mul_ps(x, _mm512_set1_ps(std::f32::consts::LOG2_E)));
            let r = _mm512_fnmadd_ps(n, _mm512_set1_ps(LN2_HIGH), x);
            let r = _mm512_fnmadd_ps(n, _mm512_set1_ps(LN2_LOW), r);
            let mut p = _mm512_set1_ps(TAYLOR[0]);
            for c in &TAYLOR[1..] {
                p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(*c));
            }
            let seen = _mm512_cmp_ps_mask::<_CMP_NLT_UQ>(self.0, _mm512_set1_ps(LOWEST));
            Singles(_mm512_maskz_scalef_ps(seen, p, n))
        }
    }
    #[inline(always)]
    fn sum(self) -> f32 {
        // SAFETY: see above.
        unsafe {
            let half = _mm256_add_ps(_mm512_castps512_ps256(self.0), _mm512_extractf32x8_ps::<1>(self.0));
            super::avx2::sum_of_eight(half)
        }
    }
    #[inline(always)]
    fn sums(x: [Self; WIDTH]) -> Self {
        // Each step halves what is left to add of every sum and puts two vectors into one.
        // SAFETY: see above.
        unsafe {
            let mut eighths = [_mm512_setzero_ps(); 8];
            for i in 0..8 {
                let (a, b) = (x[i].0, x[i + 8].0);
                eighths[i] = _mm512_add_ps(_mm512_shuffle_f32x4::<0x44>(a, b), _mm512_shuffle_f32x4::<0xEE>(a, b));
            }
            let mut quarters = [_mm512_setzero_ps(); 4];
            for i in 0..4 {
                let (a, b) = (eighths[i], eighths[i + 4]);
                quarters[i] = _mm512_add_ps(_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xDD>(a, b));
            }
            let mut halves = [_mm512_setzero_ps(); 2];
            for i in 0..2 {
                let (a, b) = (quarters[i], quarters[i + 2]);
                halves[i] = _mm512_add_ps(_mm512_shuffle_ps::<0x44>(a, b), _mm512_shuffle_ps::<0xEE>(a, b));
            }
            let [a, b] = halves;
            let mixed = _mm512_add_ps(_mm512_shuffle_ps::<0x88>(a, b), _mm512_shuffle_ps::<0xDD>(a, b));
            let order = _mm512_setr_epi32(0, 2, 1, 3, 8, 10, 9, 11, 4, 6, 5, 7, 12, 14, 13, 15);
            Singles(_mm512_permutexvar_ps(order, mixed))
        }
    }
    #[inline(always)]
    fn largest(self) -> f32 {
        // SAFETY: see above.
        unsafe { _mm512_reduce_max_ps(self.0) }
    }
}
