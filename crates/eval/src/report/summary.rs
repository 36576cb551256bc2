//! From predictions to one row a task, method, budget and moment of compression.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::order::{Items, RowKey, by_row};
use super::perplexity;
use crate::number;
use crate::prediction::Prediction;

/// A mean, and of how many.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mean {
    /// The mean; not finite if one of the values was not.
    #[serde(with = "number")]
    pub mean: f64,
    /// How many predictions have the value.
    pub count: usize,
}

/// What came of one task with one method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The task's name.
    pub task: String,
    /// The cache with its settings.
    pub method: String,
    /// The ratio that was asked for, where one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<f64>,
    /// `after-context` or `after-prompt`.
    pub when: String,
    /// Predictions: questions with an answer.
    pub count: usize,
    /// Tokens of the past, over all predictions.
    pub tokens: u64,
    /// Bytes held, over all predictions.
    pub bytes: u64,
    /// Bytes that `exact` holds, over all predictions.
    pub exact_bytes: u64,
    /// How much smaller, as measured: `exact_bytes / bytes`; none if nothing was held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
    /// The plain mean of each value over the predictions that have it; of `nll`, `ppl` and `ppl_ratio` the mean over
    /// tokens: `ppl` is the exponential of the mean `nll`, passages weighted by `continuation` where all have it, and
    /// `ppl_ratio` is against `exact` over the passages that both answered.
    pub values: BTreeMap<String, Mean>,
}

/// One row a task, method, budget and moment: in that order of keys, whatever the order of the predictions, `exact`
/// first. Of two predictions for the same question the later one counts.
pub fn summarise(predictions: &[Prediction]) -> Vec<Summary> {
    summarise_each(predictions)
}

pub(super) fn summarise_each<'a>(predictions: impl IntoIterator<Item = &'a Prediction>) -> Vec<Summary> {
    let rows = by_row(predictions);
    rows.iter().map(|(row, items)| summary(row, items, perplexity::exact_of(&rows, row))).collect()
}

fn summary(row: &RowKey<'_>, items: &Items<'_>, exact: Option<&Items<'_>>) -> Summary {
    let sum = |part: fn(&Prediction) -> usize| items.values().fold(0, |sum: u64, p| sum.saturating_add(part(p) as u64));
    let (bytes, exact_bytes) = (sum(|p| p.bytes), sum(|p| p.exact_bytes));
    let mut values = means(items);
    perplexity::add(&mut values, items, exact);
    Summary {
        task: row.task.to_owned(),
        method: row.method.method.to_owned(),
        budget: row.method.budget(),
        when: row.when.to_owned(),
        count: items.len(),
        tokens: sum(|p| p.tokens),
        bytes,
        exact_bytes,
        ratio: ratio_of(exact_bytes, bytes),
        values,
    }
}

/// How many times smaller than `exact`; none if nothing was held.
pub(super) fn ratio_of(exact_bytes: u64, bytes: u64) -> Option<f64> {
    (bytes > 0).then(|| exact_bytes as f64 / bytes as f64)
}

