//! What each track would lose by becoming spectral.

use fourier_kv_kernels::workspace::Transforms;

use super::choice::track_weight;
use super::track::{Analysed, Columns, ReadColumn, Track, Tracking, analyse, error};

/// Analyses every track of one side of `tokens` tokens. Returns each spectrum with its loss: the squared error of its
/// reconstruction, summed over the tokens, times the mean weight of its dims. `weights` is `[D]`.
pub fn losses(
    tracking: Tracking<'_>,
    harmonics: usize,
    tokens: usize,
    read: &ReadColumn<'_>,
    weights: &[f64],
    transforms: &Transforms,
) -> Vec<(Analysed, f64)> {
    let mut work = Columns::new(transforms, harmonics);
    (0..tracking.count())
        .map(|number| {
            let track = Track { tracking, number, harmonics };
            let analysed = analyse(track, tokens, read, transforms, &mut work);
            let loss = error(track, &analysed, transforms, &mut work) * track_weight(tracking, number, weights);
            (analysed, loss)
        })
        .collect()
}
