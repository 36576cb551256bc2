//! What a cache must know of the model it serves.

use std::sync::{Arc, OnceLock};

use crate::roots::OutputRoots;

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
    /// `[L][G][D][D]`, see [`CacheContext::new`].
    output_grams: Arc<Vec<f32>>,
    /// `[L][G][D]`: the diagonals of the Gram matrices.
    output_energy: Arc<Vec<f32>>,
    output_roots: Arc<OnceLock<OutputRoots>>,
}

impl CacheContext {
    /// `output_grams`, `[L][G][D][D]`, says how errors of value dims show in the residual stream: an error `e`, `[D]`, in
    /// the values of a head is there, squared, `e^T A e`, where `A` is the sum of `W_h^T W_h` over the head's query heads,
    /// and `W_h`, `[width][D]`, the columns of the output projection that they are multiplied with.
    ///
    /// # Panics
    /// If the lengths do not fit.
    pub fn new(shape: CacheShape, output_grams: Vec<f32>) -> Self {
        let dim = shape.head_dim;
        assert_eq!(output_grams.len(), shape.layers * shape.kv_heads * dim * dim, "Gram matrices for {shape:?}");
        let energy = output_grams.chunks_exact(dim * dim).flat_map(|gram| gram.iter().copied().step_by(dim + 1));
        CacheContext {
            output_energy: Arc::new(energy.collect()),
            shape: Arc::new(shape),
            output_grams: Arc::new(output_grams),
            output_roots: Arc::default(),
        }
    }

    /// A context in which all value dims matter alike.
    pub fn uniform(shape: CacheShape) -> Self {
        let energy = vec![1.0; shape.layers * shape.kv_heads * shape.head_dim];
        CacheContext::with_energy(shape, &energy)
    }

    /// A context in which value dims matter as `energy`, `[L][G][D]`, says, each by itself.
    ///
    /// # Panics
    /// If the lengths do not fit.
    pub fn with_energy(shape: CacheShape, energy: &[f32]) -> Self {
        let dim = shape.head_dim;
        let mut grams = vec![0.0; energy.len() * dim];
        for (i, &e) in energy.iter().enumerate() {
            grams[i * dim + i % dim] = e;
        }
        CacheContext::new(shape, grams)
    }

    /// The output energy of one head, `[D]`: squared norms of columns of the output projection.
    pub fn output_energy(&self, layer: usize, head: usize) -> &[f32] {
        let (heads, dim) = (self.shape.kv_heads, self.shape.head_dim);
        &self.output_energy[(layer * heads + head) * dim..][..dim]
    }

    /// Square roots of the Gram matrices; computed at the first call for all who share this context.
    pub(crate) fn output_roots(&self) -> &OutputRoots {
        self.output_roots.get_or_init(|| OutputRoots::new(&self.output_grams, self.shape.head_dim))
    }
}