fn means(items: &Items<'_>) -> BTreeMap<String, Mean> {
    let mut sums: BTreeMap<&str, (f64, usize)> = BTreeMap::new();
    for (name, value) in items.values().flat_map(|p| &p.values) {
        let (sum, count) = sums.entry(name).or_default();
        *sum += value;
        *count += 1;
    }
    let mean = |(name, (sum, count)): (&str, (f64, usize))| (name.to_owned(), Mean { mean: sum / count as f64, count });
    sums.into_iter().map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::prediction;

    fn with(mut p: Prediction, values: &[(&str, f64)]) -> Prediction {
        p.values = values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        p
    }

    fn passage(method: &str, document: &str, values: &[(&str, f64)]) -> Prediction {
        with(prediction("ppl", method, None, document), values)
    }

    fn of<'a>(rows: &'a [Summary], method: &str) -> &'a Summary {
        rows.iter().find(|row| row.method == method).unwrap()
    }

    #[test]
    fn nothing_gives_no_rows() {
        assert_eq!(summarise(&[]), []);
    }

    #[test]
    fn a_row_by_hand() {
        let mut first =
            with(prediction("needle", "int4", Some(4.0), "a"), &[("score", 1.0), ("log_probability", -0.5)]);
        let mut second = with(prediction("needle", "int4", Some(4.0), "b"), &[("score", 0.5)]);
        (first.tokens, first.bytes, first.exact_bytes) = (10, 100, 400);
        (second.tokens, second.bytes, second.exact_bytes) = (30, 300, 800);
        let rows = summarise(&[second, first]);
        assert_eq!(rows.len(), 1);
        let row = &rows[0];
        assert_eq!((row.count, row.tokens, row.bytes, row.exact_bytes), (2, 40, 400, 1200));
        // Over the sums: not the mean of 4 and 8/3.
        assert_eq!(row.ratio, Some(3.0));
        assert_eq!(row.values["score"], Mean { mean: 0.75, count: 2 });
        assert_eq!(row.values["log_probability"], Mean { mean: -0.5, count: 1 });
    }

    #[test]
    fn perplexity_is_the_exponential_of_the_mean_over_tokens() {
        let of_exact = [("a", 1.0, 100.0), ("b", 3.0, 300.0)];
        let of_int4 = [("a", 1.4, 100.0), ("b", 3.2, 300.0)];
        let rows: Vec<Prediction> = [("exact", of_exact), ("int4", of_int4)]
            .iter()
            .flat_map(|(method, passages)| {
                passages.map(|(document, nll, n)| passage(method, document, &[("nll", nll), ("continuation", n)]))
            })
            .collect();
        let rows = summarise(&rows);
        // exact: (100 * 1 + 300 * 3) / 400 = 2.5; int4: (140 + 960) / 400 = 2.75.
        assert!((of(&rows, "exact").values["nll"].mean - 2.5).abs() < 1e-12);
        assert!((of(&rows, "int4").values["ppl"].mean - 2.75_f64.exp()).abs() < 1e-9);
        assert!((of(&rows, "int4").values["ppl_ratio"].mean - 0.25_f64.exp()).abs() < 1e-9);
        assert!((of(&rows, "exact").values["ppl_ratio"].mean - 1.0).abs() < 1e-12);
    }

    #[test]
    fn without_token_counts_and_from_perplexities_alone_passages_weigh_the_same() {
        let rows = [passage("int4", "a", &[("ppl", 4.0)]), passage("int4", "b", &[("ppl", 9.0)])];
        let values = &summarise(&rows)[0].values;
        assert!((values["ppl"].mean - 6.0).abs() < 1e-9, "the geometric mean");
        assert!(!values.contains_key("ppl_ratio"), "no exact to compare with");
    }

    #[test]
    fn the_ratio_to_exact_is_over_the_passages_that_both_answered() {
        let exact = [passage("exact", "a", &[("nll", 1.0)]), passage("exact", "b", &[("nll", 5.0)])];
        let mut rows = exact.to_vec();
        rows.push(passage("int4", "a", &[("nll", 1.1)]));
        rows[2].when = "after-prompt".to_owned();
        let rows = summarise(&rows);
        let ratio = of(&rows, "int4").values["ppl_ratio"];
        assert_eq!(ratio.count, 1);
        assert!((ratio.mean - 0.1_f64.exp()).abs() < 1e-12);
    }

    #[test]
    fn values_that_are_no_finite_numbers_survive_in_json() {
        let p = with(prediction("ppl", "int2", None, "a"), &[("kl", f64::INFINITY), ("odd", f64::NAN)]);
        let line = serde_json::to_string(&p).unwrap();
        let read: Prediction = serde_json::from_str(&line).unwrap();
        let text = serde_json::to_string(&summarise(&[read])).unwrap();
        assert!(text.contains(r#""kl":{"mean":"inf","count":1}"#), "{text}");
        let back: Vec<Summary> = serde_json::from_str(&text).unwrap();
        assert!(back[0].values["odd"].mean.is_nan());
    }

    #[test]
    fn the_order_is_of_the_keys_and_exact_comes_first() {
        let mut all: Vec<Prediction> =
            ["int4", "exact", "alpha"].iter().map(|m| prediction("b", m, None, "d")).collect();
        all.push(prediction("b", "zeta", Some(8.0), "d"));
        all.push(prediction("b", "zeta", Some(2.0), "d"));
        all.push(prediction("a", "int4", None, "d"));
        let order = |rows: &[Summary]| -> Vec<String> {
            rows.iter().map(|r| format!("{} {} {:?}", r.task, r.method, r.budget)).collect()
        };
        let forward = order(&summarise(&all));
        all.reverse();
        assert_eq!(forward, order(&summarise(&all)));
        let b = ["b exact None", "b alpha None", "b int4 None", "b zeta Some(2.0)", "b zeta Some(8.0)"];
        assert_eq!(forward[0], "a int4 None");
        assert_eq!(forward[1..], b);
    }

    #[test]
    fn an_item_counts_once_and_no_bytes_give_no_ratio() {
        let mut twice = vec![prediction("a", "int4", None, "d"); 2];
        twice[0].values.insert("score".to_owned(), 0.0);
        twice[1].values.insert("score".to_owned(), 1.0);
        (twice[1].bytes, twice[1].exact_bytes) = (0, usize::MAX);
        let row = &summarise(&twice)[0];
        assert_eq!((row.count, row.values["score"].mean, row.ratio), (1, 1.0, None));
    }
}
