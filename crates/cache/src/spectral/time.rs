//! Along time: blocks of tokens to harmonics.

use fourier_kv_kernels::isa::{Isa, Operation};
use fourier_kv_kernels::simd::Simd;
use fourier_kv_spectral::dct::Dct;

/// The orthonormal DCT-II of blocks of `B` tokens, `[B harmonics][B tokens]`.
///
/// # Panics
/// If `B` is 0 or larger than 64.
pub(super) fn cosines(block: usize) -> Vec<f32> {
    let dct = Dct::new(block).expect("settings allow blocks of 1 to 64 tokens");
    let mut cosines: Vec<f32> = dct.matrix().iter().map(|&c| c as f32).collect();
    cosines.shrink_to_fit();
    cosines
}

/// `[B][n]` harmonics of `[B][n]` tokens, by [`cosines`].
pub(super) fn to_harmonics(isa: Isa, cosines: &[f32], tokens: &[f32], harmonics: &mut [f32]) {
    isa.run(ToHarmonics { cosines, tokens, harmonics });
}

struct ToHarmonics<'a> {
    cosines: &'a [f32],
    tokens: &'a [f32],
    harmonics: &'a mut [f32],
}

impl Operation for ToHarmonics<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        let block = self.cosines.len().isqrt();
        let n = self.tokens.len() / block;
        for (sums, cosines) in self.harmonics.chunks_exact_mut(n).zip(self.cosines.chunks_exact(block)) {
            sums.fill(0.0);
            for (token, &c) in self.tokens.chunks_exact(n).zip(cosines) {
                for (sum, x) in sums.iter_mut().zip(token) {
                    *sum = V::mul_add(c, *x, *sum);
                }
            }
        }
    }
}
