//! The window by which a smooth signal follows from a grid: Kaiser and Bessel's, `TAPS` grid steps wide.
//!
//! Of windows as wide it leaves nearly the least error, about `exp(-pi TAPS sqrt(1 - 2 N / M))` for harmonics below `N`
//! on a grid of `M` (Barnett, Magland and af Klinteberg, arXiv 1808.06736, section 4): 2e-8 where `M = 4 N`, below
//! what single precision gives.

use std::f64::consts::PI;

/// Grid steps that a window covers.
pub(super) const TAPS: usize = 8;

/// Grid points for each harmonic, at least.
pub(super) const OVERSAMPLING: f64 = 4.0;

/// A window for one share of harmonics.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    steepness: f64,
}

impl Window {
    /// For harmonics below `harmonics` on a grid of `points`.
    pub(super) fn new(harmonics: usize, points: usize) -> Self {
        Window { steepness: PI * TAPS as f64 * (1.0 - harmonics as f64 / points as f64) }
    }

    /// Its value `x` grid steps from its middle.
    pub(super) fn at(self, x: f64) -> f64 {
        let inside = 1.0 - (2.0 * x / TAPS as f64).powi(2);
        if inside <= 0.0 { 0.0 } else { bessel(self.steepness * inside.sqrt()) / bessel(self.steepness) }
    }

    /// Its Fourier transform at `frequency`, in turns a grid step.
    pub(super) fn transformed(self, frequency: f64) -> f64 {
        let root = (self.steepness.powi(2) - (PI * TAPS as f64 * frequency).powi(2)).sqrt();
        TAPS as f64 * root.sinh() / root / bessel(self.steepness)
    }
}

/// The modified Bessel function of the first kind and order zero, by its series.
fn bessel(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let (mut sum, mut term) = (1.0, 1.0);
    for k in 1..200 {
        term *= quarter / (k * k) as f64;
        sum += term;
        if term < 1e-17 * sum {
            break;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use super::{TAPS, Window};

    /// The closed form against the integral by the midpoint rule.
    #[test]
    fn transform_is_the_integral() {
        let window = Window::new(512, 2_048);
        let steps = 40_000;
        for frequency in [0.0, 0.05, 0.125, 0.25] {
            let at = |i: usize| (i as f64 + 0.5) / f64::from(steps) * TAPS as f64 - TAPS as f64 / 2.0;
            let sum: f64 = (0..steps as usize).map(|i| window.at(at(i)) * (2.0 * PI * frequency * at(i)).cos()).sum();
            let integral = sum * TAPS as f64 / f64::from(steps);
            assert!((integral - window.transformed(frequency)).abs() < 1e-6, "{frequency}: {integral}");
        }
        assert_eq!((window.at(0.0), window.at(4.01)), (1.0, 0.0));
    }
}
