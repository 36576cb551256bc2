//! RULER's string matches.

use super::python;

/// What RULER compares of a prediction: stripped of white space, every control character (0x00 to 0x1f) turned into a
/// newline, and stripped again.
pub fn clean_prediction(prediction: &str) -> String {
    let clean = |c| if c < ' ' { '\n' } else { c };
    let cleaned: String = python::strip(prediction).chars().map(clean).collect();
    python::strip(&cleaned).to_owned()
}

/// The share of the answers that occur in the cleaned prediction, whatever the case (`niah`, `vt`, `cwe`, `fwe`).
///
/// 0 without answers, where RULER breaks off. An empty answer occurs everywhere.
pub fn string_match_all<A: AsRef<str>>(prediction: &str, answers: &[A]) -> f64 {
    let found = found(prediction, answers).filter(|&found| found).count();
    if answers.is_empty() { 0.0 } else { found as f64 / answers.len() as f64 }
}

/// 1 if any of the answers occurs in the cleaned prediction, whatever the case, else 0 (`qa`).
pub fn string_match_part<A: AsRef<str>>(prediction: &str, answers: &[A]) -> f64 {
    f64::from(found(prediction, answers).any(|found| found))
}

/// Whether each answer occurs.
fn found<A: AsRef<str>>(prediction: &str, answers: &[A]) -> impl Iterator<Item = bool> {
    let said = clean_prediction(prediction).to_lowercase();
    answers.iter().map(move |answer| said.contains(&answer.as_ref().to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: &[&str] = &[];

    #[test]
    fn control_characters_become_newlines() {
        assert_eq!(clean_prediction(" \0a\tb\u{1f}\x7f\0 "), "a\nb\n\x7f");
        assert_eq!(clean_prediction("\x01\x02"), "");
    }

    #[test]
    fn all_is_a_share_and_part_is_any() {
        let answers = ["Alpha", "12", "gamma", "delta"];
        assert_eq!(string_match_all("alphabet 3124", &answers), 0.5);
        assert_eq!(string_match_part("alphabet 3124", &answers), 1.0);
        assert_eq!(string_match_part("beta", &answers), 0.0);
    }

    #[test]
    fn a_tab_in_an_answer_is_not_found() {
        assert_eq!(string_match_all("a\tb", &["a\tb"]), 0.0);
        assert_eq!(string_match_all("a\tb", &["a\nb"]), 1.0);
    }

    #[test]
    fn no_answers_score_0() {
        assert_eq!((string_match_all("x", NONE), string_match_part("x", NONE)), (0.0, 0.0));
        assert_eq!((string_match_all("", &[""]), string_match_part("", &[""])), (1.0, 1.0));
    }
}
