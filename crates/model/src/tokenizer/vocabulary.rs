//! Token ids, their texts, and the bytes they stand for.

use super::error::TokenizerError;

/// More ids than any published vocabulary has (the largest have about 260 thousand); what a file
/// may make this crate allocate is bounded by it.
pub(super) const MAX_TOKENS: usize = 1 << 20;

/// Longest text of one token, in bytes.
pub(super) const MAX_TOKEN_BYTES: usize = 4096;

/// How a token's text spells bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alphabet {
    /// One printable character a byte, as GPT-2 does it.
    ByteLevel,
    /// Plain text with `▁` for a space, and `<0xAB>` for a byte that no other token holds.
    Metaspace,
}

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// No token has this id.
    Missing,
    /// A piece of text (or of its bytes).
    Text,
    /// Stands for a role in the prompt, such as the end of a turn; left out when decoding for people.
    Special,
    /// Matched as a whole in any text, and decoded as text.
    UserDefined,
    /// A filler that pads the vocabulary to a round size; decodes to nothing.
    Unused,
}

/// One token as a reader of a file found it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) kind: TokenKind,
}

/// All tokens by id, their texts kept in one piece of memory.
#[derive(Debug, Clone)]
pub(super) struct Vocabulary {
    alphabet: Alphabet,
    texts: String,
    ends: Vec<u32>,
    kinds: Vec<TokenKind>,
}

impl Vocabulary {
    /// Packs tokens (`None` where no token has the id). Refuses an empty or absurdly large list.
    pub(super) fn new(tokens: &[Option<Token>], alphabet: Alphabet) -> Result<Vocabulary, TokenizerError> {
        if tokens.iter().all(Option::is_none) {
            return Err(TokenizerError::Empty);
        }
        check_limit("vocabulary", tokens.len(), MAX_TOKENS)?;
        let mut packed = Vocabulary {
            alphabet,
            texts: String::new(),
            ends: Vec::with_capacity(tokens.len()),
            kinds: Vec::with_capacity(tokens.len()),
        };
        for token in tokens {
            packed.push(token.as_ref())?;
        }
        Ok(packed)
    }

    fn push(&mut self, token: Option<&Token>) -> Result<(), TokenizerError> {
        let (text, kind) = token.map_or(("", TokenKind::Missing), |t| (t.text.as_str(), t.kind));
        check_limit("token text in bytes", text.len(), MAX_TOKEN_BYTES)?;
        self.texts.push_str(text);
        let end = u32::try_from(self.texts.len());
        let too_large = |_| TokenizerError::TooLarge {
            what: "vocabulary's text in bytes",
            found: self.texts.len(),
            limit: u32::MAX as usize,
        };
        self.ends.push(end.map_err(too_large)?);
        self.kinds.push(kind);
        Ok(())
    }

    /// Number of ids, gaps included.
    pub(super) fn len(&self) -> usize {
        self.kinds.len()
    }

    /// What the token is for; [`TokenKind::Missing`] outside the vocabulary.
    pub(super) fn kind(&self, id: u32) -> TokenKind {
        let found = self.kinds.get(id as usize);
        found.copied().unwrap_or(TokenKind::Missing)
    }

    /// The token's text as the file spells it.
    pub(super) fn text(&self, id: u32) -> Option<&str> {
        if self.kind(id) == TokenKind::Missing {
            return None;
        }
        let index = id as usize;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]) as usize;
        Some(&self.texts[start..self.ends[index] as usize])
    }

    /// Appends the bytes that the token stands for; nothing for missing and unused ids.
    pub(super) fn push_bytes(&self, id: u32, out: &mut Vec<u8>) {
        let Some(text) = self.text(id) else { return };
        match (self.kind(id), self.alphabet) {
            (TokenKind::Unused, _) => {}
            (_, Alphabet::ByteLevel) => push_byte_level(text, out),
            (_, Alphabet::Metaspace) => match byte_of_name(text) {
                Some(byte) => out.push(byte),
                None => {
                    let mut words = text.split('▁');
                    out.extend_from_slice(words.next().unwrap_or_default().as_bytes());
                    words.for_each(|word| {
                        out.push(b' ');
                        out.extend_from_slice(word.as_bytes());
                    });
                }
            },
        }
    }
}

/// An error where `found` is more than `limit`.
pub(super) fn check_limit(what: &'static str, found: usize, limit: usize) -> Result<(), TokenizerError> {
    match found <= limit {
        true => Ok(()),
        false => Err(TokenizerError::TooLarge { what, found, limit }),
    }
}

/// Texts with any character outside the byte alphabet (added tokens may have such) stand for
/// themselves.
fn push_byte_level(text: &str, out: &mut Vec<u8>) {
    let start = out.len();
    for c in text.chars() {
        match byte_of_char(c) {
            Some(byte) => out.push(byte),
            None => {
                out.truncate(start);
                out.extend_from_slice(text.as_bytes());
                return;
            }
        }
    }
}

/// The byte that a character of GPT-2's alphabet stands for: printable Latin-1 stands for itself,
/// the other bytes take the characters from U+0100 on, in order.
fn byte_of_char(c: char) -> Option<u8> {
    let byte = match c as u32 {
        code @ (0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff) => code,
        code @ 0x100..=0x120 => code - 0x100,
        code @ 0x121..=0x142 => code - 0x121 + 0x7f,
        0x143 => 0xad,
        _ => return None,
    };
    u8::try_from(byte).ok()
}

/// `<0xAB>` as a byte.
fn byte_of_name(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("<0x")?.strip_suffix('>')?;
    let is_hex = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    u8::from_str_radix(digits, 16).ok().filter(|_| is_hex)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_byte_has_one_character() {
        let bytes: Vec<u8> = (0..0x200).filter_map(char::from_u32).filter_map(byte_of_char).collect();
        assert_eq!(bytes.len(), 256);
        assert_eq!(bytes.iter().collect::<HashSet<_>>().len(), 256);
        assert_eq!(byte_of_char('Ġ'), Some(b' '));
        assert_eq!(byte_of_char('Ċ'), Some(b'\n'));
        assert_eq!(byte_of_char('▁'), None);
    }

    #[test]
    fn byte_names() {
        assert_eq!(byte_of_name("<0x0A>"), Some(10));
        assert_eq!(byte_of_name("<0xff>"), Some(255));
        for not in ["<0x+1>", "<0x1>", "<0x123>", "0x11", "<0xé>"] {
            assert_eq!(byte_of_name(not), None, "{not}");
        }
    }

    #[test]
    fn gaps_are_missing_and_limits_hold() {
        let token = |text: &str| {
            let kind = TokenKind::Text;
            Some(Token { text: text.into(), kind })
        };
        let tokens = [token("a"), None, token("Ġb")];
        let vocabulary = Vocabulary::new(&tokens, Alphabet::ByteLevel).unwrap();
        assert_eq!(vocabulary.text(0), Some("a"));
        assert_eq!(vocabulary.text(1), None);
        assert_eq!(vocabulary.text(2), Some("Ġb"));
        assert_eq!(vocabulary.text(3), None);
        assert!(Vocabulary::new(&[None], Alphabet::ByteLevel).is_err());
        let long = [token(&"x".repeat(MAX_TOKEN_BYTES + 1))];
        assert!(Vocabulary::new(&long, Alphabet::ByteLevel).is_err());
    }
}
