//! Eigenvectors of a symmetric matrix, by Jacobi's rotations in `f64`.
//!
//! Each rotation makes one pair of elements off the diagonal zero; swept over all pairs again and again, what is left of
//! them shrinks faster and faster. Slow beside reductions to three diagonals, but a page long and accurate to the last
//! digits, and it meets a matrix of `D x D` a head once a prompt.

/// Sweeps after which it stops whatever is left: fewer than ten are needed, unless there are numbers that are none.
const SWEEPS: usize = 40;

/// Eigenvalues of `matrix`, `[D][D]` and symmetric, the largest first, and eigenvectors `[D][D]`: a vector of length 1 a
/// row, at right angles to all others.
pub(super) fn eigen(mut matrix: Vec<f64>, dim: usize) -> (Vec<f64>, Vec<f64>) {
    let mut vectors = vec![0.0; dim * dim];
    vectors.iter_mut().step_by(dim + 1).for_each(|x| *x = 1.0);
    let norm = matrix.iter().map(|x| x * x).sum::<f64>().sqrt();
    let negligible = norm * f64::EPSILON / dim as f64;
    for _ in 0..SWEEPS {
        if sweep(&mut matrix, &mut vectors, dim, negligible) == 0 {
            break;
        }
    }
    sorted(&matrix, &vectors, dim)
}

/// Turns every pair of dims whose element is more than `negligible`; returns how many.
fn sweep(matrix: &mut [f64], vectors: &mut [f64], dim: usize, negligible: f64) -> usize {
    let mut turned = 0;
    for p in 0..dim {
        for q in p + 1..dim {
            if matrix[p * dim + q].abs() > negligible {
                rotate(matrix, vectors, dim, (p, q));
                turned += 1;
            }
        }
    }
    turned
}

/// Turns dims `p` and `q`, of which `p` is the lower, so that their element becomes zero.
fn rotate(matrix: &mut [f64], vectors: &mut [f64], dim: usize, (p, q): (usize, usize)) {
    let (a, b, between) = (matrix[p * dim + p], matrix[q * dim + q], matrix[p * dim + q]);
    // The smaller of the two angles: of `cot 2 phi = theta`, `t = tan phi`.
    let theta = (b - a) / (2.0 * between);
    let t = theta.signum() / (theta.abs() + theta.hypot(1.0));
    let cos = 1.0 / t.hypot(1.0);
    let sin = t * cos;
    turn_rows(matrix, dim, (p, q), (cos, sin));
    turn_rows(vectors, dim, (p, q), (cos, sin));
    for k in 0..dim {
        matrix[k * dim + p] = matrix[p * dim + k];
        matrix[k * dim + q] = matrix[q * dim + k];
    }
    matrix[p * dim + p] = a - t * between;
    matrix[q * dim + q] = b + t * between;
    matrix[p * dim + q] = 0.0;
    matrix[q * dim + p] = 0.0;
}

fn turn_rows(matrix: &mut [f64], dim: usize, (p, q): (usize, usize), (cos, sin): (f64, f64)) {
    let (low, high) = matrix.split_at_mut(q * dim);
    for (x, y) in low[p * dim..(p + 1) * dim].iter_mut().zip(&mut high[..dim]) {
        (*x, *y) = (cos * *x - sin * *y, sin * *x + cos * *y);
    }
}

