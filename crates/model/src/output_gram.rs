//! How errors in value dims show in the residual stream.

use fourier_kv_kernels::parts::Chunks;
use fourier_kv_kernels::quant::{Matrix, QuantError};
use fourier_kv_kernels::workspace::Workspace;

use crate::config::ModelConfig;

/// Rows of the projection a task.
const ROWS: usize = 256;

/// `[G][D][D]`: for each key/value head the sum of `W^T W` over the query heads of its group, where `W` are the columns
/// of the output projection that a query head's output is multiplied with.
///
/// `projection` is `[width][H D]`. An error `e`, `[D]`, in the values of head `g` reaches the residual stream as
/// `sum_h p_h W_h e`; with weights of equal size that is, squared, `e^T A e` with this `A`.
pub(crate) fn output_gram(
    config: &ModelConfig,
    projection: &Matrix<'_>,
    workspace: &Workspace,
) -> Result<Vec<f32>, QuantError> {
    let (columns, dim) = (projection.cols(), config.head_dim);
    let (group, square) = (config.heads / config.kv_heads, dim * dim);
    let size = config.kv_heads * square;
    // Runs of rows add up by themselves, then to one another in order: any number of threads gives the same sums.
    let mut sums = vec![0.0f32; projection.rows().div_ceil(ROWS) * size];
    workspace.team().try_for_parts(Chunks::new(&mut sums, size), |run, sums| {
        let mut row = vec![0.0f32; columns];
        for i in run * ROWS..projection.rows().min((run + 1) * ROWS) {
            projection.dequantise(workspace.isa(), i, &mut row)?;
            for (head, part) in row.chunks_exact(dim).enumerate() {
                add_outer(part, &mut sums[head / group * square..][..square]);
            }
        }
        Ok(())
    })?;
    let mut gram = vec![0.0f64; size];
    for run in sums.chunks_exact(size) {
        gram.iter_mut().zip(run).for_each(|(sum, x)| *sum += f64::from(*x));
    }
    Ok(gram.into_iter().map(|x| x as f32).collect())
}

/// Adds `x x^T`.
fn add_outer(x: &[f32], sum: &mut [f32]) {
    for (row, &a) in sum.chunks_exact_mut(x.len()).zip(x) {
        row.iter_mut().zip(x).for_each(|(sum, b)| *sum += a * b);
    }
}
