//! Hay of an exact number of tokens, with needles at given depths.

use crate::item::TokenCount;
use crate::tasks::haystack::{sentence_ends, word_ends};
use crate::tasks::{TaskError, fit, token_count};

/// A needle and where it goes: percent of the haystack's bytes that are before it.
pub(crate) struct Needle {
    pub(crate) depth: f64,
    pub(crate) text: String,
}

/// What stands around the hay, and how long all may be.
pub(crate) struct Frame<'a> {
    /// The task's name.
    pub(crate) task: &'a str,
    /// Before the hay.
    pub(crate) head: &'a str,
    /// Tokens of everything.
    pub(crate) length: usize,
    /// Tokens of the longest question with its prefix and answer.
    pub(crate) after: usize,
    /// The model's tokens.
    pub(crate) tokens: &'a dyn TokenCount,
}

impl Frame<'_> {
    /// The head and as many of the hay's words as fit, with the needles in them. One word more would not fit.
    pub(crate) fn fill(&self, hay: &str, needles: &[Needle]) -> Result<String, TaskError> {
        let ends = word_ends(hay);
        let context = |words: usize| format!("{}{}", self.head, plant(&cut(hay, &ends, words), needles));
        let mut least = None;
        let found = fit::largest(0, ends.len(), self.length, |words| {
            let needed = token_count(self.tokens, &context(words))? + self.after;
            least.get_or_insert(needed);
            Ok(needed)
        })?;
        let too_short =
            || TaskError::TooShort { task: self.task.to_owned(), length: self.length, needed: least.unwrap_or(0) };
        found.map(context).ok_or_else(too_short)
    }
}

/// The first words of a text; a sentence that is cut short gets a full stop.
fn cut(text: &str, ends: &[usize], words: usize) -> String {
    let Some(&end) = words.checked_sub(1).and_then(|last| ends.get(last)) else { return String::new() };
    let part = &text[..end];
    if part.ends_with(['.', '?', '!', '"', ')']) {
        return part.to_owned();
    }
    format!("{}.", part.trim_end_matches([',', ';', ':', '-', '—']))
}

/// Needles on lines of their own, each after the last sentence that ends at or before its depth.
fn plant(hay: &str, needles: &[Needle]) -> String {
    let ends = sentence_ends(hay);
    let place = |needle: &Needle| {
        let target = (hay.len() as f64 * needle.depth.clamp(0.0, 100.0) / 100.0).floor() as usize;
        ends.iter().rev().find(|&&end| end <= target).copied().unwrap_or(0)
    };
    let mut placed: Vec<(usize, &str)> = needles.iter().map(|n| (place(n), n.text.as_str())).collect();
    placed.sort_by_key(|(place, _)| *place);
    let (mut out, mut start) = (String::with_capacity(hay.len() + 200 * needles.len()), 0);
    for (place, text) in placed {
        push_part(&mut out, &hay[start..place]);
        push_part(&mut out, text);
        start = place;
    }
    push_part(&mut out, &hay[start..]);
    out
}

/// Appends a part, if there is something in it, on a new line.
fn push_part(out: &mut String, part: &str) {
    let part = part.trim();
    if !part.is_empty() && !out.is_empty() {
        out.push('\n');
    }
    out.push_str(part);
}

#[cfg(test)]
mod tests {
    use super::*;

    const HAY: &str = "One two. Three four five. Six seven. Eight nine.";

    fn planted(depth: f64) -> String {
        plant(HAY, &[Needle { depth, text: "NEEDLE.".into() }])
    }

    #[test]
    fn needles_go_to_sentence_ends_at_or_before_their_depth() {
        assert_eq!(planted(0.0), format!("NEEDLE.\n{HAY}"));
        assert_eq!(planted(100.0), format!("{HAY}\nNEEDLE."));
        // Half of 48 bytes is 24; the sentence before ends at 8, the next at 25.
        assert_eq!(planted(50.0), "One two.\nNEEDLE.\nThree four five. Six seven. Eight nine.");
        assert_eq!(planted(53.0), "One two. Three four five.\nNEEDLE.\nSix seven. Eight nine.");
    }

    #[test]
    fn several_needles_keep_their_order() {
        let needle = |depth, text: &str| Needle { depth, text: text.into() };
        let all = plant(HAY, &[needle(90.0, "c."), needle(10.0, "a."), needle(55.0, "b.")]);
        assert_eq!(all, "a.\nOne two. Three four five.\nb.\nSix seven.\nc.\nEight nine.");
    }

    #[test]
    fn a_cut_sentence_gets_its_full_stop() {
        let text = "It rained, and he left. So";
        let ends = word_ends(text);
        let cuts: Vec<String> = (0..=3).map(|n| cut(text, &ends, n)).collect();
        assert_eq!(cuts, ["", "It.", "It rained.", "It rained, and."]);
        assert_eq!(cut(text, &ends, 5), "It rained, and he left.");
    }
}
