//! Lloyd-Max quantisers of a standard Gaussian: what training begins with, and what a trellis is compared with.

/// Where the density is integrated: `-REACH ..= REACH` in steps of `2 REACH / STEPS`.
const REACH: f64 = 8.0;
const STEPS: usize = 200_000;
const ROUNDS: usize = 400;

/// The `n` levels of the least mean squared error, and that error.
pub(crate) fn lloyd_max(n: usize) -> (Vec<f64>, f64) {
    let at = |i: usize| -REACH + 2.0 * REACH * i as f64 / STEPS as f64;
    let density: Vec<(f64, f64)> = (0..=STEPS).map(|i| (at(i), (-at(i) * at(i) / 2.0).exp())).collect();
    let mut levels = companded(n, &density);
    let mut error = 0.0;
    for _ in 0..ROUNDS {
        error = round(&mut levels, &density);
    }
    (levels, error)
}

/// Levels at the quantiles of the density's cube root, the best ones for many levels (Panter and Dite).
fn companded(n: usize, density: &[(f64, f64)]) -> Vec<f64> {
    let total: f64 = density.iter().map(|d| d.1.cbrt()).sum();
    let (mut levels, mut passed) = (Vec::new(), 0.0);
    for &(x, p) in density {
        passed += p.cbrt() / total;
        if levels.len() < n && passed > (levels.len() as f64 + 0.5) / n as f64 {
            levels.push(x);
        }
    }
    levels
}

/// Moves each level to the mean of what is nearest to it; the mean squared error before.
fn round(levels: &mut [f64], density: &[(f64, f64)]) -> f64 {
    let mut sums = vec![(0.0, 0.0); levels.len()];
    let (mut error, mut total, mut j) = (0.0, 0.0, 0);
    for &(x, p) in density {
        while j + 1 < levels.len() && x > (levels[j] + levels[j + 1]) / 2.0 {
            j += 1;
        }
        sums[j] = (sums[j].0 + p * x, sums[j].1 + p);
        error += p * (x - levels[j]).powi(2);
        total += p;
    }
    for (level, &(sum, mass)) in levels.iter_mut().zip(&sums).filter(|(_, sums)| sums.1 > 0.0) {
        *level = sum / mass;
    }
    error / total
}
