//! Products of activations with weights that stay quantised.
//!
//! `out[n][rows] = x[n][cols] W^T + bias`. For a few tokens (decoding) each row of `W` is read once and multiplied as
//! it is unpacked ([`crate::quant::dots`], or [`crate::quant::byte_dot`] where that is fast): the time is that of reading the weights. For many (the prompt) runs of 32
//! rows are unpacked once for all tokens: to integers, if that is what the weights are ([`crate::quant::product`]), to
//! `f32` otherwise ([`crate::matmul`]).

use crate::matmul::{self, ColumnsMut};
use crate::quant::activations::{Activations, TILE};
#[cfg(target_arch = "x86_64")]
use crate::quant::byte_dot;
use crate::quant::product::{self, is_grouped};
use crate::quant::{Matrix, QuantError, dots};
use crate::workspace::{Scratch, Workspace};

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
    if n == 0 {
        assert!(products.iter().all(|p| p.out.is_empty()), "room for no tokens");
        return Ok(());
    }
    let outs = products.map(|p| {
        let rows = p.weight.rows();
        assert_eq!(p.weight.cols(), cols, "columns of matrices that share activations");
        assert_eq!(p.out.len(), n * rows, "room for {n} x {rows}");
        ColumnsMut::new(p.out, n, rows).runs(rows_a_task(rows, n))
    });
    // Rounded once for all matrices that multiply integers.
    let integers = n >= MANY_TOKENS && factors.iter().any(|(weight, _)| is_grouped(weight.ty()));
    workspace.with_scratch(|scratch| {
        let rounded = &mut scratch.activations;
        if integers {
            workspace.team().for_parts(rounded.tiles_mut(n, cols), |i, mut tile| {
                tile.round(workspace.isa(), &x[i * TILE * cols..((i + 1) * TILE).min(n) * cols]);
            });
        }
        #[cfg(target_arch = "x86_64")]
        if n < MANY_TOKENS && factors.iter().any(|(weight, _)| byte_dot::is_fast(workspace.isa(), weight.ty())) {
            byte_dot::round(workspace.isa(), x, &mut scratch.bytes);
        }
        let scratch = &*scratch;
        workspace.team().try_for_parts(outs, |_, (which, run, mut part)| {
            let (weight, bias) = &factors[which];
            let first = run * rows_a_task(weight.rows(), n);
            let task = Task { workspace, x, weight, first };
            match n {
                ..MANY_TOKENS => task.few(scratch, &mut part),
                _ if is_grouped(weight.ty()) => task.many_in_integers(&scratch.activations, &mut part),
                _ => task.many(&mut part)?,
            }
            if let Some(bias) = bias {
                add_bias(&bias[first..first + part.columns()], n, &mut part);
            }
            Ok(())
        })
    })
}

/// Rows of `W` a task: of a prompt as many as are multiplied together, for few tokens enough to be worth a task and few
/// enough to be shared out evenly. It depends on the shapes alone, so that results do not depend on the number of threads.
fn rows_a_task(rows: usize, n: usize) -> usize {
    const _: () = assert!(product::ROWS == matmul::ROWS);
    match n {
        ..MANY_TOKENS => (rows / 8).next_multiple_of(16).clamp(32, 256),
        _ => product::ROWS,
    }
}

/// Some rows of `W`, from `first` on: as many as the columns of what is written.
struct Task<'a> {
    workspace: &'a Workspace,
    x: &'a [f32],
    weight: &'a Matrix<'a>,
    first: usize,
}

impl Task<'_> {
    fn few(&self, rounded: &Scratch, out: &mut ColumnsMut<'_, f32>) {
        let rows = self.weight.row_range(self.first, out.columns());
        #[cfg(target_arch = "x86_64")]
        if byte_dot::is_fast(self.workspace.isa(), self.weight.ty()) {
            return byte_dot::dots(self.workspace.isa(), self.weight.ty(), rows, &rounded.bytes, out);
        }
        dots(self.workspace.isa(), self.weight.ty(), rows, self.x, self.weight.cols(), out);
    }

    fn many_in_integers(&self, rounded: &Activations, out: &mut ColumnsMut<'_, f32>) {
        let rows = self.weight.row_range(self.first, out.columns());
        self.workspace.with_scratch(|scratch| {
            product::multiply(self.workspace.isa(), self.weight.ty(), rows, rounded, &mut scratch.product, out);
        });
    }

    fn many(&self, out: &mut ColumnsMut<'_, f32>) -> Result<(), QuantError> {
        let (isa, rows, cols) = (self.workspace.isa(), out.columns(), self.weight.cols());
        self.workspace.with_scratch(|scratch| {
            scratch.floats.resize(rows * cols, 0.0);
            let unpacked = &mut scratch.floats[..rows * cols];
            self.weight.dequantise(isa, self.first, unpacked)?;
            matmul::multiply(isa, unpacked, self.x, cols, &mut scratch.matmul, out);
            Ok(())
        })
    }
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

    /// A prompt's pass may ask for no logits at all, whatever type the output matrix has.
    #[test]
    fn no_tokens_have_no_products() {
        for ty in [WeightType::Q6_K, WeightType::Q4_K, WeightType::Q8_0, WeightType::F32] {
            let bytes = vec![0; ty.row_bytes(256).unwrap() * 300];
            let matrix = Matrix::new(ty, 300, 256, &bytes).unwrap();
            linear(&Workspace::new(Isa::detect()), &[], &matrix, None, &mut []).unwrap();
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
