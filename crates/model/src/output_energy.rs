//! How strongly an error in a value dim shows in the residual stream.

use fourier_kv_kernels::parts::Chunks;
use fourier_kv_kernels::quant::{Matrix, QuantError};
use fourier_kv_kernels::workspace::Workspace;

use crate::config::ModelConfig;

/// Rows of the projection a task.
const ROWS: usize = 64;

/// `[G][D]`: squared norms of the columns of the output projection, summed over the query heads of each group.
///
/// `projection` is `[width][H D]`. An error `e` in value dim `d` of head `g` reaches the residual stream as
/// `sum_h p_h e W[:, h D + d]`; with weights of equal size that is, squared, `e^2` times this number.
pub(crate) fn output_energy(
    config: &ModelConfig,
    projection: &Matrix<'_>,
    workspace: &Workspace,
) -> Result<Vec<f32>, QuantError> {
    let (columns, dim) = (projection.cols(), config.head_dim);
    // Runs of rows add up by themselves, then to one another in order: any number of threads gives the same sums.
    let mut sums = vec![0.0f64; projection.rows().div_ceil(ROWS) * columns];
    workspace.team().try_for_parts(Chunks::new(&mut sums, columns), |run, sums| {
        let mut row = vec![0.0f32; columns];
        for i in run * ROWS..projection.rows().min((run + 1) * ROWS) {
            projection.dequantise(workspace.isa(), i, &mut row)?;
            sums.iter_mut().zip(&row).for_each(|(sum, &w)| *sum += f64::from(w).powi(2));
        }
        Ok(())
    })?;
    let square = |column: usize| sums.iter().skip(column).step_by(columns).sum::<f64>();
    let group = config.heads / config.kv_heads;
    let mut energy = vec![0.0; config.kv_heads * dim];
    for column in 0..columns {
        energy[column / dim / group * dim + column % dim] += square(column) as f32;
    }
    Ok(energy)
}
