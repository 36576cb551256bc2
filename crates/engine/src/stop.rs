//! Stop strings in a stream of text.

/// Passes text through until a stop string appears in it, however it is cut into pieces.
#[derive(Clone, Debug)]
pub(crate) struct StopFilter {
    stops: Vec<String>,
    /// Text that may be the beginning of a stop string.
    held: String,
    /// Text that the last piece let through.
    shown: String,
}

/// What came of a piece of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passed<'a> {
    /// Text that can be shown.
    Text(&'a str),
    /// Text before the stop string, and the string.
    Stop(&'a str, &'a str),
}

impl StopFilter {
    /// Empty strings stop nothing.
    pub(crate) fn new(stops: &[String]) -> Self {
        let stops: Vec<String> = stops.iter().filter(|s| !s.is_empty()).cloned().collect();
        // What is held back is shorter than a stop string; and a usual piece of text.
        let usual = stops.iter().map(String::len).max().unwrap_or(0) + 256;
        StopFilter { stops, held: String::with_capacity(usual), shown: String::with_capacity(usual) }
    }

    /// Takes a piece of text and returns what can be shown by now.
    pub(crate) fn push(&mut self, piece: &str) -> Passed<'_> {
        let StopFilter { stops, held, shown } = self;
        held.push_str(piece);
        shown.clear();
        let found = stops.iter().filter_map(|s| held.find(s.as_str()).map(|at| (at, s)));
        if let Some((at, stop)) = found.min_by_key(|&(at, s)| (at, std::cmp::Reverse(s.len()))) {
            shown.push_str(&held[..at]);
            held.clear();
            return Passed::Stop(shown, stop);
        }
        let keep = stops.iter().map(|s| overlap(held, s)).max().unwrap_or(0);
        let certain = held.len() - keep;
        shown.push_str(&held[..certain]);
        held.drain(..certain);
        Passed::Text(shown)
    }

    /// What was held back, when nothing more comes.
    pub(crate) fn finish(self) -> String {
        self.held
    }
}

/// Length of the longest end of `text` that `stop` begins with, short of all of `stop`.
fn overlap(text: &str, stop: &str) -> usize {
    let ends = stop.char_indices().map(|(i, _)| i).skip(1);
    ends.filter(|&length| text.ends_with(&stop[..length])).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All text shown, and the stop string, for a text cut into pieces of `size` characters.
    fn run(text: &str, size: usize, stops: &[&str]) -> (String, Option<String>) {
        let stops: Vec<String> = stops.iter().map(|s| (*s).to_owned()).collect();
        let mut filter = StopFilter::new(&stops);
        let mut shown = String::new();
        let chars: Vec<char> = text.chars().collect();
        for piece in chars.chunks(size) {
            match filter.push(&piece.iter().collect::<String>()) {
                Passed::Text(text) => shown += text,
                Passed::Stop(text, stop) => return (shown + text, Some(stop.to_owned())),
            }
        }
        (shown + &filter.finish(), None)
    }

    #[test]
    fn pieces_do_not_matter() {
        for size in 1..12 {
            assert_eq!(run("one two END three", size, &["END", "three"]), ("one two ".into(), Some("END".into())));
            assert_eq!(run("aaab aab", size, &["aab"]), ("a".into(), Some("aab".into())), "{size}");
            assert_eq!(run("no stop here EN", size, &["END", ""]), ("no stop here EN".into(), None));
            assert_eq!(run("héé→ß", size, &["é→"]), ("hé".into(), Some("é→".into())));
            assert_eq!(run("plain", size, &[]), ("plain".into(), None));
        }
    }

    #[test]
    fn text_is_not_held_longer_than_needed() {
        let mut filter = StopFilter::new(&["\n\n".into()]);
        assert_eq!(filter.push("a\nb"), Passed::Text("a\nb"));
        assert_eq!(filter.push("c\n"), Passed::Text("c"));
        assert_eq!(filter.push("d"), Passed::Text("\nd"));
    }
}
