//! Finding special and user-defined tokens in a text, before the rest of it is split.

use super::error::TokenizerError;
use aho_corasick::{AhoCorasick, MatchKind};

/// A token that is matched as a whole in the raw text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct AddedToken {
    pub(super) id: u32,
    pub(super) text: String,
    /// Only matched where the caller asks for special tokens.
    pub(super) special: bool,
    /// Swallows the white space before it.
    pub(super) strip_left: bool,
    /// Swallows the white space after it.
    pub(super) strip_right: bool,
}

/// A stretch of the input.
#[derive(Debug, PartialEq)]
pub(super) enum Segment<'t> {
    /// To be split and merged.
    Text(&'t str),
    /// An added token.
    Token(u32),
}

/// Splits a text at added tokens: the leftmost first, of those the longest.
#[derive(Debug)]
pub(super) struct AddedTokens {
    all: Matcher,
    user_defined: Matcher,
}

#[derive(Debug)]
struct Matcher {
    automaton: AhoCorasick,
    tokens: Vec<AddedToken>,
}

impl AddedTokens {
    /// Tokens with an empty text match nothing and are passed over.
    pub(super) fn new(tokens: Vec<AddedToken>) -> Result<AddedTokens, TokenizerError> {
        let user_defined = tokens.iter().filter(|t| !t.special).cloned().collect();
        Ok(AddedTokens { all: Matcher::new(tokens)?, user_defined: Matcher::new(user_defined)? })
    }

    /// The segments of `text`, in order; texts among them are not empty.
    pub(super) fn split<'t>(&self, text: &'t str, parse_special: bool) -> Vec<Segment<'t>> {
        match parse_special {
            true => self.all.split(text),
            false => self.user_defined.split(text),
        }
    }
}

impl Matcher {
    fn new(mut tokens: Vec<AddedToken>) -> Result<Matcher, TokenizerError> {
        tokens.retain(|t| !t.text.is_empty());
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(tokens.iter().map(|t| &t.text))
            .map_err(|e| TokenizerError::Library(e.to_string()))?;
        Ok(Matcher { automaton, tokens })
    }

    fn split<'t>(&self, text: &'t str) -> Vec<Segment<'t>> {
        let mut segments = Vec::new();
        let mut done = 0;
        for found in self.automaton.find_iter(text) {
            if found.start() < done {
                continue; // swallowed as white space by the token before it
            }
            let token = &self.tokens[found.pattern().as_usize()];
            let mut before = &text[done..found.start()];
            if token.strip_left {
                before = before.trim_end();
            }
            if !before.is_empty() {
                segments.push(Segment::Text(before));
            }
            segments.push(Segment::Token(token.id));
            done = found.end();
            if token.strip_right {
                let rest = &text[done..];
                done += rest.len() - rest.trim_start().len();
            }
        }
        if done < text.len() {
            segments.push(Segment::Text(&text[done..]));
        }
        segments
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Segment::{Text, Token};

    fn added() -> AddedTokens {
        let token = |id, text: &str, special, strip| AddedToken {
            id,
            text: text.into(),
            special,
            strip_left: strip,
            strip_right: strip,
        };
        AddedTokens::new(vec![
            token(1, "<s>", true, false),
            token(2, "<s><s>", true, false),
            token(3, "<tool>", false, false),
            token(4, "<mask>", true, true),
            token(5, "", true, false),
        ])
        .unwrap()
    }

    #[test]
    fn longest_match_first_and_special_only_when_asked() {
        let text = "a<s><s><s>b<tool>";
        let parsed = added().split(text, true);
        assert_eq!(parsed, [Text("a"), Token(2), Token(1), Text("b"), Token(3)]);
        let plain = added().split(text, false);
        assert_eq!(plain, [Text("a<s><s><s>b"), Token(3)]);
        assert_eq!(added().split("", true), []);
    }

    #[test]
    fn white_space_is_swallowed_where_the_token_says_so() {
        let parsed = added().split("a \n<mask>\t <s> b", true);
        assert_eq!(parsed, [Text("a"), Token(4), Token(1), Text(" b")]);
        assert_eq!(added().split(" <mask> ", true), [Token(4)]);
    }
}
