//! Which metric a task is scored by.

use serde::{Deserialize, Serialize};

/// A way to score a prediction against a question's answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Metric {
    /// LongBench: F1 of the normalised words; the best answer counts.
    QaF1,
    /// LongBench: F of ROUGE-L as the PyPI package `rouge` computes it; the best answer counts.
    Rouge,
    /// LongBench `trec`: the answer's name is in the prediction, shared with other class names found there.
    Classification,
    /// LongBench `passage_retrieval_en`: share of the integers that are the answer's paragraph number.
    Retrieval,
    /// LongBench `passage_count`: share of the integers that are the answer.
    Count,
    /// LongBench code: fuzzy ratio of the first line of code.
    CodeSim,
    /// RULER: share of *all* answers that the prediction has in it, upper and lower case being one.
    MatchAll,
    /// RULER: whether *any* answer is in the prediction, upper and lower case being one.
    MatchPart,
    /// NeedleBench V1: 1 if the keyword is in the prediction, else a fifth of the likeness to the whole needle. The
    /// first answer is the keyword, the second the needle.
    NeedleV1,
    /// NeedleBench V2: whether the keyword, which is the first answer, is in the prediction.
    NeedleV2,
    /// Whether the prediction equals an answer.
    ExactMatch,
    /// SQuAD v1.1: exact match and F1 after the official normalisation; the best answer counts.
    Squad,
    /// Whether the first class name in the prediction is the answer.
    Accuracy,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_stable() {
        for (metric, name) in [
            (Metric::QaF1, "\"qa-f1\""),
            (Metric::CodeSim, "\"code-sim\""),
            (Metric::NeedleV1, "\"needle-v1\""),
            (Metric::MatchAll, "\"match-all\""),
        ] {
            assert_eq!(serde_json::to_string(&metric).unwrap(), name);
            assert_eq!(serde_json::from_str::<Metric>(name).unwrap(), metric);
        }
    }
}
