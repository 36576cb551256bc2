//! Which tracks become spectral: those whose error matters least.

use super::settings::Rank;
use super::track::Tracking;

/// The `count` tracks with the smallest loss, in ascending order. Ties go to the lower number.
pub fn cheapest(losses: &[f64], count: usize) -> Vec<u16> {
    let mut order: Vec<u16> = (0..losses.len() as u16).collect();
    order.sort_by(|&a, &b| losses[usize::from(a)].total_cmp(&losses[usize::from(b)]).then(a.cmp(&b)));
    order.truncate(count);
    // Kept as long as the cache is: the rest is not needed.
    order.shrink_to_fit();
    order.sort_unstable();
    order
}

/// What a unit of error matters in each dim, `[D]`, of keys and of values. `query_energy` is the sum of squared queries.
pub fn dim_weights(rank: Rank, query_energy: &[f64], output_energy: &[f32]) -> (Vec<f64>, Vec<f64>) {
    match rank {
        Rank::Error => (vec![1.0; output_energy.len()], vec![1.0; output_energy.len()]),
        Rank::Weighted => (query_energy.to_vec(), output_energy.iter().map(|&e| f64::from(e)).collect()),
    }
}

/// What a unit of error in a track matters: the mean of its dims' weights.
pub fn track_weight(tracking: Tracking<'_>, track: usize, weights: &[f64]) -> f64 {
    let (sum, count) = tracking.dims(track).fold((0.0, 0usize), |(s, n), d| (s + weights[d], n + 1));
    sum / count as f64
}

/// The dims of `0 .. dim` that no spectral track covers, ascending.
pub fn exact_dims(tracking: Tracking<'_>, spectral: &[u16]) -> Vec<u16> {
    let mut covered = vec![false; tracking.dim];
    for &track in spectral {
        tracking.dims(usize::from(track)).for_each(|d| covered[d] = true);
    }
    let mut rest: Vec<u16> = (0..tracking.dim as u16).filter(|&d| !covered[usize::from(d)]).collect();
    rest.shrink_to_fit();
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheapest_come_in_order() {
        assert_eq!(cheapest(&[3.0, 1.0, 2.0, 1.0], 2), [1, 3]);
        assert_eq!(cheapest(&[1.0, f64::NAN, 0.5], 2), [0, 2]);
        assert_eq!(cheapest(&[1.0], 0), [0u16; 0]);
    }

    #[test]
    fn pairs_cover_two_dims() {
        let frequencies = [1.0, 0.1, 0.01];
        let pairs = Tracking { dim: 6, carriers: Some(&frequencies) };
        assert_eq!(exact_dims(pairs, &[0, 2]), [1, 4]);
        assert_eq!(track_weight(pairs, 1, &[0.0, 2.0, 0.0, 0.0, 4.0, 0.0]), 3.0);
        let dims = Tracking { dim: 3, carriers: None };
        assert_eq!(exact_dims(dims, &[0, 2]), [1]);
    }
}
