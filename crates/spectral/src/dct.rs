//! The orthonormal DCT-II of short blocks: a Fourier basis of real numbers, without leakage around the block's ends.
//!
//! `X_n = c_n sum_t x_t cos(pi n (2t + 1) / 2B)` with `c_0 = sqrt(1/B)` and `c_n = sqrt(2/B)` after that. The matrix
//! is orthogonal, so its transpose is the way back and squared lengths stay as they are. `B` is the block's length.

use std::f64::consts::PI;
use std::fmt;

/// The longest block.
pub const MAX_BLOCK: usize = 64;

/// A block length that there is no transform for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadBlock {
    /// The length asked for.
    pub length: usize,
}

impl fmt::Display for BadBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected a block of 1 to {MAX_BLOCK} tokens, got {}", self.length)
    }
}

impl std::error::Error for BadBlock {}

/// The transform of blocks of one length.
#[derive(Clone, Debug)]
pub struct Dct {
    length: usize,
    /// `[n][t]`
    matrix: Vec<f64>,
}

impl Dct {
    /// For blocks of `length` samples, 1 to 64.
    pub fn new(length: usize) -> Result<Dct, BadBlock> {
        if !(1..=MAX_BLOCK).contains(&length) {
            return Err(BadBlock { length });
        }
        let entry = |at: usize| entry(length, at / length, at % length);
        Ok(Dct { length, matrix: (0..length * length).map(entry).collect() })
    }

    /// Samples in a block.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The matrix, `[n][t]`: row `n` is the basis function of harmonic `n`.
    pub fn matrix(&self) -> &[f64] {
        &self.matrix
    }

    /// The harmonics of a block.
    ///
    /// # Panics
    ///
    /// If the block has another length.
    pub fn forward(&self, x: &[f64]) -> Vec<f64> {
        assert_eq!(x.len(), self.length, "samples of a block");
        self.matrix.chunks_exact(self.length).map(|row| row.iter().zip(x).map(|(c, x)| c * x).sum()).collect()
    }

    /// The block that harmonics stand for.
    ///
    /// # Panics
    ///
    /// If the block has another length.
    pub fn inverse(&self, harmonics: &[f64]) -> Vec<f64> {
        assert_eq!(harmonics.len(), self.length, "harmonics of a block");
        let sample = |t| harmonics.iter().enumerate().map(|(n, x)| self.matrix[n * self.length + t] * x).sum();
        (0..self.length).map(sample).collect()
    }
}

/// `c_n cos(pi n (2t + 1) / 2B)`, the angle reduced in integers.
fn entry(length: usize, n: usize, t: usize) -> f64 {
    let quarter_turns = n * (2 * t + 1) % (4 * length);
    let scale = if n == 0 { 1.0 } else { 2.0 };
    (scale / length as f64).sqrt() * (PI * quarter_turns as f64 / (2 * length) as f64).cos()
}
