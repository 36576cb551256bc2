//! What the end of a prompt attends to.
//!
//! For one key/value head: the attention weights of the last `w` tokens' queries (of all heads of the group), summed a
//! token. Bytes: one row of `T` scores; operations: `2 R T D` for `R = H/G w` rows.

use fourier_kv_kernels::attention::Queries;

use super::settings::Pool;

/// Votes on the tokens before the last `queries.tokens`, `[T - w]`. `keys` are all tokens', `[T][D]`.
pub(super) fn votes(queries: Queries<'_, f32>, keys: &[f32]) -> Vec<f32> {
    let tokens = keys.len() / queries.dim;
    let voted = tokens - queries.tokens;
    let mut votes = vec![0.0; voted];
    let mut weights = Vec::with_capacity(tokens);
    for r in 0..queries.count() {
        let seen = tokens - queries.later(r);
        weights.clear();
        weights.extend(keys.chunks_exact(queries.dim).take(seen).map(|key| dot(queries.row(r), key) * queries.scale));
        softmax(&mut weights);
        votes.iter_mut().zip(&weights).for_each(|(vote, w)| *vote += w);
    }
    votes
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 8;
    let mut sums = [0.0; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for l in 0..LANES {
            sums[l] += a[l] * b[l];
        }
    }
    sums.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
}

fn softmax(scores: &mut [f32]) {
    let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0f64;
    for s in scores.iter_mut() {
        *s = (*s - top).exp();
        sum += f64::from(*s);
    }
    let factor = (1.0 / sum) as f32;
    scores.iter_mut().for_each(|s| *s *= factor);
}

/// Pools each vote with its neighbours, `kernel` in all; beyond the ends there is nothing (mean: zeros).
pub(super) fn pooled(votes: &[f32], kernel: usize, pool: Pool) -> Vec<f32> {
    let reach = kernel / 2;
    let around = |i: usize| &votes[i.saturating_sub(reach)..(i + reach + 1).min(votes.len())];
    let pooled = |near: &[f32]| match pool {
        Pool::Max => near.iter().copied().fold(f32::NEG_INFINITY, f32::max),
        Pool::Mean => near.iter().sum::<f32>() / kernel as f32,
    };
    (0..votes.len()).map(|i| pooled(around(i))).collect()
}

/// The places of the `count` largest, in their order; of equals the first.
pub(super) fn largest(votes: &[f32], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..votes.len()).collect();
    let count = count.min(order.len());
    if count == 0 {
        return Vec::new();
    }
    order.select_nth_unstable_by(count - 1, |&a, &b| votes[b].total_cmp(&votes[a]).then(a.cmp(&b)));
    order.truncate(count);
    order.sort_unstable();
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pooling_and_choosing_by_hand() {
        let votes = [0.0, 5.0, 1.0, 0.0, 0.0, 2.0];
        assert_eq!(pooled(&votes, 3, Pool::Max), [5.0, 5.0, 5.0, 1.0, 2.0, 2.0]);
        assert_eq!(pooled(&votes, 3, Pool::Mean), [5.0 / 3.0, 2.0, 2.0, 1.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0]);
        assert_eq!(pooled(&votes, 1, Pool::Max), votes);
        assert_eq!(largest(&votes, 2), [1, 5]);
        assert_eq!(largest(&[1.0, 1.0, 1.0, 0.0], 2), [0, 1]);
        assert_eq!(largest(&votes, 9), [0, 1, 2, 3, 4, 5]);
        assert!(largest(&[], 3).is_empty() && largest(&votes, 0).is_empty());
    }

    #[test]
    fn a_vote_is_the_attention_of_all_rows() {
        // Two rows of one token: the second looks at the second key alone.
        let keys = [0.0, 0.0, 50.0, 0.0, 0.0, 1.0];
        let rows = [0.0, 0.0, 10.0, 0.0];
        let q = Queries { rows: &rows, dim: 2, tokens: 1, first: 0, scale: 1.0 };
        let votes = votes(q, &keys);
        assert!((votes[0] - 1.0 / 3.0).abs() < 1e-6 && (votes[1] - 4.0 / 3.0).abs() < 1e-6, "{votes:?}");
    }
}
