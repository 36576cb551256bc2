//! How fast two f32 matrices are multiplied: what reading a prompt is bound by.

use fourier_kv_engine::kernels::matmul::{self, ColumnsMut, View};
use fourier_kv_engine::kernels::team::Team;
use serde::Serialize;

use super::fastest::fastest;

/// Rows and columns of the matrices: 4 MB each, larger than a core's own caches.
const SIZE: usize = 1024;
/// Columns a task.
const COLUMNS: usize = 128;

/// The rate of f32 matrix products.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct MatrixRate {
    /// Multiplications and additions a second.
    pub(crate) operations_per_second: f64,
    /// Rows and columns of the matrices.
    pub(crate) size: usize,
    /// Threads that multiplied.
    pub(crate) threads: usize,
    /// How it was measured, in words.
    pub(crate) method: &'static str,
}

/// Measures with all threads of `team`.
pub(super) fn measure(team: &Team) -> MatrixRate {
    let threads = team.threads();
    let left: Vec<f32> = (0..SIZE * SIZE).map(|i| (i % 17) as f32 - 8.0).collect();
    let right: Vec<f32> = (0..SIZE * SIZE).map(|i| (i % 13) as f32 - 6.0).collect();
    let mut product = vec![0.0; SIZE * SIZE];
    let seconds = fastest(|| {
        multiply(SIZE, &left, &right, &mut product, team);
        std::hint::black_box(&mut product);
    });
    MatrixRate {
        operations_per_second: 2.0 * (SIZE as f64).powi(3) / seconds,
        size: SIZE,
        threads,
        method: "fastest of up to 5 products through the gemm crate, all threads",
    }
}

/// `product = left * right`, all row-major `[size, size]`; a run of columns a task, as projections are computed.
fn multiply(size: usize, left: &[f32], right: &[f32], product: &mut [f32], team: &Team) {
    let (left, right) = (View::new(left, size, size), View::new(right, size, size));
    team.for_parts(ColumnsMut::new(product, size, size).runs(COLUMNS), |i, mut run| {
        let columns = i * COLUMNS..i * COLUMNS + run.columns();
        matmul::multiply(left, right.columns(columns), &mut run, false);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_measured_product_is_a_product() {
        let size = 137;
        let left: Vec<f32> = (0..size * size).map(|i| (i % 7) as f32 - 3.0).collect();
        let right: Vec<f32> = (0..size * size).map(|i| (i % 5) as f32 - 2.0).collect();
        let mut product = vec![f32::NAN; size * size];
        multiply(size, &left, &right, &mut product, &Team::new(2).unwrap());
        for row in 0..size {
            for column in 0..size {
                let terms = (0..size).map(|k| left[row * size + k] * right[k * size + column]);
                // Small whole numbers: exact in f32 in any order.
                assert_eq!(product[row * size + column], terms.sum::<f32>());
            }
        }
    }
}
