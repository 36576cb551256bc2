//! How fast two f32 matrices are multiplied: what reading a prompt is bound by.
#![allow(unsafe_code, reason = "the gemm crate takes raw pointers")]

use gemm::Parallelism;
use rayon::ThreadPool;
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

/// Measures with all threads of `pool`.
pub(super) fn measure(pool: &ThreadPool) -> MatrixRate {
    let threads = pool.current_num_threads();
    let left: Vec<f32> = (0..SIZE * SIZE).map(|i| (i % 17) as f32 - 8.0).collect();
    let right: Vec<f32> = (0..SIZE * SIZE).map(|i| (i % 13) as f32 - 6.0).collect();
    let mut product = vec![0.0; SIZE * SIZE];
    let seconds = pool.install(|| {
        fastest(|| {
            multiply(SIZE, &left, &right, &mut product, threads);
            std::hint::black_box(&mut product);
        })
    });
    MatrixRate {
        operations_per_second: 2.0 * (SIZE as f64).powi(3) / seconds,
        size: SIZE,
        threads,
        method: "fastest of up to 5 products through the gemm crate, all threads",
    }
}

/// `product = left * right`, all row-major `[size, size]`.
fn multiply(size: usize, left: &[f32], right: &[f32], product: &mut [f32], threads: usize) {
    let length = size * size;
    assert!(left.len() == length && right.len() == length && product.len() == length);
    let stride = size as isize;
    // SAFETY: each pointer is the start of a slice of size * size values, as asserted above; with
    // a column stride of 1 and a row stride of `size` every index below `size` stays inside. The
    // product is borrowed mutably, so it overlaps neither operand.
    unsafe {
        gemm::gemm(
            size,
            size,
            size,
            product.as_mut_ptr(),
            1,
            stride,
            false,
            left.as_ptr(),
            1,
            stride,
            right.as_ptr(),
            1,
            stride,
            0.0,
            1.0,
            false,
            false,
            false,
            Parallelism::Rayon(threads),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_measured_product_is_a_product() {
        let size = 37;
        let left: Vec<f32> = (0..size * size).map(|i| (i % 7) as f32 - 3.0).collect();
        let right: Vec<f32> = (0..size * size).map(|i| (i % 5) as f32 - 2.0).collect();
        let mut product = vec![f32::NAN; size * size];
        multiply(size, &left, &right, &mut product, 2);
        for row in 0..size {
            for column in 0..size {
                let terms = (0..size).map(|k| left[row * size + k] * right[k * size + column]);
                // Small whole numbers: exact in f32 in any order.
                assert_eq!(product[row * size + column], terms.sum::<f32>());
            }
        }
    }
}
