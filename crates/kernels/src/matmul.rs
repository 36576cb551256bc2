//! Products of many tokens with weights that are plain floats, and the matrix that products are written to.
//!
//! A task is 32 rows of `W`: a chunk of their columns is turned to `[column][row]`, so that rows lie in vectors, and
//! multiplied with all tokens, eight at a time ([`crate::tile`]). Turning costs `1 / n` of the product.

use std::marker::PhantomData;

use crate::isa::{Isa, Operation};
use crate::parts::Parts;
use crate::simd::Simd;
use crate::tile::{self, Broadcast, COLUMNS, add_product};

/// Rows of `W` that are multiplied together.
pub const ROWS: usize = COLUMNS;
/// Columns that are turned at once: 32 KB.
const CHUNK: usize = 256;

/// A matrix to write, or some of its columns: row `i` begins `i * stride` after the first.
///
/// Runs of columns of one matrix can be written by several threads at once: [`ColumnsMut::runs`] makes them, and they
/// do not overlap.
#[derive(Debug)]
pub struct ColumnsMut<'a, T> {
    first: *mut T,
    rows: usize,
    columns: usize,
    stride: usize,
    matrix: PhantomData<&'a mut [T]>,
}

// SAFETY: it stands for a `&mut` of elements that no other value reaches, as the constructors see to.
unsafe impl<T: Send> Send for ColumnsMut<'_, T> {}

impl<'a, T> ColumnsMut<'a, T> {
    /// `rows x columns`, row-major, contiguous.
    ///
    /// # Panics
    /// If `data` is shorter than that.
    pub fn new(data: &'a mut [T], rows: usize, columns: usize) -> Self {
        assert!(data.len() >= rows * columns, "{} numbers for {rows} x {columns}", data.len());
        ColumnsMut { first: data.as_mut_ptr(), rows, columns, stride: columns, matrix: PhantomData }
    }

    /// Runs of `width` columns, the last perhaps narrower, from left to right.
    pub fn runs(self, width: usize) -> ColumnRuns<'a, T> {
        ColumnRuns { matrix: self, width: width.max(1) }
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The part of row `i` that these columns are.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&mut self, i: usize) -> &mut [T] {
        assert!(i < self.rows, "row {i} of {}", self.rows);
        // SAFETY: row `i` lies inside the matrix that `new` checked, and these columns are this value's alone.
        unsafe { std::slice::from_raw_parts_mut(self.first.add(i * self.stride), self.columns) }
    }
}

/// A matrix to write, in runs of some columns; see [`ColumnsMut::runs`].
#[derive(Debug)]
pub struct ColumnRuns<'a, T> {
    matrix: ColumnsMut<'a, T>,
    width: usize,
}

// SAFETY: shared, it only computes where a run begins; who writes to a run has it for itself.
unsafe impl<T: Send> Sync for ColumnRuns<'_, T> {}

// SAFETY: run `i` is the columns `i width .. (i + 1) width`, cut short by the last: runs do not overlap.
unsafe impl<'a, T: Send> Parts for ColumnRuns<'a, T> {
    type Part = ColumnsMut<'a, T>;

    fn count(&self) -> usize {
        self.matrix.columns.div_ceil(self.width)
    }

    unsafe fn part(&self, i: usize) -> ColumnsMut<'a, T> {
        let matrix = &self.matrix;
        let from = i * self.width;
        assert!(from < matrix.columns, "run {i} of {}", self.count());
        ColumnsMut {
            // Inside the first row; of a matrix of no rows nothing is ever read.
            first: matrix.first.wrapping_add(from),
            columns: self.width.min(matrix.columns - from),
            rows: matrix.rows,
            stride: matrix.stride,
            matrix: PhantomData,
        }
    }
}

