//! Tensors as files hold them: by name, in either format.

use std::collections::HashMap;
use std::ops::Range;

use fourier_kv_kernels::quant::{Matrix, WeightType};

use crate::buffer::Buffer;
use crate::error::WeightsError;

/// A tensor in one of a model's files.
#[derive(Debug, Clone)]
pub(crate) struct StoredTensor {
    /// Its name in the file.
    pub(crate) name: String,
    /// Dimensions, slowest first.
    pub(crate) shape: Vec<usize>,
    /// Its type, or the name or number of one that is not supported.
    pub(crate) ty: Result<WeightType, String>,
    /// The file's bytes.
    pub(crate) buffer: Buffer,
    /// Where in them it lies.
    pub(crate) range: Range<usize>,
}

impl StoredTensor {
    /// The tensor as a matrix of this shape; vectors are matrices of one row.
    pub(crate) fn matrix(&self, rows: usize, cols: usize) -> Result<Matrix<'_>, WeightsError> {
        let name = || self.name.clone();
        let ty = match &self.ty {
            Ok(ty) => *ty,
            Err(found) => {
                return Err(WeightsError::Type { name: name(), found: found.clone() });
            }
        };
        let bytes = self.buffer.as_slice().get(self.range.clone()).unwrap_or_default();
        Matrix::new(ty, rows, cols, bytes).map_err(|source| WeightsError::Stored { name: name(), source })
    }
}

/// All tensors of a model's files.
#[derive(Debug, Default)]
pub(crate) struct StoredTensors(HashMap<String, StoredTensor>);

impl StoredTensors {
    pub(crate) fn insert(&mut self, tensor: StoredTensor) -> Result<(), WeightsError> {
        match self.0.insert(tensor.name.clone(), tensor) {
            None => Ok(()),
            Some(twin) => Err(WeightsError::Duplicate { name: twin.name }),
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&StoredTensor> {
        self.0.get(name)
    }

    /// The tensors' names, sorted.
    pub(crate) fn into_names(self) -> Vec<String> {
        let mut names: Vec<String> = self.0.into_keys().collect();
        names.sort_unstable();
        names
    }
}
