//! The part of a prediction that few-shot tasks look at.

/// What LongBench scores of a prediction for `trec`, `triviaqa` and `samsum`: leading newlines dropped, then up to the
/// first newline. Other white space stays, so a line of spaces is a first line, and a carriage return ends none.
pub fn first_line(prediction: &str) -> &str {
    prediction.trim_start_matches('\n').split('\n').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_newlines_are_skipped_and_only_they_end_it() {
        for (prediction, line) in [
            ("\n\nParis\nQuestion:", "Paris"),
            (" \nParis", " "),
            ("a\rb\u{2028}c\n", "a\rb\u{2028}c"),
            ("\n\n", ""),
            ("", ""),
        ] {
            assert_eq!(first_line(prediction), line, "{prediction:?}");
        }
    }
}