/// Working memory of one task.
#[derive(Clone, Debug, Default)]
pub struct MatmulScratch {
    /// A chunk of columns, `[column][row]`.
    turned: Vec<[f32; COLUMNS]>,
    /// `[n][row]`.
    sums: Vec<[f32; COLUMNS]>,
}

/// `out[n][rows] = x[n][cols] W^T` with up to [`ROWS`] rows of `W`, `[columns of out][cols]`.
///
/// # Panics
/// If the lengths do not fit.
pub fn multiply(
    isa: Isa,
    weights: &[f32],
    x: &[f32],
    cols: usize,
    scratch: &mut MatmulScratch,
    out: &mut ColumnsMut<'_, f32>,
) {
    assert!(out.columns() <= ROWS && weights.len() == cols * out.columns(), "{} rows of {cols}", out.columns());
    assert_eq!(x.len(), cols * out.rows(), "activations of {} tokens of {cols}", out.rows());
    isa.run(Multiply { weights, x, cols, scratch, out });
}

struct Multiply<'a, 'b> {
    weights: &'a [f32],
    x: &'a [f32],
    cols: usize,
    scratch: &'a mut MatmulScratch,
    out: &'a mut ColumnsMut<'b, f32>,
}

impl Operation for Multiply<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        let Multiply { weights, x, cols, scratch: MatmulScratch { turned, sums }, out } = self;
        turned.resize(CHUNK, [0.0; COLUMNS]);
        sums.clear();
        sums.resize(out.rows(), [0.0; COLUMNS]);
        for first in (0..cols).step_by(CHUNK) {
            let count = CHUNK.min(cols - first);
            for (r, row) in weights.chunks_exact(cols).enumerate() {
                for (to, &w) in turned.iter_mut().zip(&row[first..first + count]) {
                    to[r] = w;
                }
            }
            for (t, sums) in sums.chunks_mut(tile::ROWS).enumerate() {
                let x = &x[t * tile::ROWS * cols + first..];
                let x = Broadcast { data: x, row_stride: cols, inner_stride: 1 };
                add_product::<V, f32>(x, &turned[..count], sums.len(), sums);
            }
        }
        for (t, sums) in sums.iter().enumerate() {
            let to = out.row(t);
            let width = to.len();
            to.copy_from_slice(&sums[..width]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::team::Team;

    #[test]
    fn products_equal_the_definition() {
        for (tokens, rows, cols) in [(0, 3, 5), (1, 1, 1), (9, 32, 300), (17, 31, 256), (8, 7, 700)] {
            let x: Vec<f32> = (0..tokens * cols).map(|i| (i as f32 * 0.3).sin()).collect();
            let weights: Vec<f32> = (0..rows * cols).map(|i| (i as f32 * 0.7).cos()).collect();
            for isa in Isa::available() {
                let mut out = vec![f32::NAN; tokens * rows];
                let scratch = &mut MatmulScratch::default();
                multiply(isa, &weights, &x, cols, scratch, &mut ColumnsMut::new(&mut out, tokens, rows));
                for (i, &found) in out.iter().enumerate() {
                    let (t, r) = (i / rows, i % rows);
                    let product = |c| f64::from(x[t * cols + c]) * f64::from(weights[r * cols + c]);
                    let exact: f64 = (0..cols).map(product).sum();
                    assert!((f64::from(found) - exact).abs() < 2e-5, "{isa}");
                }
            }
        }
    }

    #[test]
    fn runs_of_columns_do_not_overlap() {
        let (rows, columns) = (3, 7);
        let team = Team::new(2).unwrap();
        for width in 1..=columns {
            let mut data = vec![0; rows * columns];
            team.for_parts(ColumnsMut::new(&mut data, rows, columns).runs(width), |i, mut part| {
                for r in 0..rows {
                    for (c, x) in part.row(r).iter_mut().enumerate() {
                        *x += 1 + r * columns + i * width + c;
                    }
                }
            });
            assert_eq!(data, (1..=rows * columns).collect::<Vec<_>>());
        }
    }
}
