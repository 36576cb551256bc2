//! Which of many class names a prediction says.

/// LongBench's `classification_score`: every class name that occurs in the prediction, as any part of it, is taken
/// down; names that are a part of the right one (but not all of it) are struck; the score is then one over the number
/// of names left if the right one is among them, else 0.
///
/// The official loop strikes names from the list it walks, so the name after one that it strikes is never looked at;
/// and of a name that was taken down twice it strikes the first. Both are done here too.
pub fn classification<C: AsRef<str>>(prediction: &str, answer: &str, classes: &[C]) -> f64 {
    let said = classes.iter().map(AsRef::as_ref).filter(|class| prediction.contains(class)).collect();
    let left = strike_parts(said, answer);
    if left.contains(&answer) { 1.0 / left.len() as f64 } else { 0.0 }
}

/// Strikes the proper parts of `answer`, skipping the name after each one struck.
fn strike_parts<'a>(mut names: Vec<&'a str>, answer: &str) -> Vec<&'a str> {
    let mut at = 0;
    while let Some(&name) = names.get(at) {
        if name != answer && answer.contains(name) {
            let first = names.iter().position(|&other| other == name).unwrap_or(at);
            names.remove(first);
        }
        at += 1;
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_the_answer_do_not_count() {
        assert_eq!(classification("Type: Other number", "Other number", &["number", "Other number", "Date"]), 1.0);
        assert_eq!(classification("Date or City", "City", &["Date", "City"]), 0.5);
        assert_eq!(classification("Date", "City", &["Date", "City"]), 0.0);
        assert_eq!(classification("", "", &[] as &[&str]), 0.0);
    }

    #[test]
    fn the_name_after_a_struck_one_is_skipped() {
        // "a" is struck, so "b" moves into its place and is never looked at.
        assert_eq!(classification("ab", "ab", &["a", "b", "ab"]), 0.5);
        // Of two equal names the walk stands on the first, strikes it, and so skips the second.
        assert_eq!(classification("ab", "ab", &["a", "a", "ab"]), 0.5);
    }
}
