//! Which paragraph a prediction names.

use super::{count::share_of_integers, python};

/// LongBench's `retrieval_score`: the share of the integers in the prediction that are the answer's paragraph; 0 if
/// there are none.
///
/// Integers are compared as they are written: "07" is not 7. An answer that names no paragraph scores 0, where the
/// official scorer breaks off; [`paragraph`] tells such a row beforehand.
pub fn retrieval(prediction: &str, answer: &str) -> f64 {
    paragraph(answer).map_or(0.0, |number| share_of_integers(prediction, number))
}

/// The number in the first "Paragraph N" of an answer.
pub fn paragraph(answer: &str) -> Option<&str> {
    answer.split("Paragraph ").skip(1).find_map(|after| {
        let end = after.find(|c| !python::is_digit(c)).unwrap_or(after.len());
        (end > 0).then(|| &after[..end])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_number_after_the_word_counts() {
        assert_eq!(paragraph("Paragraph x, Paragraph 17b, Paragraph 3"), Some("17"));
        assert_eq!(paragraph("Paragraph  17"), None);
        assert_eq!(paragraph("paragraph 17"), None);
    }

    #[test]
    fn every_other_integer_lowers_the_score() {
        assert_eq!(retrieval("Paragraph 17", "Paragraph 17"), 1.0);
        assert_eq!(retrieval("17 of 30, or 017", "Paragraph 17"), 1.0 / 3.0);
        assert_eq!(retrieval("seventeen", "Paragraph 17"), 0.0);
        assert_eq!(retrieval("17", "17"), 0.0);
    }
}
