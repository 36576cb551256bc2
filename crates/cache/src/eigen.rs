//! Eigenvectors of symmetric matrices.

use faer::{Mat, Side};

/// Eigenvalues of a symmetric matrix `[n][n]`, largest first, and their vectors, `[n][n]`, one a row.
///
/// A matrix that is not finite has none: the unit vectors stand in, with values of zero. Vectors are only fixed up to
/// their sign, and up to a rotation where values are equal; which one comes is the same from run to run.
pub(crate) fn eigen(matrix: &[f64], n: usize) -> (Vec<f64>, Vec<f64>) {
    let finite = matrix.iter().all(|x| x.is_finite());
    let found = finite.then(|| Mat::from_fn(n, n, |i, j| matrix[i * n + j]).self_adjoint_eigen(Side::Lower).ok());
    let Some(found) = found.flatten() else {
        return (vec![0.0; n], (0..n * n).map(|at| f64::from(u8::from(at / n == at % n))).collect());
    };
    // They come smallest first, one a column.
    let values = (0..n).rev().map(|k| found.S()[k]).collect();
    let vectors = (0..n).rev().flat_map(|k| (0..n).map(move |i| (i, k))).map(|(i, k)| found.U()[(i, k)]).collect();
    (values, vectors)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symmetric(n: usize) -> Vec<f64> {
        let x = |i: usize, k: usize| ((i * 7 + k * 13) as f64 * 0.37).sin();
        (0..n * n).map(|at| (0..n).map(|k| x(at / n, k) * x(at % n, k)).sum()).collect()
    }

    #[test]
    fn vectors_are_what_the_matrix_only_stretches() {
        for n in [1, 2, 3, 16, 45, 64] {
            let matrix = symmetric(n);
            let (values, vectors) = eigen(&matrix, n);
            let largest = values[0].abs().max(1.0);
            assert!(values.windows(2).all(|pair| pair[0] >= pair[1]), "{values:?}");
            for (value, v) in values.iter().zip(vectors.chunks_exact(n)) {
                let length: f64 = v.iter().map(|x| x * x).sum();
                assert!((length - 1.0).abs() < 1e-12, "{length}");
                for (row, x) in matrix.chunks_exact(n).zip(v) {
                    let product: f64 = row.iter().zip(v).map(|(a, b)| a * b).sum();
                    assert!((product - value * x).abs() < 1e-11 * largest, "{n}: {product} {value}");
                }
            }
        }
    }

    #[test]
    fn odd_matrices_have_vectors() {
        for matrix in [vec![0.0; 9], vec![f64::NAN; 9], vec![f64::INFINITY; 9]] {
            let (values, vectors) = eigen(&matrix, 3);
            assert!(values.iter().all(|v| *v == 0.0));
            let lengths = vectors.chunks_exact(3).map(|v| v.iter().map(|x| x * x).sum::<f64>());
            lengths.for_each(|length| assert!((length - 1.0).abs() < 1e-12));
        }
    }
}
