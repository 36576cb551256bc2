//! The directions that rows vary most in.

use fourier_kv_kernels::element::{load_all, store_all};
use half::{bf16, f16};

use crate::product::{product, turned};
use crate::Workspace;
use crate::bytes::held;
use crate::eigen::eigen;
use crate::park::{ParkError, SectionReader, SectionWriter, Tag};

const MEAN: Tag = *b"mean";
const DIRECTIONS: Tag = *b"dirs";

/// Bytes of a number of a basis.
pub(super) const BASIS_WIDTH: usize = size_of::<f16>();
/// Bytes of a number of a mean.
pub(super) const MEAN_WIDTH: usize = size_of::<f32>();

/// What is done with rows, `[n][D]` at a time; it may change them.
pub(super) type RowsTask<'a> = dyn FnMut(&mut [f32]) + 'a;

/// `r` directions at right angles, and the mean that they begin at.
#[derive(Clone, Debug)]
pub(super) struct Basis {
    rank: usize,
    mean: Vec<f32>,
    /// `[D][r]`: as rows are rebuilt. No number is above 1, so `f16` is the finest that 16 bits can be.
    directions: Vec<f16>,
}

impl Basis {
    /// The best for rows of `dim` in the sense of least squares. `walk` shows all of them to its task, `[n][D]` at a
    /// time.
    pub(super) fn of(dim: usize, rank: usize, workspace: &Workspace, walk: impl Fn(&mut RowsTask<'_>)) -> Self {
        let (mut sum, mut count) = (vec![0.0; dim], 0);
        walk(&mut |rows| {
            count += rows.len() / dim;
            for row in rows.chunks_exact(dim) {
                sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x));
            }
        });
        let mean: Vec<f32> = sum.iter().map(|sum| (sum / f64::from(count.max(1) as u32)) as f32).collect();
        let (mut gram, mut block) = (vec![0.0; dim * dim], Vec::new());
        walk(&mut |rows| {
            subtract(&mean, rows);
            let columns = turned(rows, dim);
            product(workspace, &columns, &columns, rows.len() / dim, &mut block);
            gram.iter_mut().zip(&block).for_each(|(sum, x)| *sum += f64::from(*x));
        });
        let (_, vectors) = eigen(&gram, dim);
        let number = |at: usize| f16::from_f64(vectors[at % rank * dim + at / rank]);
        Basis { rank, mean, directions: (0..dim * rank).map(number).collect() }
    }

    /// Directions `r`.
    pub(super) fn rank(&self) -> usize {
        self.rank
    }

    /// The directions as floats, `[D][r]`.
    pub(super) fn load(&self, out: &mut Vec<f32>) {
        out.resize(self.directions.len(), 0.0);
        load_all(&self.directions, out);
    }

    /// Appends the coefficients of `rows`, `[n][D]`, which are shifted by the mean on the way.
    pub(super) fn project(&self, workspace: &Workspace, rows: &mut [f32], out: &mut Vec<bf16>) {
        subtract(&self.mean, rows);
        let (mut directions, mut coefficients) = (Vec::new(), Vec::new());
        self.load(&mut directions);
        product(workspace, &turned(&directions, self.rank), rows, self.mean.len(), &mut coefficients);
        let old = out.len();
        out.resize(old + coefficients.len(), bf16::ZERO);
        store_all::<f32, bf16>(&coefficients, &mut out[old..]);
    }

    /// Rows `[n][D]` of coefficients `[n][r]`, with the directions as [`Basis::load`] gives them.
    pub(super) fn rebuild(&self, workspace: &Workspace, directions: &[f32], coefficients: &[f32], rows: &mut Vec<f32>) {
        product(workspace, directions, coefficients, self.rank, rows);
        for row in rows.chunks_exact_mut(self.mean.len()) {
            row.iter_mut().zip(&self.mean).for_each(|(x, mean)| *x += mean);
        }
    }

    /// The mean, `[D]`.
    pub(super) fn mean(&self) -> &[f32] {
        &self.mean
    }

    pub(super) fn park(&self, out: &mut SectionWriter<'_>) -> Result<(), ParkError> {
        out.numbers(MEAN, &self.mean)?;
        out.numbers(DIRECTIONS, &self.directions)
    }

    /// Reads `rank` directions of `dim`.
    pub(super) fn unpark(dim: usize, rank: usize, sections: &mut SectionReader<'_>) -> Result<Self, ParkError> {
        let mean = sections.numbers(MEAN, dim)?;
        Ok(Basis { rank, mean, directions: sections.numbers(DIRECTIONS, dim * rank)? })
    }

    /// Heap bytes of the directions.
    pub(super) fn bytes(&self) -> usize {
        held(&self.directions)
    }

    /// Heap bytes of the mean.
    pub(super) fn mean_bytes(&self) -> usize {
        held(&self.mean)
    }
}

