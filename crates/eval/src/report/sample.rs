//! Predictions for tests.

use crate::prediction::Prediction;

/// A prediction without values: 1000 tokens, four times smaller than exact (as large, for `exact` itself).
pub(crate) fn prediction(task: &str, method: &str, budget: Option<f64>, document: &str) -> Prediction {
    Prediction {
        task: task.to_owned(),
        document: document.to_owned(),
        question: "0".to_owned(),
        method: method.to_owned(),
        budget,
        when: "after-context".to_owned(),
        tokens: 1000,
        bytes: if method == "exact" { 4000 } else { 1000 },
        exact_bytes: 4000,
        ..Prediction::default()
    }
}

/// One with a score, of no budget.
pub(crate) fn scored(task: &str, method: &str, document: &str, score: f64) -> Prediction {
    let mut prediction = prediction(task, method, None, document);
    prediction.values.insert("score".to_owned(), score);
    prediction
}
