//! Products of activations with weights that stay quantised.
//!
//! `out[n][rows] = x[n][cols] W^T + bias`. For a few tokens (decoding) each row of `W` is read once and multiplied as
//! it is unpacked: the time is that of reading the weights. For many (the prompt) runs of rows are unpacked to `f32`
//! once for all tokens and multiplied by matrix products; unpacking costs `rows cols` of `2 n rows cols` operations.

use crate::matmul::{ColumnsMut, View, multiply};
use crate::quant::{Matrix, QuantError};
use crate::workspace::Workspace;

/// From this many tokens on, unpacking for matrix products pays.
const MANY_TOKENS: usize = 6;

/// One of several products with the same activations; see [`linear_many`].
#[derive(Debug)]
pub struct Product<'a> {
    /// `[rows][cols]`.
    pub weight: Matrix<'a>,
    /// `[rows]`.
    pub bias: Option<&'a [f32]>,
    /// `[n][rows]`.
    pub out: &'a mut [f32],
}

/// Multiplies activations `x`, `[n][cols]`, with a weight matrix; `out` is `[n][rows]`, `bias` is `[rows]`.
///
/// Runs on the workspace's team. The result does not depend on how many threads that is.
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
    linear_many(workspace, x, [Product { weight: *weight, bias, out }])
}

/// Multiplies activations `x`, `[n][cols]`, with several weight matrices of as many columns, as [`linear`] does with
/// one, in a single run of the team.
///
/// # Errors
/// If a matrix's bytes do not hold its rows.
///
/// # Panics
/// If the lengths do not fit.
pub fn linear_many<const N: usize>(
    workspace: &Workspace,
    x: &[f32],
    products: [Product<'_>; N],
) -> Result<(), QuantError> {
    let factors = products.each_ref().map(|p| (p.weight, p.bias));
    let Some((first, _)) = factors.first() else { return Ok(()) };
    let (cols, n) = (first.cols(), x.len() / first.cols());
    let outs = products.map(|p| {
        let rows = p.weight.rows();
        assert_eq!(p.weight.cols(), cols, "columns of matrices that share activations");
        assert_eq!(p.out.len(), n * rows, "room for {n} x {rows}");
        ColumnsMut::new(p.out, n, rows).runs(rows_a_task(rows))
    });
    workspace.team().try_for_parts(outs, |_, (which, run, mut part)| {
        let (weight, bias) = &factors[which];
        let first = run * rows_a_task(weight.rows());
        if n < MANY_TOKENS {
            few(workspace, x, weight, first, &mut part);
        } else {
            many(workspace, x, weight, first, &mut part)?;
        }
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

fn few(workspace: &Workspace, x: &[f32], weight: &Matrix<'_>, first: usize, out: &mut ColumnsMut<'_, f32>) {
    for (t, x) in x.chunks_exact(weight.cols()).enumerate() {
        for (i, o) in out.row(t).iter_mut().enumerate() {
            *o = weight.dot(workspace.isa(), first + i, x);
        }
    }
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
        let x = View::new(x, x.len() / cols, cols);
        multiply(x, View::new(unpacked, rows, cols).transposed(), out, false);
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
    use crate::team::Team;

    /// Together, alone, and on any number of threads: the same bits.
    #[test]
    fn products_in_one_run_equal_those_one_by_one() {
        let cols = 96;
        let bytes: Vec<u8> = (0..300 * cols).flat_map(|i| ((i as f32 * 0.7).sin()).to_le_bytes()).collect();
        let weight = |rows: usize| Matrix::new(WeightType::F32, rows, cols, &bytes[..rows * cols * 4]).unwrap();
        let bias: Vec<f32> = (0..70).map(|i| i as f32).collect();
        for n in [1, 3, 40] {
            let x: Vec<f32> = (0..n * cols).map(|i| (i as f32 * 0.13).cos()).collect();
            let alone = Workspace::new(Isa::detect());
            let (mut a, mut b) = (vec![0.0; n * 300], vec![0.0; n * 70]);
            linear(&alone, &x, &weight(300), None, &mut a).unwrap();
            linear(&alone, &x, &weight(70), Some(&bias), &mut b).unwrap();
            for threads in [1, 2, 5] {
                let workspace = Workspace::with_team(Isa::detect(), Team::new(threads).unwrap());
                let (mut c, mut d) = (vec![f32::NAN; n * 300], vec![f32::NAN; n * 70]);
                let products = [
                    Product { weight: weight(300), bias: None, out: &mut c },
                    Product { weight: weight(70), bias: Some(&bias), out: &mut d },
                ];
                linear_many(&workspace, &x, products).unwrap();
                assert!(a == c && b == d, "{n} tokens, {threads} threads");
            }
        }
    }

    #[test]
    fn equals_the_definition_for_any_number_of_tokens() {
        let (rows, cols) = (100, 64);
        let weights: Vec<f32> = (0..rows * cols).map(|i| (i as f32 * 0.37).sin()).collect();
        let bytes: Vec<u8> = weights.iter().flat_map(|w| w.to_le_bytes()).collect();
        let matrix = Matrix::new(WeightType::F32, rows, cols, &bytes).unwrap();
        let bias: Vec<f32> = (0..rows).map(|i| i as f32 * 0.01).collect();
        for isa in Isa::available() {
            let workspace = Workspace::with_team(isa, Team::new(2).unwrap());
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
