//! Root-mean-square normalisation.

use crate::isa::{Isa, Operation};
use crate::lanes;
use crate::simd::Simd;

/// `out = x / sqrt(mean(x^2) + eps) * weight` for each row of `x`, `[rows][width]`; `weight` is `[width]`.
///
/// Reads and writes `8 rows width` bytes; `3` operations an element.
pub fn rms_norm(isa: Isa, x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    isa.run(RmsNorm { x, weight, eps, out });
}

struct RmsNorm<'a> {
    x: &'a [f32],
    weight: &'a [f32],
    eps: f32,
    out: &'a mut [f32],
}

impl Operation for RmsNorm<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        let width = self.weight.len();
        for (x, out) in self.x.chunks_exact(width).zip(self.out.chunks_exact_mut(width)) {
            let square = lanes::dot::<V, f32, f32>(x, x) / width as f32;
            let factor = 1.0 / (square + self.eps).sqrt();
            for ((o, &v), &w) in out.iter_mut().zip(x).zip(self.weight) {
                *o = v * factor * w;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_definition() {
        let width = 77;
        let x: Vec<f32> = (0..3 * width).map(|i| (i as f32 * 0.7).sin() * 3.0).collect();
        let weight: Vec<f32> = (0..width).map(|i| 1.0 + (i as f32).cos() * 0.2).collect();
        for isa in Isa::available() {
            let mut out = vec![0.0; x.len()];
            rms_norm(isa, &x, &weight, 1e-5, &mut out);
            for row in 0..3 {
                let x = &x[row * width..(row + 1) * width];
                let square = x.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / width as f64;
                for i in 0..width {
                    let expected = f64::from(x[i]) / (square + 1e-5).sqrt() * f64::from(weight[i]);
                    assert!((f64::from(out[row * width + i]) - expected).abs() < 2e-6, "{isa}");
                }
            }
        }
    }
}
