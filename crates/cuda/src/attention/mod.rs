//! Attention: one query token of each of B sequences over its past, or a prompt over itself; and what it goes over.

pub mod code;
pub mod encode;
mod encode_tables;
pub mod exact;
pub mod fourier;
pub mod prompt;
pub mod seal;
pub mod spectral;
mod spectral_levels;
mod spectral_rows;
mod spectral_tables;
mod spectral_turns;
mod spectral_units;

use cudarc::driver::DeviceRepr;

use crate::{Buffer, CudaError, Device};

/// Heads of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Query heads `H`.
    pub heads: usize,
    /// Key/value heads `G`.
    pub kv_heads: usize,
    /// Head dims `D`.
    pub head_dim: usize,
}

impl Heads {
    /// Query heads of a key/value head.
    pub fn group(&self) -> usize {
        self.heads / self.kv_heads.max(1)
    }

    /// Refuses what the kernels are not written for.
    ///
    /// # Errors
    /// [`CudaError::Shape`].
    pub fn check(&self) -> Result<(), CudaError> {
        let shape = |what, expected, got| Err(CudaError::Shape { what, expected, got });
        if self.kv_heads == 0 || !self.heads.is_multiple_of(self.kv_heads) {
            return shape("the number of query heads", "a multiple of that of key/value heads", self.heads);
        }
        if !(1..=8).contains(&self.group()) {
            return shape("the number of query heads of a key/value head", "1 to 8", self.group());
        }
        if !self.head_dim.is_multiple_of(32) || !(32..=128).contains(&self.head_dim) {
            return shape("the number of head dims", "a multiple of 32 up to 128", self.head_dim);
        }
        Ok(())
    }
}

/// Tokens of one sequence that are held whole, as kernels are told of them.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct TokensView {
    /// Where the keys begin: `[G][capacity][D]` in `bf16`.
    pub keys: u64,
    /// Where the values begin, likewise.
    pub values: u64,
    /// Tokens there are.
    pub count: u32,
    /// Tokens there is room for.
    pub capacity: u32,
}

// SAFETY: plain numbers in the order and with the sizes of `Tokens` in kernels/tokens.cuh.
unsafe impl DeviceRepr for TokensView {}

impl TokensView {
    /// No rows.
    pub(crate) const NONE: TokensView = TokensView { keys: 0, values: 0, count: 0, capacity: 0 };
}

/// The softmax's scale in powers of two.
pub(crate) fn scale(head_dim: usize) -> f32 {
    (std::f64::consts::LOG2_E / (head_dim as f64).sqrt()) as f32
}

/// States of the pieces of `rows` query rows.
#[derive(Debug)]
pub(crate) struct StateBuffers {
    max: Buffer<f32>,
    sum: Buffer<f32>,
    out: Buffer<f32>,
}

/// The same, as kernels are told of it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct StatesView {
    max: u64,
    sum: u64,
    out: u64,
}

// SAFETY: three addresses, as `States` in kernels/tokens.cuh.
unsafe impl DeviceRepr for StatesView {}

impl StateBuffers {
    pub(crate) fn new(device: &Device, states: usize, dim: usize) -> Result<Self, CudaError> {
        Ok(StateBuffers {
            max: device.uninitialised(states)?,
            sum: device.uninitialised(states)?,
            out: device.uninitialised(states * dim)?,
        })
    }

    pub(crate) fn view(&self) -> StatesView {
        StatesView { max: self.max.address(), sum: self.sum.address(), out: self.out.address() }
    }
}
