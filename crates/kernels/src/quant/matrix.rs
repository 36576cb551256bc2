//! A matrix of stored weights.

use super::{QuantError, WeightType, dequantise, dot};
use crate::isa::Isa;

/// A row-major matrix `[rows = outputs, cols = inputs]` of stored weights, borrowed from where they
/// lie. Its bytes are as many as its shape needs: [`Matrix::new`] sees to it.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    ty: WeightType,
    rows: usize,
    cols: usize,
    bytes: &'a [u8],
}

impl<'a> Matrix<'a> {
    /// A view of `bytes` as `rows` rows of `cols` weights.
    ///
    /// # Errors
    ///
    /// If a row is no whole number of blocks, or `bytes` is not exactly as long as the shape needs.
    pub fn new(ty: WeightType, rows: usize, cols: usize, bytes: &'a [u8]) -> Result<Matrix<'a>, QuantError> {
        let ragged = || QuantError::RaggedRow { ty, block: ty.block_len(), cols };
        let row_bytes = ty.row_bytes(cols).ok_or_else(ragged)?;
        let expected = row_bytes.checked_mul(rows).ok_or_else(ragged)?;
        let found = bytes.len();
        if expected != found {
            let weights = rows.saturating_mul(cols);
            return Err(QuantError::Length { ty, weights, expected, found });
        }
        Ok(Matrix { ty, rows, cols, bytes })
    }

    /// How the weights are stored.
    pub fn ty(&self) -> WeightType {
        self.ty
    }

    /// Number of rows: outputs.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns: inputs.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The bytes of all rows.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The bytes of one row.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    pub fn row(&self, row: usize) -> &'a [u8] {
        self.row_range(row, 1)
    }

    /// The bytes of `count` rows from `first` on.
    ///
    /// # Panics
    ///
    /// If there are no such rows.
    pub fn row_range(&self, first: usize, count: usize) -> &'a [u8] {
        assert!(first <= self.rows && count <= self.rows - first, "{count} rows from row {first} of {}", self.rows);
        // exact: the bytes are `rows` equal rows
        let row_bytes = self.bytes.len() / self.rows.max(1);
        &self.bytes[first * row_bytes..(first + count) * row_bytes]
    }

    /// Dequantises `out.len() / cols` rows from `first` on.
    ///
    /// # Errors
    ///
    /// If `out` is no whole number of rows.
    ///
    /// # Panics
    ///
    /// If there are no such rows.
    pub fn dequantise(&self, isa: Isa, first: usize, out: &mut [f32]) -> Result<(), QuantError> {
        let count = out.len() / self.cols.max(1);
        dequantise(isa, self.ty, self.row_range(first, count), out)
    }

    /// The dot product of row `row` and `x` (`cols` activations).
    ///
    /// # Panics
    ///
    /// If there is no such row, or `x` is not `cols` long.
    #[inline]
    pub fn dot(&self, isa: Isa, row: usize, x: &[f32]) -> f32 {
        dot(isa, self.ty, self.row(row), x)
    }
}