fn subtract(mean: &[f32], rows: &mut [f32]) {
    for row in rows.chunks_exact_mut(mean.len()) {
        row.iter_mut().zip(mean).for_each(|(x, mean)| *x -= mean);
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use fourier_kv_kernels::isa::Isa;

    use super::*;

    /// Element `t` of the `k`-th of `count` cosines at right angles, each of length 1 and, from `k = 1` on, of mean 0.
    fn cosine(k: usize, t: usize, count: usize) -> f64 {
        let length = if k == 0 { 1.0 } else { 2.0 } / count as f64;
        length.sqrt() * (PI * k as f64 * (t as f64 + 0.5) / count as f64).cos()
    }

    /// Rows whose singular values are `sizes`, around a mean of `d`: cosines along time, of directions that are cosines.
    fn rows(tokens: usize, sizes: &[f64]) -> Vec<f32> {
        let dim = sizes.len();
        let number = |t: usize, d: usize| -> f64 {
            let parts = sizes.iter().enumerate();
            parts.map(|(k, size)| size * cosine(2 * k + 1, t, tokens) * cosine(k, d, dim)).sum::<f64>() + d as f64
        };
        (0..tokens * dim).map(|at| number(at / dim, at % dim) as f32).collect()
    }

    fn walk(rows: &[f32], dim: usize) -> impl Fn(&mut RowsTask<'_>) {
        move |task| rows.chunks(256 * dim).for_each(|rows| task(&mut rows.to_vec()))
    }

    fn there_and_back(basis: &Basis, rows: &[f32], ws: &Workspace) -> Vec<f32> {
        let (mut coefficients, mut directions, mut back) = (Vec::new(), Vec::new(), Vec::new());
        basis.project(ws, &mut rows.to_vec(), &mut coefficients);
        assert_eq!(coefficients.len(), rows.len() / basis.mean().len() * basis.rank());
        let coefficients: Vec<f32> = coefficients.iter().map(|x| x.to_f32()).collect();
        basis.load(&mut directions);
        basis.rebuild(ws, &directions, &coefficients, &mut back);
        back
    }

    /// The error of the best basis is the sum of the squares of the singular values that are left out, here by how the
    /// rows were made; and what 16 bits round of those that are kept: squared at most 2^-18 for a coefficient, and for
    /// directions `D 2^-24` each way.
    #[test]
    fn errors_are_the_dropped_eigenvalues() {
        let ws = Workspace::new(Isa::detect());
        for dim in [6, 40, 64] {
            let sizes: Vec<f64> = (0..dim).map(|k| 20.0 * 0.9f64.powi(k)).collect();
            let (rows, dim) = (rows(700, &sizes), sizes.len());
            let energy: f64 = sizes.iter().map(|s| s * s).sum();
            for rank in [1, 2, dim / 3, dim / 2, dim - 1, dim] {
                let basis = Basis::of(dim, rank, &ws, walk(&rows, dim));
                let back = there_and_back(&basis, &rows, &ws);
                let found: f64 = rows.iter().zip(&back).map(|(a, b)| f64::from(a - b).powi(2)).sum();
                let expected: f64 = sizes[rank..].iter().map(|s| s * s).sum();
                let rounding = energy * (2f64.powi(-18) + 2.0 * dim as f64 * 2f64.powi(-24));
                assert!((found - expected).abs() < rounding + 1e-4 * expected, "{dim}, {rank}: {found} not {expected}");
                for (d, mean) in basis.mean().iter().enumerate() {
                    assert!((mean - d as f32).abs() < 1e-5 * dim as f32, "mean of {d}: {mean}");
                }
            }
        }
    }

    /// At full rank nothing is lost but roundings to 16 bits, of rows that the basis was not made for too.
    #[test]
    fn full_rank_is_a_rotation() {
        let ws = Workspace::new(Isa::detect());
        let dim = 48;
        let sizes: Vec<f64> = (0..dim).map(|k| 30.0 / (1 + k) as f64).collect();
        let basis = Basis::of(dim, dim, &ws, walk(&rows(300, &sizes), dim));
        let other: Vec<f32> = (0..dim * 20).map(|i| (i as f32 * 1.3).sin()).collect();
        let back = there_and_back(&basis, &other, &ws);
        // The mean of `d` is what is far from zero, and rounded: rows are shifted by up to 48.
        let length: f64 = (0..dim).map(|d| (1 + d).pow(2) as f64).sum::<f64>().sqrt();
        let off = other.iter().zip(&back).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max);
        assert!(off < length * 2f64.powi(-9), "{off} of {length}");
    }

    /// Few rows, equal rows, and rows that are no numbers give a basis all the same.
    #[test]
    fn odd_rows_have_a_basis() {
        let ws = Workspace::new(Isa::detect());
        for rows in [vec![], vec![3.0; 8], vec![1.0; 80], vec![f32::NAN; 16]] {
            let basis = Basis::of(8, 5, &ws, walk(&rows, 8));
            assert_eq!((basis.rank(), basis.mean().len(), basis.bytes()), (5, 8, 80));
        }
        let equal = vec![2.5; 80];
        assert_eq!(there_and_back(&Basis::of(8, 5, &ws, walk(&equal, 8)), &equal, &ws), equal);
    }
}
