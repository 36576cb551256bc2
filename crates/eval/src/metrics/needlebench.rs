//! NeedleBench's single needle, as OpenCompass scores it.
//!
//! OpenCompass keeps needle and keyword in one reference, "needle*keyword", and cuts it at each "*"; here they are two
//! texts, which may hold a "*".

use super::{edit_distance::edit_distance, python};

/// The share of the score that a prediction without the keyword can still have.
const WITHOUT_KEYWORD: f64 = 0.2;

/// Version 1: 1 if the keyword occurs in the prediction (capitals count); else a fifth of how alike prediction and
/// needle are, which is one less their edit distance over the longer one's length, all white space removed.
///
/// OpenCompass can cut the prediction to the needle's length first (`use_trim`); its default, and this, does not. It
/// gives 0 to 100.
pub fn v1(prediction: &str, needle: &str, keyword: &str) -> f64 {
    let percent = if prediction.contains(keyword) { 100.0 } else { WITHOUT_KEYWORD * likeness(prediction, needle) };
    percent / 100.0
}

/// Version 2: 1 if the keyword occurs in the prediction (capitals count), else 0.
pub fn v2(prediction: &str, keyword: &str) -> f64 {
    f64::from(prediction.contains(keyword))
}

/// In percent, white space aside: 100 for equal texts (also empty ones), 0 where every character must change.
fn likeness(prediction: &str, needle: &str) -> f64 {
    let (prediction, needle) = (without_space(prediction), without_space(needle));
    let longer = prediction.len().max(needle.len());
    if longer == 0 {
        return 100.0;
    }
    100.0 * (1.0 - edit_distance(&prediction, &needle) as f64 / longer as f64)
}

fn without_space(text: &str) -> Vec<char> {
    text.chars().filter(|&c| !python::is_space(c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keyword_is_worth_all() {
        assert_eq!(v1("It is the Blue Lamp.", "In the cellar stands the Blue Lamp.", "Blue Lamp"), 1.0);
        assert_eq!(v2("It is the Blue Lamp.", "Blue Lamp"), 1.0);
        assert_eq!(v2("It is the blue lamp.", "Blue Lamp"), 0.0);
    }

    #[test]
    fn without_it_a_fifth_at_most() {
        assert_eq!(v1("the  lamp\n", "the lamp", "Blue"), 0.2);
        assert_eq!(v1("abcx", "abcd", "Blue"), 0.2 * 75.0 / 100.0);
        assert_eq!(v1("", "abcd", "Blue"), 0.0);
        assert_eq!(v1(" ", "\n", "Blue"), 0.2);
    }

    #[test]
    fn an_empty_keyword_occurs_everywhere() {
        assert_eq!((v1("", "abcd", ""), v2("", "")), (1.0, 1.0));
    }
}
