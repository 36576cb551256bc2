//! AVX2 with FMA and F16C: a vector is two registers.

use std::arch::x86_64::*;

use half::{bf16, f16};

use super::exponential::{HIGHEST, LN2_HIGH, LN2_LOW, LOWEST, TAYLOR};
use super::{Lanes, Simd, WIDTH, transposed};
use crate::element::Element;

/// AVX2, FMA and F16C.
#[derive(Clone, Copy, Debug)]
pub struct Avx2;

/// Sixteen `f32` in two registers.
#[derive(Clone, Copy, Debug)]
pub struct Singles(__m256, __m256);

/// Sixteen `i32` in two registers.
#[derive(Clone, Copy, Debug)]
pub struct Integers(__m256i, __m256i);

// SAFETY, for all blocks of this file: these methods are inlined into functions that were compiled for the features
// named above and that `Isa::run` calls only where they were detected; loads and stores are unaligned and stay inside
// the arrays that the references name.
impl Simd for Avx2 {
    type Floats = Singles;
    type Integers = Integers;
    const REGISTERS: usize = 16;
    const FAST_LOOKUP: bool = false;

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
        let at = x.as_ptr().cast::<__m128i>();
        // SAFETY: see above.
        unsafe { Singles(_mm256_cvtph_ps(_mm_loadu_si128(at)), _mm256_cvtph_ps(_mm_loadu_si128(at.add(1)))) }
    }
    #[inline(always)]
    fn load_bf16(x: &[bf16; WIDTH]) -> Singles {
        let at = x.as_ptr().cast::<__m128i>();
        // SAFETY: see above.
        unsafe {
            let wide = |p| _mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(_mm_loadu_si128(p)));
            Singles(_mm256_castsi256_ps(wide(at)), _mm256_castsi256_ps(wide(at.add(1))))
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
        unsafe { Integers(_mm256_set1_epi32(x), _mm256_set1_epi32(x)) }
    }
    #[inline(always)]
    fn load_bytes(x: &[u8; WIDTH]) -> Integers {
        // SAFETY: see above.
        unsafe {
            let all = _mm_loadu_si128(x.as_ptr().cast());
            Integers(_mm256_cvtepu8_epi32(all), _mm256_cvtepu8_epi32(_mm_srli_si128::<8>(all)))
        }
    }
    #[inline(always)]
    fn load_signed(x: &[i8; WIDTH]) -> Integers {
        // SAFETY: see above.
        unsafe {
            let all = _mm_loadu_si128(x.as_ptr().cast());
            Integers(_mm256_cvtepi8_epi32(all), _mm256_cvtepi8_epi32(_mm_srli_si128::<8>(all)))
        }
    }
    #[inline(always)]
    fn load_integers(x: &[i32; WIDTH]) -> Integers {
        let at = x.as_ptr().cast::<__m256i>();
        // SAFETY: see above.
        unsafe { Integers(_mm256_loadu_si256(at), _mm256_loadu_si256(at.add(1))) }
    }
    #[inline(always)]
    fn and(a: Integers, b: Integers) -> Integers {
        // SAFETY: see above.
        unsafe { Integers(_mm256_and_si256(a.0, b.0), _mm256_and_si256(a.1, b.1)) }
    }
    #[inline(always)]
    fn or(a: Integers, b: Integers) -> Integers {
        // SAFETY: see above.
        unsafe { Integers(_mm256_or_si256(a.0, b.0), _mm256_or_si256(a.1, b.1)) }
    }
    #[inline(always)]
    fn shift_left<const N: u32>(a: Integers) -> Integers {
        // SAFETY: see above.
        unsafe {
            let by = _mm_cvtsi32_si128(N as i32);
            Integers(_mm256_sll_epi32(a.0, by), _mm256_sll_epi32(a.1, by))
        }
    }
    #[inline(always)]
    fn shift_right<const N: u32>(a: Integers) -> Integers {
        // SAFETY: see above.
        unsafe {
            let by = _mm_cvtsi32_si128(N as i32);
            Integers(_mm256_srl_epi32(a.0, by), _mm256_srl_epi32(a.1, by))
        }
    }
    #[inline(always)]
    fn shift_left_each(a: Integers, by: Integers) -> Integers {
        // SAFETY: see above.
        unsafe { Integers(_mm256_sllv_epi32(a.0, by.0), _mm256_sllv_epi32(a.1, by.1)) }
    }
    #[inline(always)]
    fn shift_right_each(a: Integers, by: Integers) -> Integers {
        // SAFETY: see above.
        unsafe { Integers(_mm256_srlv_epi32(a.0, by.0), _mm256_srlv_epi32(a.1, by.1)) }
    }
    #[inline(always)]
    fn mark_greater(marks: Integers, mark: Integers, a: Singles, b: Singles) -> Integers {
        // SAFETY: see above.
        unsafe {
            let of = |marks, mark, a, b| {
                let greater = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_GT_OQ>(a, b));
                _mm256_or_si256(marks, _mm256_and_si256(greater, mark))
            };
            Integers(of(marks.0, mark.0, a.0, b.0), of(marks.1, mark.1, a.1, b.1))
        }
    }
    #[inline(always)]
    fn select_greater(a: Singles, b: Singles, yes: Singles, no: Singles) -> Singles {
        // SAFETY: see above.
        unsafe {
            let of = |a, b, yes, no| _mm256_blendv_ps(no, yes, _mm256_cmp_ps::<_CMP_GT_OQ>(a, b));
            Singles(of(a.0, b.0, yes.0, no.0), of(a.1, b.1, yes.1, no.1))
        }
    }
    #[inline(always)]
    fn gather<const N: usize>(table: &[f32; N], index: Integers) -> Singles {
        const { assert!(N.is_power_of_two()) };
        // SAFETY: see above; the mask keeps the indices in the table.
        unsafe {
            let inside = _mm256_set1_epi32(N as i32 - 1);
            let of = |index| _mm256_i32gather_ps::<4>(table.as_ptr(), _mm256_and_si256(index, inside));
            Singles(of(index.0), of(index.1))
        }
    }
    #[inline(always)]
    fn to_floats(x: Integers) -> Singles {
        // SAFETY: see above.
        unsafe { Singles(_mm256_cvtepi32_ps(x.0), _mm256_cvtepi32_ps(x.1)) }
    }
    #[inline(always)]
    fn to_integers(x: Singles) -> Integers {
        // SAFETY: see above.
        unsafe { Integers(_mm256_cvtps_epi32(x.0), _mm256_cvtps_epi32(x.1)) }
    }
    #[inline(always)]
    fn shift_halves_left(a: Integers, by: u32) -> Integers {
        // SAFETY: see above.
        unsafe {
            let by = _mm_cvtsi32_si128(by as i32);
            Integers(_mm256_sll_epi16(a.0, by), _mm256_sll_epi16(a.1, by))
        }
    }
    #[inline(always)]
    fn shift_halves_right(a: Integers, by: u32) -> Integers {
        // SAFETY: see above.
        unsafe {
            let by = _mm_cvtsi32_si128(by as i32);
            Integers(_mm256_srl_epi16(a.0, by), _mm256_srl_epi16(a.1, by))
        }
    }
    #[inline(always)]
    fn shift_halves_right_signed(a: Integers, by: u32) -> Integers {
        // SAFETY: see above.
        unsafe {
            let by = _mm_cvtsi32_si128(by as i32);
            Integers(_mm256_sra_epi16(a.0, by), _mm256_sra_epi16(a.1, by))
        }
    }
    #[inline(always)]
    fn words_of_rows(rows: [&[u8; WIDTH]; WIDTH]) -> [Integers; 4] {
        // SAFETY: see above.
        unsafe { transposed::avx2_words(rows).map(|[low, high]| Integers(low, high)) }
    }
    #[inline(always)]
    fn scale_halves(a: Integers, by: i32) -> Integers {
        // SAFETY: see above.
        unsafe {
            let by = _mm256_set1_epi32(by);
            Integers(_mm256_mulhrs_epi16(a.0, by), _mm256_mulhrs_epi16(a.1, by))
        }
    }
    #[inline(always)]
    fn lookup(table: Singles, index: Integers) -> Singles {
        // A permutation looks at three bits of an index; the fourth, shifted to the sign, chooses between two of them.
        // SAFETY: see above.
        unsafe {
            let of = |i| {
                let (low, high) = (_mm256_permutevar8x32_ps(table.0, i), _mm256_permutevar8x32_ps(table.1, i));
                _mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32::<28>(i)))
            };
            Singles(of(index.0), of(index.1))
        }
    }
    #[inline(always)]
    fn add_integers(a: Integers, b: Integers) -> Integers {
        // SAFETY: see above.
        unsafe { Integers(_mm256_add_epi32(a.0, b.0), _mm256_add_epi32(a.1, b.1)) }
    }
    #[inline(always)]
    fn mul_integers(a: Integers, b: Integers) -> Integers {
        // SAFETY: see above.
        unsafe { Integers(_mm256_mullo_epi32(a.0, b.0), _mm256_mullo_epi32(a.1, b.1)) }
    }
    #[inline(always)]
    fn store_integers(x: Integers, to: &mut [i32; WIDTH]) {
        let at = to.as_mut_ptr().cast::<__m256i>();
        // SAFETY: see above.
        unsafe {
            _mm256_storeu_si256(at, x.0);
            _mm256_storeu_si256(at.add(1), x.1);
        }
    }
    #[inline(always)]
    fn dot_pairs(sum: Integers, w: &[i32; WIDTH], x: i32) -> Integers {
        let at = w.as_ptr().cast::<__m256i>();
        // SAFETY: see above.
        unsafe {
            let x = _mm256_set1_epi32(x);
            let of = |sum, p| _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_loadu_si256(p), x));
            Integers(of(sum.0, at), of(sum.1, at.add(1)))
        }
    }
    #[inline(always)]
    fn dot_vectors(sum: Integers, w: &[i32; WIDTH], x: &[i32; WIDTH]) -> Integers {
        let (w, x) = (w.as_ptr().cast::<__m256i>(), x.as_ptr().cast::<__m256i>());
        // SAFETY: see above.
        unsafe {
            let of = |i| _mm256_madd_epi16(_mm256_loadu_si256(w.add(i)), _mm256_loadu_si256(x.add(i)));
            Integers(_mm256_add_epi32(sum.0, of(0)), _mm256_add_epi32(sum.1, of(1)))
        }
    }
}

