//! How SQuAD v1.1 and LongBench make two answers comparable.

use super::python;

/// Lower-cased, without ASCII punctuation, without the words "a", "an" and "the", with single spaces.
///
/// In this order: "a-b" becomes "ab" and stays, "a - b" becomes "b".
pub(super) fn normalize_answer(text: &str) -> String {
    let bare: String = text.to_lowercase().chars().filter(|c| !c.is_ascii_punctuation()).collect();
    python::squeeze(&without_articles(&bare))
}

/// Each article that is a whole word turned into a space: "x€the€y" becomes "x€ €y".
fn without_articles(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let (word, after) = split_where(rest, |c| !python::is_word(c));
        let (between, after) = split_where(after, python::is_word);
        kept.push_str(if matches!(word, "a" | "an" | "the") { " " } else { word });
        kept.push_str(between);
        rest = after;
    }
    kept
}

/// The text before the first character that `ends`, and from it on.
fn split_where(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn punctuation_goes_before_articles_are_looked_for() {
        for (text, normal) in [
            ("The  Cat, an\tapple; a_b", "cat apple ab"),
            ("T.h.e end", "end"),
            ("a-b a - b", "ab b"),
            ("the€the thé theme", "€ thé theme"),
            ("A", ""),
            (" \n.!", ""),
            ("", ""),
        ] {
            assert_eq!(normalize_answer(text), normal, "{text:?}");
        }
    }
}
