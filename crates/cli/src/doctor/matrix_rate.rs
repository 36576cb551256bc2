//! How fast two f32 matrices are multiplied: what reading a prompt is bound by.

use fourier_kv_engine::kernels::linear::linear;
use fourier_kv_engine::kernels::quant::{Matrix, WeightType};
use fourier_kv_engine::kernels::workspace::Workspace;
use serde::Serialize;

use super::fastest::fastest;

/// Rows and columns of the matrices: 4 MB each, larger than a core's own caches.
const SIZE: usize = 1024;

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

/// Measures with the instructions and all threads of `workspace`.
pub(super) fn measure(workspace: &Workspace) -> MatrixRate {
    let threads = workspace.team().threads();
    let left: Vec<f32> = (0..SIZE * SIZE).map(|i| (i % 17) as f32 - 8.0).collect();
    let right: Vec<u8> = (0..SIZE * SIZE).flat_map(|i| ((i % 13) as f32 - 6.0).to_le_bytes()).collect();
    let mut product = vec![0.0; SIZE * SIZE];
    let seconds = fastest(|| {
        multiply(SIZE, &left, &right, &mut product, workspace);
        std::hint::black_box(&mut product);
    });
    MatrixRate {
        operations_per_second: 2.0 * (SIZE as f64).powi(3) / seconds,
        size: SIZE,
        threads,
        method: "fastest of up to 5 products of this program, all threads",
    }
}

/// `product = left * right^T`, all row-major `[size, size]`, as projections of a prompt are computed.
fn multiply(size: usize, left: &[f32], right: &[u8], product: &mut [f32], workspace: &Workspace) {
    let right = Matrix::new(WeightType::F32, size, size, right).expect("size * size numbers of four bytes");
    linear(workspace, left, &right, None, product).expect("whole rows");
}

#[cfg(test)]
mod tests {
    use fourier_kv_engine::kernels::isa::Isa;

    use super::*;

    #[test]
    fn the_measured_product_is_a_product() {
        let size = 137;
        let left: Vec<f32> = (0..size * size).map(|i| (i % 7) as f32 - 3.0).collect();
        let right: Vec<f32> = (0..size * size).map(|i| (i % 5) as f32 - 2.0).collect();
        let mut product = vec![f32::NAN; size * size];
        let bytes: Vec<u8> = right.iter().flat_map(|x| x.to_le_bytes()).collect();
        multiply(size, &left, &bytes, &mut product, &Workspace::new(Isa::detect()));
        for row in 0..size {
            for column in 0..size {
                let terms = (0..size).map(|k| left[row * size + k] * right[column * size + k]);
                // Small whole numbers: exact in f32 in any order.
                assert_eq!(product[row * size + column], terms.sum::<f32>());
            }
        }
    }
}
