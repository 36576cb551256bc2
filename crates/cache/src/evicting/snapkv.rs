//! `snapkv`: the tokens that the end of the prompt attends to.
//!
//! **Idea.** What the last tokens of a prompt look at is what its answer will look at: they vote with their attention
//! weights, neighbours' votes are pooled so that phrases stay whole, and each head keeps the tokens with most.
//! **Source.** SnapKV, *LLM Knows What You Are Looking for Before Generation*, arXiv 2404.14469.
//! **Departures.** The query heads of a group vote together and keep one choice (the published code repeats keys and
//! values for each query head, which no engine with grouped heads would store).
//! **What it stores.** As many tokens a head as the budget says, the voting ones among them, in `bf16`; and every
//! token that comes after.

use fourier_kv_kernels::attention::Queries;

use super::settings::EvictingSettings;
use super::votes::{largest, pooled, votes};

/// The tokens of a head to keep, `keep` of them: the `queries.tokens` last, and the others by their votes.
pub(super) fn kept(queries: Queries<'_, f32>, keys: &[f32], keep: usize, settings: &EvictingSettings) -> Vec<usize> {
    let held = keys.len() / queries.dim;
    let voted = held - queries.tokens;
    let votes = pooled(&votes(queries, keys), settings.kernel, settings.pool);
    let mut kept = largest(&votes, keep.saturating_sub(queries.tokens));
    kept.extend(voted..held);
    kept
}
