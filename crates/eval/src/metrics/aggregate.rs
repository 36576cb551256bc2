//! One figure of many scores.

/// The best score of a prediction over several right answers, which is what LongBench and SQuAD count; 0 if there are
/// none.
pub fn best_of_answers<A: AsRef<str>>(metric: impl Fn(&str, &str) -> f64, prediction: &str, answers: &[A]) -> f64 {
    answers.iter().map(|answer| metric(prediction, answer.as_ref())).fold(0.0, f64::max)
}

/// A task's score as LongBench prints it: the mean in percent to two places. None without scores.
pub fn longbench_percent(scores: &[f64]) -> Option<f64> {
    (!scores.is_empty()).then(|| two_places(100.0 * sum(scores) / scores.len() as f64))
}

/// A task's score as RULER prints it: as [`longbench_percent`], but divided first, which can round the other way.
pub fn ruler_percent(scores: &[f64]) -> Option<f64> {
    (!scores.is_empty()).then(|| two_places(sum(scores) / scores.len() as f64 * 100.0))
}

fn sum(scores: &[f64]) -> f64 {
    scores.iter().fold(0.0, |sum, score| sum + score)
}

/// Python's `round(x, 2)`: the decimal nearest to the number as it is held, which arithmetic on it would miss.
fn two_places(x: f64) -> f64 {
    format!("{x:.2}").parse().unwrap_or(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_answer_counts() {
        let length = |prediction: &str, answer: &str| (prediction.len() * answer.len()) as f64;
        assert_eq!(best_of_answers(length, "ab", &["x", "xyz", "xy"]), 6.0);
        assert_eq!(best_of_answers(length, "ab", &[] as &[&str]), 0.0);
    }

    #[test]
    fn percents_have_two_places() {
        assert_eq!(longbench_percent(&[1.0, 0.0, 0.0]), Some(33.33));
        assert_eq!(ruler_percent(&[1.0, 1.0, 0.0]), Some(66.67));
        assert_eq!((longbench_percent(&[]), ruler_percent(&[])), (None, None));
    }

    #[test]
    fn a_tie_goes_to_even_and_a_near_tie_by_what_is_held() {
        assert_eq!(two_places(0.125), 0.12);
        assert_eq!(two_places(0.375), 0.38);
        assert_eq!(two_places(2.675), 2.67);
        assert_eq!(two_places(1.005), 1.0);
    }
}
