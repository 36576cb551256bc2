//! How strongly an error in a value dim shows in the residual stream.

use fourier_kv_kernels::isa::Isa;
use fourier_kv_kernels::quant::{Matrix, QuantError};
use rayon::prelude::*;

use crate::config::ModelConfig;

/// `[G][D]`: squared norms of the columns of the output projection, summed over the query heads of each group.
///
/// `projection` is `[width][H D]`. An error `e` in value dim `d` of head `g` reaches the residual stream as
/// `sum_h p_h e W[:, h D + d]`; with weights of equal size that is, squared, `e^2` times this number.
pub(crate) fn output_energy(config: &ModelConfig, projection: &Matrix<'_>, isa: Isa) -> Result<Vec<f32>, QuantError> {
    let (columns, dim) = (projection.cols(), config.head_dim);
    let squares = (0..projection.rows())
        .into_par_iter()
        .map_init(
            || vec![0.0f32; columns],
            |row, i| -> Result<Vec<f64>, QuantError> {
                projection.dequantise(isa, i, row)?;
                Ok(row.iter().map(|&w| f64::from(w) * f64::from(w)).collect())
            },
        )
        .try_reduce(|| vec![0.0; columns], |a, b| Ok(a.iter().zip(&b).map(|(x, y)| x + y).collect()))?;
    let group = config.heads / config.kv_heads;
    let mut energy = vec![0.0; config.kv_heads * dim];
    for (column, square) in squares.iter().enumerate() {
        energy[column / dim / group * dim + column % dim] += *square as f32;
    }
    Ok(energy)
}
