//! Weights as model files store them: types, matrices, dequantisation, fused dot products.
//!
//! Weights stay as they are in the file. A matrix is read row by row: for prompts a row is
//! dequantised into floats ([`dequantise`]), for decoding it is multiplied with the activations
//! straight from its blocks ([`dot`]).
//!
//! The block layouts are those of the ggml library and are described field by field in
//! `small_blocks` and `k_blocks`; numbers are little-endian. Every format but the plain floats is
//! read in groups of 32 weights `w = scale * q + offset`, where only `q` is a weight's own.
//!
//! How fast each is on a core: `cargo run --release -p fourier-kv-kernels --example quant_speed`,
//! whose head has the figures seen.

pub mod activations;
#[cfg(target_arch = "x86_64")]
pub mod byte_dot;
mod dequantise;
mod dot;
mod float_rows;
mod k_blocks;
mod layout;
mod matrix;
pub mod product;
mod small_blocks;
mod weight_type;

pub use dequantise::dequantise;
pub use dot::{dot, dots};
pub use matrix::Matrix;
pub use weight_type::WeightType;

/// Why weights could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuantError {
    /// The number of columns is not a whole number of blocks, or too large to address.
    #[error("{ty} rows hold whole blocks of {block} weights, not {cols} weights")]
    RaggedRow {
        /// The weights' type.
        ty: WeightType,
        /// Weights in a block of that type.
        block: usize,
        /// Weights in a row that was asked for.
        cols: usize,
    },
    /// The bytes are not as many as the shape needs.
    #[error("{weights} weights of {ty} take {expected} bytes, not {found}")]
    Length {
        /// The weights' type.
        ty: WeightType,
        /// Weights asked for.
        weights: usize,
        /// Bytes they take.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
}
