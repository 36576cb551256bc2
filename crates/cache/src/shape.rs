//! What a cache must know of the model it serves.

use std::sync::Arc;

/// The sizes of a model's attention.
#[derive(Clone, Debug, PartialEq)]
pub struct CacheShape {
    /// Layers `L`.
    pub layers: usize,
    /// Query heads `H`, a multiple of `kv_heads`.
    pub heads: usize,
    /// Key/value heads `G`.
    pub kv_heads: usize,
    /// Head dims `D`, even.
    pub head_dim: usize,
    /// Radians a token that each rotary pair turns by, `[D/2]`.
    pub rope_frequencies: Vec<f64>,
}

impl CacheShape {
    /// Query heads a key/value head.
    pub fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// Bytes that `tokens` tokens take when every number is kept in `width` bytes.
    pub fn exact_bytes(&self, tokens: usize, width: usize) -> usize {
        2 * self.layers * self.kv_heads * self.head_dim * tokens * width
    }
}

/// A model's sizes and what of its weights tells caches which numbers matter.
#[derive(Clone, Debug)]
pub struct CacheContext {
    /// The sizes.
    pub shape: Arc<CacheShape>,
    /// `[L][G][D]`: how strongly an error of a value dim shows in the residual stream, the squared norms of the
    /// columns of the output projection that the group's query heads multiply it with.
    pub output_energy: Arc<Vec<f32>>,
}

impl CacheContext {
    /// A context in which all value dims matter alike.
    pub fn uniform(shape: CacheShape) -> Self {
        let energy = vec![1.0; shape.layers * shape.kv_heads * shape.head_dim];
        CacheContext { shape: Arc::new(shape), output_energy: Arc::new(energy) }
    }

    /// The output energy of one head, `[D]`.
    pub fn output_energy(&self, layer: usize, head: usize) -> &[f32] {
        let (heads, dim) = (self.shape.kv_heads, self.shape.head_dim);
        &self.output_energy[(layer * heads + head) * dim..][..dim]
    }
}
