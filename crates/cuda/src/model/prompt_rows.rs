//! What of a layer decides how its middle is kept, copied to the host.

use half::bf16;

use super::whole::Whole;
use crate::attention::Heads;
use crate::{Buffer, CudaError, Device};

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
    /// Of parts, `[PIECES][G][D]`.
    pub(super) fn of(parts: &[f32], heads: Heads, tokens: usize) -> Self {
        let numbers = heads.kv_heads * heads.head_dim;
        let mut sums = vec![0.0; numbers];
        for part in parts.chunks_exact(numbers) {
            sums.iter_mut().zip(part).for_each(|(sum, x)| *sum += f64::from(*x));
        }
        QueryEnergy { sums, tokens }
    }
}

/// Where sums of squared queries are.
#[derive(Clone, Copy, Debug)]
pub(super) enum EnergySource<'a> {
    /// Nobody asked for them.
    None,
    /// On the host.
    Host(&'a QueryEnergy),
    /// On the device, in parts, of so many tokens; soon others are there.
    Device(&'a Buffer<f32>, usize),
}

impl EnergySource<'_> {
    /// The sums, once the device has them.
    pub(super) fn read(self, heads: Heads) -> Result<QueryEnergy, CudaError> {
        match self {
            EnergySource::None => Ok(QueryEnergy::default()),
            EnergySource::Host(energy) => Ok(energy.clone()),
            EnergySource::Device(sums, tokens) => Ok(QueryEnergy::of(&sums.read()?, heads, tokens)),
        }
    }

    /// The same, to be read beside what the device goes on with, on any thread.
    pub(super) fn later(
        self,
        device: &Device,
        heads: Heads,
    ) -> Result<Box<dyn FnOnce() -> Result<QueryEnergy, CudaError> + Send>, CudaError> {
        let EnergySource::Device(sums, tokens) = self else {
            let energy = self.read(heads)?;
            return Ok(Box::new(move || Ok(energy)));
        };
        let mut own = device.uninitialised(sums.len())?;
        own.copy_from(0, sums, 0..sums.len())?;
        let own = own.read_beside(device)?;
        Ok(Box::new(move || Ok(QueryEnergy::of(&own.read()?, heads, tokens))))
    }
}

impl PromptRows {
    /// All rows from `first` on, whose first one has that position, too.
    pub(super) fn all(
        rows: &Whole,
        heads: Heads,
        layer: usize,
        (first, count): (usize, usize),
        energy: EnergySource<'_>,
    ) -> Result<Self, CudaError> {
        let [keys, values] = rows.read(heads, first, count)?;
        let energy = energy.read(heads)?;
        Ok(PromptRows {
            layer,
            tokens: count,
            starts: vec![first],
            run: count,
            keys,
            values,
            query_energy: energy.sums,
            queries: energy.tokens,
        })
    }
}
