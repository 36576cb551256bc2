//! Square roots of the Gram matrices of output projections: in the space that they turn values into, all errors of a
//! size matter alike.

use crate::eigen::eigen;

/// A matrix is made no flatter than this: the smallest singular value of a root, as a part of the largest.
const FLATTEST: f64 = 1e-3;

/// For each layer and key/value head a symmetric root `R` of its Gram matrix, and the inverse of `R`.
#[derive(Debug)]
pub(crate) struct OutputRoots {
    square: usize,
    roots: Vec<f32>,
    inverses: Vec<f32>,
}

impl OutputRoots {
    /// Of matrices `[..][D][D]`.
    pub(crate) fn new(grams: &[f32], dim: usize) -> Self {
        let square = dim * dim;
        let (mut roots, mut inverses) = (Vec::with_capacity(grams.len()), Vec::with_capacity(grams.len()));
        for gram in grams.chunks_exact(square) {
            let wide: Vec<f64> = gram.iter().map(|&x| f64::from(x)).collect();
            let (values, vectors) = eigen(&wide, dim);
            let largest = values[0].max(0.0).sqrt();
            // A head whose output nobody uses may lie as it is.
            let sizes: Vec<f64> = match largest > 0.0 {
                true => values.iter().map(|v| v.max(0.0).sqrt().max(largest * FLATTEST)).collect(),
                false => vec![1.0; dim],
            };
            roots.extend(rebuilt(&vectors, &sizes, |size| size));
            inverses.extend(rebuilt(&vectors, &sizes, |size| 1.0 / size));
        }
        OutputRoots { square, roots, inverses }
    }

    /// The root of one head, `[D][D]`; heads are counted over all layers.
    pub(crate) fn root(&self, head: usize) -> &[f32] {
        &self.roots[head * self.square..][..self.square]
    }

    /// Its inverse, `[D][D]`.
    pub(crate) fn inverse(&self, head: usize) -> &[f32] {
        &self.inverses[head * self.square..][..self.square]
    }
}

/// The matrix with these eigenvectors, one a row, whose eigenvalues are `f` of `sizes`.
fn rebuilt(vectors: &[f64], sizes: &[f64], f: impl Fn(f64) -> f64) -> Vec<f32> {
    let n = sizes.len();
    let mut out = vec![0.0; n * n];
    for (vector, &size) in vectors.chunks_exact(n).zip(sizes) {
        for (row, x) in out.chunks_exact_mut(n).zip(vector) {
            let scaled = f(size) * x;
            row.iter_mut().zip(vector).for_each(|(sum, y)| *sum += scaled * y);
        }
    }
    out.into_iter().map(|x| x as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(a: &[f32], b: &[f32], n: usize) -> Vec<f64> {
        let at = |i: usize, j: usize| (0..n).map(|k| f64::from(a[i * n + k]) * f64::from(b[k * n + j])).sum();
        (0..n * n).map(|x| at(x / n, x % n)).collect()
    }

    #[test]
    fn roots_are_roots_and_inverses_inverses() {
        let n = 12;
        let x: Vec<f32> = (0..n * n).map(|i| (i as f32 * 0.71).sin()).collect();
        let gram: Vec<f32> = (0..n * n).map(|at| (0..n).map(|k| x[k * n + at / n] * x[k * n + at % n]).sum()).collect();
        let roots = OutputRoots::new(&[vec![0.0; n * n], gram.clone()].concat(), n);
        let largest = gram.iter().fold(0.0f32, |a, b| a.max(b.abs()));
        for (square, gram) in product(roots.root(1), roots.root(1), n).iter().zip(&gram) {
            assert!((square - f64::from(*gram)).abs() < 1e-5 * f64::from(largest), "{square} {gram}");
        }
        for head in 0..2 {
            for (at, one) in product(roots.root(head), roots.inverse(head), n).iter().enumerate() {
                assert!((one - f64::from(u8::from(at / n == at % n))).abs() < 1e-3, "{at}: {one}");
            }
        }
    }
}
