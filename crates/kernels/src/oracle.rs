//! Attention as it is defined, in `f64`: what every attention kernel is checked by.

/// `softmax(scale q . k_t) v_t` over all `T` tokens, for one query of `D` dims; zeros if there is no token.
///
/// `keys` and `values` are `[T][D]`.
pub fn attend(query: &[f64], keys: &[f64], values: &[f64], scale: f64) -> Vec<f64> {
    let dim = query.len();
    let scores: Vec<f64> =
        keys.chunks_exact(dim).map(|k| scale * k.iter().zip(query).map(|(a, b)| a * b).sum::<f64>()).collect();
    let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut out = vec![0.0; dim];
    let mut sum = 0.0;
    for (score, value) in scores.iter().zip(values.chunks_exact(dim)) {
        let weight = (score - top).exp();
        sum += weight;
        for d in 0..dim {
            out[d] += weight * value[d];
        }
    }
    if sum > 0.0 {
        out.iter_mut().for_each(|o| *o /= sum);
    }
    out
}
