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
pub(crate) fn turned<T: Copy + Default>(matrix: &[T], columns: usize) -> Vec<T> {
    /// As many numbers as a cache line holds, and as many lines as there is room for where all are a power of two apart.
    const ROWS: usize = 16;
    const COLUMNS: usize = 8;
    let rows = matrix.len() / columns;
    let mut turned = vec![T::default(); rows * columns];
    for first_row in (0..rows).step_by(ROWS) {
        let from = &matrix[first_row * columns..];
        for first in (0..columns).step_by(COLUMNS) {
            for column in first..columns.min(first + COLUMNS) {
                let to = &mut turned[column * rows + first_row..(column + 1) * rows];
                let column = from.iter().skip(column).step_by(columns);
                to.iter_mut().take(ROWS).zip(column).for_each(|(to, x)| *to = *x);
            }
        }
    }
    turned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turning_puts_columns_in_rows() {
        for (rows, columns) in [(1, 1), (3, 40), (16, 8), (37, 21), (64, 1)] {
            let matrix: Vec<usize> = (0..rows * columns).collect();
            let turned = turned(&matrix, columns);
            let expected = (0..columns).flat_map(|column| (0..rows).map(move |row| row * columns + column));
            assert_eq!(turned, expected.collect::<Vec<_>>(), "{rows} x {columns}");
        }
    }
}
