//! A model's sizes and constants.

use crate::CudaError;
use crate::attention::Heads;

/// What a forward pass needs to know besides the weights.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelShape {
    /// Layers `L`.
    pub layers: usize,
    /// The heads of a layer.
    pub heads: Heads,
    /// Width of the residual stream.
    pub width: usize,
    /// Width of the feed-forward layers.
    pub hidden: usize,
    /// Tokens of the vocabulary.
    pub vocabulary: usize,
    /// What RMS norms add to the mean square.
    pub norm_eps: f32,
    /// Whether rotary pair `i` is the dims `2 i` and `2 i + 1` of projections, and not `i` and `i + D / 2`.
    pub interleaved: bool,
    /// Radians a token of each rotary pair, `[D / 2]`.
    pub frequencies: Vec<f64>,
    /// Whether query, key and value projections have biases.
    pub biased: bool,
    /// Whether the output matrix is the token embedding.
    pub tied_output: bool,
}

impl ModelShape {
    /// Refuses what the kernels are not written for.
    ///
    /// # Errors
    /// [`CudaError::Shape`], [`CudaError::Length`].
    pub fn check(&self) -> Result<(), CudaError> {
        self.heads.check()?;
        for (what, got) in [("the width", self.width), ("the hidden width", self.hidden)] {
            if got == 0 || !got.is_multiple_of(8) {
                return Err(CudaError::Shape { what, expected: "a multiple of 8", got });
            }
        }
        for (what, got) in [("the number of layers", self.layers), ("the vocabulary", self.vocabulary)] {
            if !(1..=1 << 28).contains(&got) {
                return Err(CudaError::Shape { what, expected: "1 to 2^28", got });
            }
        }
        let (expected, got) = (self.heads.head_dim / 2, self.frequencies.len());
        if expected == got { Ok(()) } else { Err(CudaError::Length { what: "the frequencies", expected, got }) }
    }

    /// Numbers of the queries of a token.
    pub fn query_width(&self) -> usize {
        self.heads.heads * self.heads.head_dim
    }

    /// Numbers of the queries, keys and values of a token.
    pub fn qkv_width(&self) -> usize {
        (self.heads.heads + 2 * self.heads.kv_heads) * self.heads.head_dim
    }

    /// Bytes that a token's keys and values take in one layer, held whole.
    pub fn row_bytes(&self) -> usize {
        2 * self.heads.kv_heads * self.heads.head_dim * size_of::<half::bf16>()
    }
}
