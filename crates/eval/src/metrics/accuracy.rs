//! Whether a prediction says the right one of a few labels.

use super::python;

/// 1 if the label that the prediction says first is the answer, else 0; capitals do not count.
///
/// GLUE's accuracy of SST-2 is the share of labels that are right, and takes labels. A generated text says a label
/// where it has its name as a word of its own ("positively" says none); of two that begin at the same place it says
/// the longer. A text that says none is wrong. What stands before the name is not read: "not positive" says positive.
pub fn accuracy<C: AsRef<str>>(prediction: &str, answer: &str, classes: &[C]) -> f64 {
    f64::from(said_class(prediction, classes).is_some_and(|class| class == answer.to_lowercase()))
}

/// The label that the text says first, in lower case.
fn said_class<C: AsRef<str>>(text: &str, classes: &[C]) -> Option<String> {
    let text = text.to_lowercase();
    let classes = classes.iter().map(|class| class.as_ref().to_lowercase()).filter(|class| !class.is_empty());
    let places = classes.filter_map(|class| Some((first_word_at(&text, &class)?, class)));
    places.min_by_key(|(at, class)| (*at, std::cmp::Reverse(class.len()))).map(|(_, class)| class)
}

/// Where `word` first stands in `text` with no letter, digit or underscore on either side.
fn first_word_at(text: &str, word: &str) -> Option<usize> {
    let mut before = None;
    text.char_indices().find_map(|(at, c)| {
        let free = !before.replace(c).is_some_and(python::is_word);
        let after = text[at..].strip_prefix(word).filter(|_| free)?;
        (!after.starts_with(python::is_word)).then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SST2: [&str; 2] = ["negative", "positive"];

    #[test]
    fn the_first_label_said_counts() {
        assert_eq!(accuracy(" Positive.\nSentence: dull\nSentiment: negative", "positive", &SST2), 1.0);
        assert_eq!(accuracy("negative or positive", "positive", &SST2), 0.0);
        assert_eq!(accuracy("not positive", "positive", &SST2), 1.0);
    }

    #[test]
    fn a_part_of_a_word_says_nothing() {
        for prediction in ["positively", "nonpositive", "positive_", "", "great", "posi tive"] {
            assert_eq!(accuracy(prediction, "positive", &SST2), 0.0, "{prediction:?}");
        }
        assert_eq!(accuracy("positively positive", "positive", &SST2), 1.0);
        assert_eq!(accuracy("xo o o", "o o", &["o o"]), 1.0, "a place may overlap one that does not count");
    }

    #[test]
    fn the_longer_of_two_at_one_place_counts() {
        assert_eq!(accuracy("very good film", "very good", &["very", "very good"]), 1.0);
    }

    #[test]
    fn no_labels_score_0() {
        assert_eq!(accuracy("x", "x", &[] as &[&str]), 0.0);
        assert_eq!(accuracy("", "", &[""]), 0.0);
    }
}
