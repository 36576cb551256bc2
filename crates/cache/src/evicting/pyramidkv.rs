//! `pyramidkv`: as `snapkv`, with more tokens in the first layers than in the last.
//!
//! **Idea.** Low layers look everywhere, high ones at a few tokens: so the budget falls from layer to layer.
//! **Source.** PyramidKV, *Dynamic KV Cache Compression based on Pyramidal Information Funneling*, arXiv 2406.02069:
//! a straight line from the first layer to the last, which keeps a twentieth of the mean.
//! **Departures.** Those of `snapkv`. Layers' shares are rounded so that their sum is the budget's.
//! **What it stores.** What `snapkv` does, on average.

/// The last layer keeps one of so many of the mean.
const STEEPNESS: f64 = 20.0;

/// Tokens that layer `layer` of `layers` keeps of `held`, if `keep` are kept on average, `window` of them always.
pub(super) fn share(layer: usize, layers: usize, held: usize, keep: usize, window: usize) -> usize {
    let (mean, most) = (keep.saturating_sub(window) as f64, held.saturating_sub(window) as f64);
    // No layer can keep more than there is: then the line is as steep as that allows.
    let first = (2.0 * mean - mean / STEEPNESS).min(most);
    let last = (2.0 * mean - first).min(most);
    let at = |layer: usize| match layers {
        1 => mean,
        _ => first + (last - first) * layer as f64 / (layers - 1) as f64,
    };
    // Rounding the sums up to a layer, not the layer, keeps their sum.
    let sum = |count: usize| (0..count).map(at).sum::<f64>().round() as usize;
    sum(layer + 1) - sum(layer) + window
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_fall_and_add_up() {
        for (layers, held, keep) in [(30, 7_000, 1_000), (24, 5_000, 4_000), (2, 100, 60), (1, 500, 100), (3, 50, 40)] {
            let shares: Vec<usize> = (0..layers).map(|l| share(l, layers, held, keep, 32)).collect();
            assert!(shares.windows(2).all(|w| w[0] + 1 >= w[1]), "{shares:?}");
            assert!(shares.iter().all(|&s| (32..=held).contains(&s)), "{shares:?}");
            assert_eq!(shares.iter().sum::<usize>(), layers * keep);
        }
        assert_eq!(share(29, 30, 7_000, 1_032, 32), 50 + 32);
    }
}
