//! SQuAD v1.1: exact match and F1.

use super::{normalize::normalize_answer, qa_f1};

/// 1 if both are the same once normalised (lower case, no ASCII punctuation, no articles, single spaces), else 0.
///
/// Two texts of which nothing is left are the same.
pub fn exact_match(prediction: &str, answer: &str) -> f64 {
    f64::from(normalize_answer(prediction) == normalize_answer(answer))
}

/// F1 of the words of both once normalised; 0 where nothing is left of either, though [`exact_match`] is 1 there.
///
/// LongBench took its [`qa_f1`](qa_f1::qa_f1) from here.
pub fn f1(prediction: &str, answer: &str) -> f64 {
    qa_f1::qa_f1(prediction, answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn articles_case_and_punctuation_do_not_count() {
        assert_eq!(exact_match("The U.S.A.\n", "usa"), 1.0);
        assert_eq!(exact_match("U S A", "usa"), 0.0);
    }

    #[test]
    fn nothing_equals_nothing_but_shares_nothing() {
        assert_eq!((exact_match("a", "the"), f1("a", "the")), (1.0, 0.0));
    }
}
