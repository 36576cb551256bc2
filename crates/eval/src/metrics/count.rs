//! Which number a prediction says.

use super::python;

/// LongBench's `count_score`: the share of the integers in the prediction that are written as the answer is; 0 if
/// there are none.
pub fn count(prediction: &str, answer: &str) -> f64 {
    share_of_integers(prediction, answer)
}

/// The share of the runs of digits in `text` that equal `number`.
pub(super) fn share_of_integers(text: &str, number: &str) -> f64 {
    let all = python::integers(text).count();
    let right = python::integers(text).filter(|&integer| integer == number).count();
    if all == 0 { 0.0 } else { right as f64 / all as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_compared_as_written() {
        assert_eq!(count("There are 7.", "7"), 1.0);
        assert_eq!(count("7 or 8", "7"), 0.5);
        assert_eq!(count("7.0", "7"), 0.5);
        assert_eq!(count("07", "7"), 0.0);
        assert_eq!(count("-7", "-7"), 0.0, "a sign is no part of an integer");
        assert_eq!(count("", ""), 0.0);
    }
}
