//! What stands between tokens and words: the basis along time, and the code of coefficients.

use std::sync::Arc;

use fourier_kv_kernels::coded::LANES;
use fourier_kv_kernels::trellis::{Coefficients, EncodeScratch, PairWords, STEP, pair_values, split};
use fourier_kv_spectral::trellis::DISTORTION;

use super::scalar::ScalarCode;
use super::stream::Stream;
use super::time::cosines;
use super::without::Without;
use crate::Workspace;

/// Cosines and the trellis code, unless one of them is left out.
#[derive(Clone, Debug, Default)]
pub(super) struct Coding {
    single_tokens: bool,
    scalar: Option<Arc<ScalarCode>>,
}

impl Coding {
    pub(super) fn new(without: Without) -> Self {
        Coding { single_tokens: without.time, scalar: without.trellis.then(|| Arc::new(ScalarCode::new())) }
    }

    /// Heap bytes, once for all who share it.
    pub(super) fn bytes(without: Without) -> usize {
        if without.trellis { size_of::<ScalarCode>() + 2 * size_of::<usize>() } else { 0 }
    }

    /// Whether it is the one that attention in place is written for.
    pub(super) fn is_usual(&self) -> bool {
        !self.single_tokens && self.scalar.is_none()
    }

    /// Whether a token's coefficients are its own alone.
    pub(super) fn is_of_single_tokens(&self) -> bool {
        self.single_tokens
    }

    /// The orthonormal basis along time, `[B coefficients][B tokens]`.
    pub(super) fn basis(&self, block: usize) -> Vec<f32> {
        match self.single_tokens {
            true => (0..block * block).map(|at| f32::from(u8::from(at / block == at % block))).collect(),
            false => cosines(block),
        }
    }

    /// The mean squared error of a coefficient of this many bits, over its variance.
    pub(super) fn distortion(&self, bits: usize) -> f64 {
        self.scalar.as_ref().map_or(DISTORTION[bits], |scalar| scalar.distortion(bits))
    }

    /// Codes of sixteen streams, laid out in pairs if they are a trellis'.
    pub(super) fn encode(&self, coefficients: Coefficients<'_>, workspace: &Workspace, words: &mut [[u32; LANES]]) {
        match &self.scalar {
            Some(scalar) => scalar.encode(coefficients.values, coefficients.bits, words),
            None => {
                let bits: usize = coefficients.bits.iter().map(|&k| usize::from(k)).sum();
                let mut stream = vec![[0; LANES]; bits.div_ceil(32)];
                let scratch = &mut EncodeScratch::default();
                workspace.trellis().encode(workspace.isa(), coefficients, &mut stream, scratch);
                split(&stream, coefficients.bits, words);
            }
        }
    }

    /// The coefficients of sixteen streams, in the order of the stream.
    pub(super) fn decode(&self, words: &[[u32; LANES]], stream: &Stream, workspace: &Workspace) -> Vec<[f32; LANES]> {
        let mut values = vec![[0.0; LANES]; stream.bits.len()];
        match &self.scalar {
            Some(scalar) => scalar.decode(words, &stream.bits, &stream.sizes, &mut values),
            None => {
                let words = PairWords::new(words, stream.words[0]);
                pair_values(workspace.isa(), words, workspace.trellis().pairs(), &stream.pairs, &mut values);
                for (lanes, size) in values.iter_mut().zip(&stream.sizes) {
                    lanes.iter_mut().for_each(|x| *x *= STEP * size);
                }
            }
        }
        values
    }
}
