//! Dense products through the `gemm` crate, behind views whose bounds are checked.

use crate::number::Number;

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

/// `out = a b`, or `out += a b` if `accumulate`, on the calling thread.
///
/// `out` is row-major; row `i` begins at `i * stride`.
///
/// # Panics
/// If the shapes do not fit.
pub fn multiply<T: Number>(a: View<'_, T>, b: View<'_, T>, out: &mut [T], stride: usize, accumulate: bool) {
    assert_eq!(a.columns, b.rows, "inner dimensions");
    let (m, n, k) = (a.rows, b.columns, a.columns);
    if m == 0 || n == 0 {
        return;
    }
    assert!(stride >= n && out.len() >= (m - 1) * stride + n, "room for {m} x {n}");
    let alpha = if accumulate { T::one() } else { T::zero() };
    // SAFETY: the views were checked against their slices when made, `out` above; strides are in elements.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            stride as isize,
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

    #[test]
    fn products_equal_the_definition() {
        let (m, n, k, stride) = (5, 7, 3, 9);
        let a: Vec<f64> = (0..m * k).map(|i| i as f64 - 4.0).collect();
        let b: Vec<f64> = (0..n * k).map(|i| (i * i % 11) as f64).collect();
        let mut out = vec![1.0; m * stride];
        multiply(View::new(&a, m, k), View::new(&b, n, k).transposed(), &mut out, stride, true);
        for i in 0..m {
            for j in 0..stride {
                let expected = if j < n { 1.0 + (0..k).map(|l| a[i * k + l] * b[j * k + l]).sum::<f64>() } else { 1.0 };
                assert_eq!(out[i * stride + j], expected);
            }
        }
    }
}
