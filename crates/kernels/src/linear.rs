//! Products of activations with weights that stay quantised.
//!
//! `out[n][rows] = x[n][cols] W^T + bias`. For a few tokens (decoding) each row of `W` is read once and multiplied as
//! it is unpacked: the time is that of reading the weights. For many (the prompt) runs of rows are unpacked to `f32`
//! once for all tokens and multiplied by matrix products; unpacking costs `rows cols` of `2 n rows cols` operations.

use rayon::prelude::*;

use crate::matmul::{self, ColumnsMut};
use crate::quant::activations::TILE;
use crate::quant::product::{self, is_grouped};
use crate::quant::{Matrix, QuantError, dots};
use crate::workspace::Workspace;

/// From this many tokens on, unpacking for matrix products pays.
const MANY_TOKENS: usize = 6;

/// Multiplies activations `x`, `[n][cols]`, with a weight matrix; `out` is `[n][rows]`, `bias` is `[rows]`.
///
/// Runs on the threads of the current rayon pool. The result does not depend on how many they are.
///
/// # Errors
/// If the matrix's bytes do not hold its rows.
///
/// # Panics
/// If the lengths do not fit.
pub fn linear(
    workspace: &Workspace,
    x: &[f32],
    weight: &Matrix<'_>,
    bias: Option<&[f32]>,
    out: &mut [f32],
) -> Result<(), QuantError> {
    let (rows, cols) = (weight.rows(), weight.cols());
    let n = x.len() / cols;
    assert_eq!(out.len(), n * rows, "room for {n} x {rows}");
    if n < MANY_TOKENS {
        return by_rows(out, n, rows, rows_a_task(rows), bias, |first, part| few(workspace, x, weight, first, part));
    }
    if !is_grouped(weight.ty()) {
        return by_rows(out, n, rows, matmul::ROWS, bias, |first, part| many(workspace, x, weight, first, part));
    }
    workspace.with_scratch(|scratch| {
        let rounded = &mut scratch.activations;
        let tiles: Vec<_> = rounded.tiles_mut(n, cols).zip(x.chunks(TILE * cols)).collect();
        tiles.into_par_iter().for_each(|(mut tile, x)| tile.round(workspace.isa(), x));
        let rounded = &scratch.activations;
        by_rows(out, n, rows, product::ROWS, bias, |first, part| {
            workspace.with_scratch(|scratch| {
                let rows = weight.row_range(first, part.columns());
                product::multiply(workspace.isa(), weight.ty(), rows, rounded, &mut scratch.product, part);
            });
            Ok(())
        })
    })
}

/// Runs `task(first row, columns of out)` over runs of rows in parallel, and adds the bias.
fn by_rows(
    out: &mut [f32],
    n: usize,
    rows: usize,
    run: usize,
    bias: Option<&[f32]>,
    task: impl Fn(usize, &mut ColumnsMut<'_, f32>) -> Result<(), QuantError> + Sync,
) -> Result<(), QuantError> {
    let parts: Vec<_> =
        ColumnsMut::new(out, n, rows).split(run).into_iter().enumerate().map(|(i, part)| (i * run, part)).collect();
    parts.into_par_iter().try_for_each(|(first, mut part)| {
        task(first, &mut part)?;
        if let Some(bias) = bias {
            add_bias(&bias[first..first + part.columns()], n, &mut part);
        }
        Ok(())
    })
}

/// Rows of `W` a task: enough tasks to share out evenly, each large enough to be worth one. It depends on the matrix
/// alone, so that results do not depend on the number of threads.
fn rows_a_task(rows: usize) -> usize {
    (rows / 8).next_multiple_of(16).clamp(32, 256)
}

fn few(
    workspace: &Workspace,
    x: &[f32],
    weight: &Matrix<'_>,
    first: usize,
    out: &mut ColumnsMut<'_, f32>,
) -> Result<(), QuantError> {
    let rows = weight.row_range(first, out.columns());
    dots(workspace.isa(), weight.ty(), rows, x, weight.cols(), out);
    Ok(())
}

fn many(
    workspace: &Workspace,
    x: &[f32],
    weight: &Matrix<'_>,
    first: usize,
    out: &mut ColumnsMut<'_, f32>,
) -> Result<(), QuantError> {
    let (rows, cols) = (out.columns(), weight.cols());
    workspace.with_scratch(|scratch| {
        scratch.floats.resize(rows * cols, 0.0);
        let unpacked = &mut scratch.floats[..rows * cols];
        weight.dequantise(workspace.isa(), first, unpacked)?;
        matmul::multiply(workspace.isa(), unpacked, x, cols, &mut scratch.matmul, out);
        Ok(())
    })
}

fn add_bias(bias: &[f32], n: usize, out: &mut ColumnsMut<'_, f32>) {
    for t in 0..n {
        for (o, b) in out.row(t).iter_mut().zip(bias) {
            *o += b;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;
    use crate::quant::WeightType;

    #[test]
    fn equals_the_definition_for_any_number_of_tokens() {
        let (rows, cols) = (100, 64);
        let weights: Vec<f32> = (0..rows * cols).map(|i| (i as f32 * 0.37).sin()).collect();
        let bytes: Vec<u8> = weights.iter().flat_map(|w| w.to_le_bytes()).collect();
        let matrix = Matrix::new(WeightType::F32, rows, cols, &bytes).unwrap();
        let bias: Vec<f32> = (0..rows).map(|i| i as f32 * 0.01).collect();
        for isa in Isa::available() {
            let workspace = Workspace::new(isa);
            for n in [0, 1, 2, 5, 6, 7, 33] {
                let x: Vec<f32> = (0..n * cols).map(|i| (i as f32 * 0.11).cos()).collect();
                let mut out = vec![f32::NAN; n * rows];
                linear(&workspace, &x, &matrix, Some(&bias), &mut out).unwrap();
                for t in 0..n {
                    for r in 0..rows {
                        let sum: f64 =
                            (0..cols).map(|c| f64::from(weights[r * cols + c]) * f64::from(x[t * cols + c])).sum();
                        assert!((f64::from(out[t * rows + r]) - sum - f64::from(bias[r])).abs() < 1e-5, "{n} on {isa}");
                    }
                }
            }
        }
    }
}
