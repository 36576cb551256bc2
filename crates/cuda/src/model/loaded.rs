//! A model on a device, ready to compute.

use std::path::Path;
use std::sync::Arc;

use super::append::AppendKernels;
use super::rows::RowKernels;
use super::{ModelShape, Weights};
use crate::attention::prompt::PromptAttention;
use crate::product::Products;
use crate::{CudaError, Device};

/// A model on a device: its weights, and all that its passes need besides the pasts.
#[derive(Debug)]
pub struct Model {
    device: Arc<Device>,
    pub(super) weights: Weights,
    pub(super) products: Products,
    pub(super) rows: RowKernels,
    pub(super) append: AppendKernels,
    pub(super) prompt: PromptAttention,
}

impl Model {
    /// Takes weights that are written; `blas` is the path of cuBLASLt, where it is not found by name.
    ///
    /// # Errors
    /// [`CudaError::NoBlas`], [`CudaError::Shape`], [`CudaError::Memory`]; those of the compiler.
    pub fn new(device: Arc<Device>, weights: Weights, blas: Option<&Path>) -> Result<Self, CudaError> {
        let shape = weights.shape();
        Ok(Model {
            products: Products::new(&device, blas)?,
            rows: RowKernels::new(&device)?,
            append: AppendKernels::new(&device, shape)?,
            prompt: PromptAttention::new(&device, shape.heads)?,
            device,
            weights,
        })
    }

    /// The device that it is on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Its sizes.
    pub fn shape(&self) -> &ModelShape {
        self.weights.shape()
    }

    /// Bytes of its weights.
    pub fn weight_bytes(&self) -> usize {
        self.weights.bytes()
    }
}
