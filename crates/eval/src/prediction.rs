//! What came of a question, as it is written to `predictions.jsonl`: one JSON object a line.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What one method said to one question.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// The task's name: `ruler:vt`, `longbench:qasper`, `ppl`.
    pub task: String,
    /// The document's id.
    pub document: String,
    /// The question's id.
    pub question: String,
    /// The cache with its settings, as it was asked for.
    pub method: String,
    /// The ratio that was asked for, where one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<f64>,
    /// `after-context` or `after-prompt`.
    pub when: String,
    /// Tokens of the past when the answer begins.
    pub tokens: usize,
    /// Bytes that the cache holds then.
    pub bytes: usize,
    /// Bytes that `exact` holds then.
    pub exact_bytes: usize,
    /// What the model said; empty where nothing is generated.
    #[serde(default)]
    pub text: String,
    /// What would have been right.
    #[serde(default)]
    pub answers: Vec<String>,
    /// Where it belongs in a figure: `length`, `depth`.
    #[serde(default)]
    pub labels: BTreeMap<String, f64>,
    /// What was measured: `score` (0 to 1), `log_probability`, `kl`, `ppl`, `top1`, ...
    #[serde(with = "crate::number::map")]
    pub values: BTreeMap<String, f64>,
}
