//! Perplexity over several passages, and against `exact`.
//!
//! A passage's `nll` is its mean over tokens, so the mean over passages weighs each by its `continuation` (tokens), and
//! the perplexity is the exponential of that mean: never a mean of perplexities.

use std::collections::BTreeMap;

use super::order::{EXACT, Items, MethodKey, RowKey};
use super::summary::Mean;
use crate::prediction::Prediction;

/// Puts `nll`, `ppl` and, where `exact` answered the same passages, `ppl_ratio` into a row's values.
pub(super) fn add(values: &mut BTreeMap<String, Mean>, items: &Items<'_>, exact: Option<&Items<'_>>) {
    let own: Vec<_> = items.values().filter_map(|p| Some((nll(p)?, weight(p)))).collect();
    let Some(mean) = weighted_mean(&own) else { return };
    values.insert("nll".to_owned(), Mean { mean, count: own.len() });
    values.insert("ppl".to_owned(), Mean { mean: mean.exp(), count: own.len() });
    let excess: Vec<_> = exact.map(|exact| excess(items, exact)).unwrap_or_default();
    if let Some(mean) = weighted_mean(&excess) {
        values.insert("ppl_ratio".to_owned(), Mean { mean: mean.exp(), count: excess.len() });
    }
}

/// What `exact` said in the same task: at the same moment or, as it compresses at none, at any.
pub(super) fn exact_of<'r, 'a>(rows: &'r BTreeMap<RowKey<'a>, Items<'a>>, row: &RowKey<'a>) -> Option<&'r Items<'a>> {
    let same = RowKey { method: MethodKey::new(EXACT, None), ..*row };
    let any = || rows.iter().find(|(key, _)| key.task == row.task && key.method.method == EXACT);
    rows.get(&same).or_else(|| any().map(|(_, items)| items))
}

/// By passage: how much larger than `exact`'s the negative log-likelihood is, and the passage's weight.
fn excess(items: &Items<'_>, exact: &Items<'_>) -> Vec<(f64, Option<f64>)> {
    let pair = |(item, prediction): (_, &&Prediction)| {
        let reference = nll(exact.get(item)?)?;
        Some((nll(prediction)? - reference, weight(prediction)))
    };
    items.iter().filter_map(pair).collect()
}

/// Weighted if every one has a weight, plain if not; none of nothing.
fn weighted_mean(of: &[(f64, Option<f64>)]) -> Option<f64> {
    if of.is_empty() {
        return None;
    }
    let weighted = of.iter().all(|(_, weight)| weight.is_some());
    let weight_of = |weight: Option<f64>| if weighted { weight.unwrap_or(1.0) } else { 1.0 };
    let total: f64 = of.iter().map(|(_, weight)| weight_of(*weight)).sum();
    Some(of.iter().map(|(value, weight)| value * weight_of(*weight)).sum::<f64>() / total)
}

fn nll(prediction: &Prediction) -> Option<f64> {
    let values = &prediction.values;
    values.get("nll").copied().or_else(|| values.get("ppl").map(|ppl| ppl.ln()))
}

/// The tokens that were asked of a passage, among its values or its labels.
fn weight(prediction: &Prediction) -> Option<f64> {
    let found = prediction.values.get("continuation").or_else(|| prediction.labels.get("continuation"));
    found.copied().filter(|weight| weight.is_finite() && *weight > 0.0)
}
