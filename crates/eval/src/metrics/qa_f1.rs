//! F1 of the words that a prediction and an answer share.

use std::collections::HashMap;

use super::{normalize::normalize_answer, python};

/// LongBench's `qa_f1_score`: both texts normalised as for SQuAD, then F1 of their words, each as often as it occurs.
///
/// 0 where no word is shared, so also where both are empty.
pub fn qa_f1(prediction: &str, answer: &str) -> f64 {
    let (prediction, answer) = (normalize_answer(prediction), normalize_answer(answer));
    let said: Vec<_> = python::split(&prediction).collect();
    let right: Vec<_> = python::split(&answer).collect();
    let shared = shared_words(&said, &right);
    if shared == 0 {
        return 0.0;
    }
    let precision = shared as f64 / said.len() as f64;
    let recall = shared as f64 / right.len() as f64;
    (2.0 * precision * recall) / (precision + recall)
}

/// The size of what two multisets have in common.
fn shared_words(said: &[&str], right: &[&str]) -> usize {
    let mut left = HashMap::<&str, usize>::new();
    for word in right {
        *left.entry(word).or_default() += 1;
    }
    let mut shared = 0;
    for word in said {
        if let Some(count) = left.get_mut(word).filter(|count| **count > 0) {
            *count -= 1;
            shared += 1;
        }
    }
    shared
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_count_as_often_as_they_occur() {
        assert_eq!(qa_f1("red red red", "red red blue"), 2.0 / 3.0);
        assert_eq!(qa_f1("The red.", "red"), 1.0);
    }

    #[test]
    fn nothing_shared_is_0() {
        for (prediction, answer) in [("", ""), ("the", "the"), ("x", ""), ("", "x"), ("x", "y")] {
            assert_eq!(qa_f1(prediction, answer), 0.0, "{prediction:?} {answer:?}");
        }
    }
}
