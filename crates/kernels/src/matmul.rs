//! Dense products through the `gemm` crate, behind views whose bounds are checked.

use std::marker::PhantomData;
use std::ops::Range;

use crate::number::Number;
use crate::parts::Parts;

/// A matrix to read: element `(i, j)` is `data[i * row_stride + j * column_stride]`.
#[derive(Clone, Copy, Debug)]
pub struct View<'a, T> {
    data: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, T> View<'a, T> {
    /// `rows x columns`, row-major, contiguous.
    ///
    /// # Panics
    /// If `data` is shorter than that.
    pub fn new(data: &'a [T], rows: usize, columns: usize) -> Self {
        assert!(data.len() >= rows * columns, "{} numbers for {rows} x {columns}", data.len());
        View { data, rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// Some of the columns.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn columns(self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.columns, "columns {range:?} of {}", self.columns);
        let first = (range.start * self.column_stride).min(self.data.len());
        View { data: &self.data[first..], columns: range.len(), ..self }
    }

    /// The same numbers, rows and columns exchanged.
    pub fn transposed(self) -> Self {
        View {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

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

/// `out = a b`, or `out += a b` if `accumulate`, on the calling thread.
///
/// # Panics
/// If the shapes do not fit.
pub fn multiply<T: Number>(a: View<'_, T>, b: View<'_, T>, out: &mut ColumnsMut<'_, T>, accumulate: bool) {
    assert_eq!(a.columns, b.rows, "inner dimensions");
    assert_eq!((a.rows, b.columns), (out.rows, out.columns), "outer dimensions");
    if out.rows == 0 || out.columns == 0 {
        return;
    }
    let alpha = if accumulate { T::one() } else { T::zero() };
    // SAFETY: the views were checked against their slices when made, `out` likewise; strides are in elements.
    unsafe {
        gemm::gemm(
            out.rows,
            out.columns,
            a.columns,
            out.first,
            1,
            out.stride as isize,
            accumulate,
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            alpha,
            T::one(),
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::team::Team;

    #[test]
    fn products_equal_the_definition() {
        let (m, n, k) = (5, 7, 3);
        let team = Team::new(2).unwrap();
        let a: Vec<f64> = (0..m * k).map(|i| i as f64 - 4.0).collect();
        let b: Vec<f64> = (0..n * k).map(|i| (i * i % 11) as f64).collect();
        for width in 1..=n {
            let mut out = vec![1.0; m * n];
            team.for_parts(ColumnsMut::new(&mut out, m, n).runs(width), |i, mut part| {
                let rows = View::new(&b[i * width * k..], part.columns(), k).transposed();
                multiply(View::new(&a, m, k), rows, &mut part, true);
                part.row(2)[0] += 100.0;
            });
            for i in 0..m {
                for j in 0..n {
                    let mark = if i == 2 && j % width == 0 { 100.0 } else { 0.0 };
                    let product: f64 = (0..k).map(|l| a[i * k + l] * b[j * k + l]).sum();
                    assert_eq!(out[i * n + j], 1.0 + product + mark);
                }
            }
        }
    }
}
