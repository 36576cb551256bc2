//! The gate of the feed-forward part.

use crate::isa::{Isa, Operation};
use crate::number::Number;
use crate::simd::Simd;

/// `gate = silu(gate) * up`, where `silu(x) = x / (1 + exp(-x))` (SwiGLU, Shazeer 2020).
pub fn swiglu(isa: Isa, gate: &mut [f32], up: &[f32]) {
    isa.run(Swiglu { gate, up });
}

struct Swiglu<'a> {
    gate: &'a mut [f32],
    up: &'a [f32],
}

impl Operation for Swiglu<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        for (g, &u) in self.gate.iter_mut().zip(self.up) {
            *g = *g / (1.0 + <f32 as Number>::exp(-*g)) * u;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_definition() {
        let x: Vec<f32> = (-400..400).map(|i| i as f32 * 0.31).collect();
        for isa in Isa::available() {
            let mut gate = x.clone();
            swiglu(isa, &mut gate, &vec![2.0; x.len()]);
            for (&x, &y) in x.iter().zip(&gate) {
                let expected = 2.0 * f64::from(x) / (1.0 + (-f64::from(x)).exp());
                assert!((f64::from(y) - expected).abs() <= 3e-7 * expected.abs().max(1e-30) + 1e-35, "{x} on {isa}");
            }
        }
    }
}
