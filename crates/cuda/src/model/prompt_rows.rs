//! What of a layer decides how its middle is kept, copied to the host.

use half::bf16;

use super::whole::Whole;
use crate::attention::Heads;
use crate::{Buffer, CudaError};

/// Pieces that sums over queries are made in, as in the source.
pub(super) const PIECES: usize = 64;

/// Rows of one layer of one sequence that its middle is made of, or a sample of them, and the queries that asked.
#[derive(Clone, Debug)]
pub struct PromptRows {
    /// The layer.
    pub layer: usize,
    /// Tokens that the middle is begun with.
    pub tokens: usize,
    /// The positions at which runs of rows begin.
    pub starts: Vec<usize>,
    /// Rows of a run.
    pub run: usize,
    /// Keys, with RoPE, `[G][runs][run][D]`.
    pub keys: Vec<bf16>,
    /// Values, likewise.
    pub values: Vec<bf16>,
    /// Sums of squared queries of the group, `[G][D]`.
    pub query_energy: Vec<f64>,
    /// Query tokens that were summed up.
    pub queries: usize,
}

/// Sums of squared queries of one layer.
#[derive(Clone, Debug, Default)]
pub(super) struct QueryEnergy {
    /// `[G][D]`.
    pub(super) sums: Vec<f64>,
    pub(super) tokens: usize,
}

impl QueryEnergy {
    /// Of sums on the device, `[PIECES][G][D]`.
    pub(super) fn read(sums: &Buffer<f32>, heads: Heads, tokens: usize) -> Result<Self, CudaError> {
        let numbers = heads.kv_heads * heads.head_dim;
        let parts = sums.read_range(0..PIECES * numbers)?;
        let mut sums = vec![0.0; numbers];
        for part in parts.chunks_exact(numbers) {
            sums.iter_mut().zip(part).for_each(|(sum, x)| *sum += f64::from(*x));
        }
        Ok(QueryEnergy { sums, tokens })
    }
}

impl PromptRows {
    /// All rows from `first` on, whose first one has that position, too.
    pub(super) fn all(
        rows: &Whole,
        heads: Heads,
        layer: usize,
        (first, count): (usize, usize),
        energy: &QueryEnergy,
    ) -> Result<Self, CudaError> {
        let [keys, values] = rows.read(heads, first, count)?;
        Ok(PromptRows {
            layer,
            tokens: count,
            starts: vec![first],
            run: count,
            keys,
            values,
            query_energy: energy.sums.clone(),
            queries: energy.tokens,
        })
    }
}
