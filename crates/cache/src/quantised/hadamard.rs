//! A turn of the head dims that spreads every dim over all others.
//!
//! The Walsh-Hadamard transform in its natural order, times `1 / sqrt(size)`: orthonormal and its own inverse. A dim
//! that is large in every token, which would set the scale of its whole block, becomes many small ones. Dot products of
//! two turned rows are those of the rows.

/// The transform of runs of `size` dims.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hadamard {
    size: usize,
}

impl Hadamard {
    /// For heads of `dim` dims, in runs of the largest power of two that divides it.
    pub(super) fn new(dim: usize) -> Self {
        Hadamard { size: 1 << dim.trailing_zeros() }
    }

    /// Turns rows, `[..][D]`, and turns them back.
    pub(super) fn turn(self, rows: &mut [f32]) {
        let factor = 1.0 / (self.size as f32).sqrt();
        for run in rows.chunks_exact_mut(self.size) {
            let mut half = 1;
            while half < self.size {
                for pair in run.chunks_exact_mut(2 * half) {
                    let (low, high) = pair.split_at_mut(half);
                    low.iter_mut().zip(high).for_each(|(a, b)| (*a, *b) = (*a + *b, *a - *b));
                }
                half *= 2;
            }
            run.iter_mut().for_each(|x| *x *= factor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turned(dim: usize, d: usize) -> Vec<f32> {
        let mut row = vec![0.0; dim];
        row[d] = 1.0;
        Hadamard::new(dim).turn(&mut row);
        row
    }

    #[test]
    fn it_is_orthonormal_and_its_own_inverse() {
        for dim in [2, 8, 24, 64, 80, 128] {
            for a in 0..dim {
                for b in 0..dim {
                    let dot: f64 = turned(dim, a).iter().zip(turned(dim, b)).map(|(x, y)| f64::from(x * y)).sum();
                    assert!((dot - f64::from(u8::from(a == b))).abs() < 1e-6, "{dim} {a} {b}: {dot}");
                }
                let mut back = turned(dim, a);
                Hadamard::new(dim).turn(&mut back);
                assert!(back.iter().enumerate().all(|(d, &x)| (x - f32::from(u8::from(a == d))).abs() < 1e-6));
            }
        }
    }

    /// Signs by their definition: the parity of the bits that both numbers have.
    #[test]
    fn it_is_the_walsh_hadamard_matrix() {
        for dim in [16, 48] {
            for from in 0..dim {
                for (to, &x) in turned(dim, from).iter().enumerate() {
                    let sign = if ((from & to & 15) as u32).count_ones().is_multiple_of(2) { 0.25 } else { -0.25 };
                    assert_eq!(x, if from / 16 == to / 16 { sign } else { 0.0 }, "{dim} {from} {to}");
                }
            }
        }
    }
}