impl Lanes<f32> for Singles {
    #[inline(always)]
    fn splat(x: f32) -> Self {
        // SAFETY: see above.
        unsafe { Singles(_mm256_set1_ps(x), _mm256_set1_ps(x)) }
    }
    #[inline(always)]
    fn load(x: &[f32; WIDTH]) -> Self {
        // SAFETY: see above.
        unsafe { Singles(_mm256_loadu_ps(x.as_ptr()), _mm256_loadu_ps(x.as_ptr().add(8))) }
    }
    #[inline(always)]
    fn load_stored<S: Element>(x: &[S; WIDTH]) -> Self {
        S::load_lanes::<Avx2>(x)
    }
    #[inline(always)]
    fn store(self, to: &mut [f32; WIDTH]) {
        // SAFETY: see above.
        unsafe {
            _mm256_storeu_ps(to.as_mut_ptr(), self.0);
            _mm256_storeu_ps(to.as_mut_ptr().add(8), self.1);
        }
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: see above.
        unsafe { Singles(_mm256_add_ps(self.0, other.0), _mm256_add_ps(self.1, other.1)) }
    }
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        // SAFETY: see above.
        unsafe { Singles(_mm256_sub_ps(self.0, other.0), _mm256_sub_ps(self.1, other.1)) }
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        // SAFETY: see above.
        unsafe { Singles(_mm256_mul_ps(self.0, other.0), _mm256_mul_ps(self.1, other.1)) }
    }
    #[inline(always)]
    fn mul_add(self, b: Self, c: Self) -> Self {
        // SAFETY: see above.
        unsafe { Singles(_mm256_fmadd_ps(self.0, b.0, c.0), _mm256_fmadd_ps(self.1, b.1, c.1)) }
    }
    #[inline(always)]
    fn neg_mul_add(self, b: Self, c: Self) -> Self {
        // SAFETY: see above.
        unsafe { Singles(_mm256_fnmadd_ps(self.0, b.0, c.0), _mm256_fnmadd_ps(self.1, b.1, c.1)) }
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        // SAFETY: see above.
        unsafe { Singles(_mm256_max_ps(self.0, other.0), _mm256_max_ps(self.1, other.1)) }
    }
    #[inline(always)]
    fn exp(self) -> Self {
        // SAFETY: see above.
        unsafe { Singles(exp_of_eight(self.0), exp_of_eight(self.1)) }
    }
    #[inline(always)]
    fn sum(self) -> f32 {
        // SAFETY: see above.
        unsafe { sum_of_eight(_mm256_add_ps(self.0, self.1)) }
    }
    #[inline(always)]
    fn largest(self) -> f32 {
        // SAFETY: see above.
        unsafe {
            let eight = _mm256_max_ps(self.0, self.1);
            let four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)))
        }
    }
}