fn sorted(matrix: &[f64], vectors: &[f64], dim: usize) -> (Vec<f64>, Vec<f64>) {
    let mut order: Vec<usize> = (0..dim).collect();
    let value = |i: usize| matrix[i * dim + i];
    order.sort_by(|&i, &j| value(j).total_cmp(&value(i)));
    let rows = order.iter().flat_map(|&i| &vectors[i * dim..(i + 1) * dim]).copied().collect();
    (order.iter().map(|&i| value(i)).collect(), rows)
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use proptest::prelude::*;

    use super::*;

    /// `[i][j]` of `rows rows^T`.
    fn products(rows: &[f64], dim: usize) -> impl Iterator<Item = (usize, usize, f64)> {
        let count = rows.len() / dim;
        (0..count * count).map(move |at| {
            let (i, j) = (at / count, at % count);
            let pairs = rows[i * dim..(i + 1) * dim].iter().zip(&rows[j * dim..(j + 1) * dim]);
            (i, j, pairs.map(|(a, b)| a * b).sum())
        })
    }

    fn assert_orthonormal(vectors: &[f64], dim: usize) {
        for (i, j, product) in products(vectors, dim) {
            assert!((product - f64::from(i == j)).abs() < 1e-13 * dim as f64, "{i}, {j}: {product}");
        }
    }

    #[test]
    fn two_by_two_by_hand() {
        let (values, vectors) = eigen(vec![2.0, 1.0, 1.0, 2.0], 2);
        assert!((values[0] - 3.0).abs() < 1e-15 && (values[1] - 1.0).abs() < 1e-15, "{values:?}");
        assert!((vectors[0] - vectors[1]).abs() < 1e-15 && (vectors[2] + vectors[3]).abs() < 1e-15, "{vectors:?}");
        let (values, vectors) = eigen(vec![1.0, 0.0, 0.0, 5.0], 2);
        assert_eq!((values, vectors), (vec![5.0, 1.0], vec![0.0, 1.0, 1.0, 0.0]));
    }

    /// A chain of equal springs: `2 - 2 cos(k pi / (D + 1))`, with sines as vectors.
    #[test]
    fn a_chain_of_springs_as_in_the_textbook() {
        for dim in [1, 2, 7, 64, 128] {
            let mut matrix = vec![0.0; dim * dim];
            for i in 0..dim {
                matrix[i * dim + i] = 2.0;
                if i + 1 < dim {
                    matrix[i * dim + i + 1] = -1.0;
                    matrix[(i + 1) * dim + i] = -1.0;
                }
            }
            let (values, vectors) = eigen(matrix, dim);
            assert_orthonormal(&vectors, dim);
            for (i, value) in values.iter().enumerate() {
                let angle = (dim - i) as f64 * PI / (dim + 1) as f64;
                assert!((value - (2.0 - 2.0 * angle.cos())).abs() < 1e-13, "{dim}: {i}: {value}");
                let length = ((dim + 1) as f64 / 2.0).sqrt();
                let sines = (1..=dim).map(|j| (angle * j as f64).sin() / length);
                let along: f64 = sines.zip(&vectors[i * dim..]).map(|(s, v)| s * v).sum();
                assert!((along.abs() - 1.0).abs() < 1e-10, "{dim}: {i}: {along}");
            }
        }
    }

    #[test]
    fn nothing_and_no_numbers_end() {
        let (values, vectors) = eigen(vec![0.0; 9], 3);
        assert_eq!(values, [0.0; 3]);
        assert_orthonormal(&vectors, 3);
        assert_eq!(eigen(vec![f64::NAN; 9], 3).0.len(), 3);
    }

    proptest! {
        /// `V A V^T` is the diagonal of the values, of Gram matrices of any rank and of very different sizes.
        #[test]
        fn vectors_make_the_matrix_diagonal(
            (dim, rows) in (1usize..20).prop_flat_map(|dim| {
                (Just(dim), prop::collection::vec(-1.0f64..1.0, 0..dim * 30))
            }),
            size in -6i32..6,
        ) {
            let rows = &rows[..rows.len() / dim * dim];
            let mut matrix = vec![0.0; dim * dim];
            for row in rows.chunks_exact(dim) {
                for (i, j) in (0..dim * dim).map(|at| (at / dim, at % dim)) {
                    // Dims of falling size.
                    matrix[i * dim + j] += row[i] * row[j] * 10f64.powi(size) / ((1 + i * i) * (1 + j * j)) as f64;
                }
            }
            let trace: f64 = (0..dim).map(|i| matrix[i * dim + i]).sum();
            let (values, vectors) = eigen(matrix.clone(), dim);
            assert_orthonormal(&vectors, dim);
            prop_assert!(values.is_sorted_by(|a, b| a >= b));
            for (i, vector) in vectors.chunks_exact(dim).enumerate() {
                for (k, row) in matrix.chunks_exact(dim).enumerate() {
                    let applied: f64 = row.iter().zip(vector).map(|(a, v)| a * v).sum();
                    prop_assert!((applied - values[i] * vector[k]).abs() <= 1e-13 * dim as f64 * trace);
                }
            }
        }
    }
}
