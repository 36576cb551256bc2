//! Text that stands in XML and HTML, wherever it came from: method names, task names, errors.

use std::borrow::Cow;

/// The text as it may stand between tags and in quoted attributes. Characters that XML 1.0 cannot hold at all become
/// U+FFFD.
pub fn xml(text: &str) -> Cow<'_, str> {
    if text.chars().all(|c| stands_for(c).is_none()) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match stands_for(c) {
            Some(escaped) => out.push_str(escaped),
            None => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// The text as a cell of a Markdown table: no pipe ends the cell, no line break the row, no bracket begins a tag.
pub fn markdown_cell(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' => out.push(' '),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' => out.extend(['\\', c]),
            _ => out.push(c),
        }
    }
    out
}

/// A file's name of a title: lower-case ASCII letters, digits and single hyphens, at most 80; never empty.
pub fn file_stem(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars().take(400) {
        match c.to_ascii_lowercase() {
            c if c.is_ascii_alphanumeric() => out.push(c),
            _ if out.is_empty() || out.ends_with('-') => {}
            _ => out.push('-'),
        }
    }
    out.truncate(80);
    let stem = out.trim_end_matches('-');
    if stem.is_empty() { "figure".to_owned() } else { stem.to_owned() }
}

fn stands_for(c: char) -> Option<&'static str> {
    match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '"' => Some("&quot;"),
        '\'' => Some("&#39;"),
        '\t' | '\n' | '\r' => None,
        c if c < ' ' || ('\u{7f}'..='\u{9f}').contains(&c) || matches!(c, '\u{fffe}' | '\u{ffff}') => Some("\u{fffd}"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_not_copied() {
        assert!(matches!(xml("int4: plain, 100 %"), Cow::Borrowed(_)));
    }

    #[test]
    fn markup_and_impossible_characters_go() {
        assert_eq!(xml("a<b>&\"c'"), "a&lt;b&gt;&amp;&quot;c&#39;");
        assert_eq!(xml("a\u{0}b\u{1b}c\nd"), "a\u{fffd}b\u{fffd}c\nd");
    }

    #[test]
    fn a_markdown_cell_stays_one_cell() {
        assert_eq!(markdown_cell("a|b\nc_d<e>"), "a\\|b c\\_d&lt;e&gt;");
    }

    #[test]
    fn file_stems_name_no_folder() {
        assert_eq!(file_stem("../../etc/Passwd <x>"), "etc-passwd-x");
        assert_eq!(file_stem("<&>"), "figure");
        assert_eq!(file_stem(&"ab ".repeat(100)).len(), 80);
    }
}
