//! What Python's `str` and `re` take for a space, a digit and a word, for scorers that were written in it.

use std::ops::RangeInclusive;

/// The zero of each script that counts in tens, beyond ASCII; its nine other digits follow (Unicode 14, category Nd).
const ZEROS: [u32; 65] = [
    0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0, 0xf20,
    0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0,
    0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10, 0x104a0, 0x10d30, 0x11066, 0x110f0, 0x11136, 0x111d0, 0x112f0,
    0x11450, 0x114d0, 0x11650, 0x116c0, 0x11730, 0x118e0, 0x11950, 0x11c50, 0x11d50, 0x11da0, 0x16a60, 0x16ac0,
    0x16b50, 0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6, 0x1e140, 0x1e2f0, 0x1e950, 0x1fbf0,
];

/// ASCII's file, group, record and unit separators, which Python counts as white space and Unicode does not.
const SEPARATORS: RangeInclusive<char> = '\x1c'..='\x1f';

/// `str.isspace` of one character, which is also `\s`.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || SEPARATORS.contains(&c)
}

/// `\d`: a decimal digit of any script.
pub(super) fn is_digit(c: char) -> bool {
    let after = ZEROS.partition_point(|&zero| zero <= u32::from(c));
    c.is_ascii_digit() || (after > 0 && u32::from(c) - ZEROS[after - 1] < 10)
}

/// `\w`: a letter, a number or an underscore.
///
/// Python leaves out the circled letters and the marks that Unicode calls alphabetic (Hebrew points, vowel signs of
/// Devanagari); here they count. It shows only where one is written directly beside a Latin word.
pub(super) fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// `str.split()`: the pieces between runs of white space.
pub(super) fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|piece| !piece.is_empty())
}

/// `" ".join(text.split())`.
pub(super) fn squeeze(text: &str) -> String {
    split(text).collect::<Vec<_>>().join(" ")
}

/// `str.strip()`.
pub(super) fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// `re.findall(r"\d+", text)`.
pub(super) fn integers(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c| !is_digit(c)).filter(|piece| !piece.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_has_the_four_separators() {
        assert_eq!(split("a\x1cb\u{a0}\u{3000}c\x1f \n").collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(split("\u{200b}").count(), 1, "the zero-width space is none");
        assert_eq!(strip("\x1d \u{85}x y\x1e"), "x y");
        assert_eq!(squeeze(" \n"), "");
    }

    #[test]
    fn digits_are_those_that_count_in_tens() {
        assert_eq!(integers("a12b٠٩.３-4²½Ⅷ五").collect::<Vec<_>>(), ["12", "٠٩", "３", "4"]);
        assert!(ZEROS.is_sorted());
        assert!(!is_digit('\u{65f}') && is_digit('\u{660}') && is_digit('\u{669}') && !is_digit('\u{66a}'));
        assert!(is_digit('\u{1d7ff}') && !is_digit('\u{1d800}') && !is_digit(char::MAX));
    }

    #[test]
    fn words_have_letters_numbers_and_the_underscore() {
        assert!("aZ9_é中²Ⅷ٣".chars().all(is_word));
        assert!(!" -.'’€🙂\u{301}".chars().any(is_word));
    }
}
