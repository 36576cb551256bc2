//! Products of small matrices.

use fourier_kv_kernels::matmul::{ColumnsMut, ROWS, multiply};
use fourier_kv_kernels::team::Team;

use crate::Workspace;

/// `out[n][rows] = x[n][cols] weights^T`, with `weights` `[rows][cols]`.
pub(crate) fn product(workspace: &Workspace, weights: &[f32], x: &[f32], cols: usize, out: &mut Vec<f32>) {
    product_by(workspace.team(), workspace, weights, x, cols, out);
}

/// The same on the calling thread alone, for tasks that run beside others.
pub(crate) fn product_alone(workspace: &Workspace, weights: &[f32], x: &[f32], cols: usize, out: &mut Vec<f32>) {
    product_by(&Team::alone(), workspace, weights, x, cols, out);
}

fn product_by(team: &Team, workspace: &Workspace, weights: &[f32], x: &[f32], cols: usize, out: &mut Vec<f32>) {
    let (rows, count) = (weights.len() / cols, x.len() / cols);
    out.resize(count * rows, 0.0);
    team.for_parts(ColumnsMut::new(out, count, rows).runs(ROWS), |i, mut part| {
        let weights = &weights[i * ROWS * cols..][..part.columns() * cols];
        workspace.with_scratch(|scratch| multiply(workspace.isa(), weights, x, cols, &mut scratch.matmul, &mut part));
    });
}

/// `[columns][rows]` of `matrix`, `[rows][columns]`.
pub(crate) fn turned(matrix: &[f32], columns: usize) -> Vec<f32> {
    let rows = matrix.len() / columns;
    (0..matrix.len()).map(|at| matrix[at % rows * columns + at / rows]).collect()
}