/// `exp`, as `number::exp_single`.
///
/// # Safety
/// AVX2 and FMA must be there.
#[inline(always)]
unsafe fn exp_of_eight(given: __m256) -> __m256 {
    // SAFETY: as the caller promises.
    unsafe {
        let x = _mm256_min_ps(_mm256_max_ps(given, _mm256_set1_ps(LOWEST)), _mm256_set1_ps(HIGHEST));
        let n = _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(_mm256_mul_ps(
            x,
            _mm256_set1_ps(std::f32::consts::LOG2_E),
        ));
        let r = _mm256_fnmadd_ps(n, _mm256_set1_ps(LN2_HIGH), x);
        let r = _mm256_fnmadd_ps(n, _mm256_set1_ps(LN2_LOW), r);
        let mut p = _mm256_set1_ps(TAYLOR[0]);
        for c in &TAYLOR[1..] {
            p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(*c));
        }
        let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
        let power = _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent));
        let seen = _mm256_cmp_ps::<_CMP_NLT_UQ>(given, _mm256_set1_ps(LOWEST));
        _mm256_and_ps(_mm256_mul_ps(p, power), seen)
    }
}

/// The sum of eight numbers, taken in halves.
///
/// # Safety
/// AVX must be there.
#[inline(always)]
pub(super) unsafe fn sum_of_eight(eight: __m256) -> f32 {
    // SAFETY: as the caller promises.
    unsafe {
        let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
        let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
    }
}
