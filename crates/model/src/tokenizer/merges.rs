//! Merge lists: read from GGUF, or recovered from SentencePiece scores.

use super::error::TokenizerError;
use super::vocabulary::check_limit;
use std::collections::HashMap;

/// Several times the merges of the largest published vocabularies.
const MAX_MERGES: usize = 1 << 22;

/// The left and the right part of a merge.
pub(super) type Merge = (String, String);

/// Reads `left right` entries. A part may itself begin with a space, hence the search from byte 1.
pub(super) fn parse_merges(lines: &[String]) -> Result<Vec<Merge>, TokenizerError> {
    let parse = |(rank, line): (usize, &String)| {
        let bytes = line.as_bytes().iter();
        let space = bytes.enumerate().skip(1).find(|(_, b)| **b == b' ');
        let parts = space.map(|(at, _)| (&line[..at], &line[at + 1..]));
        match parts {
            Some((left, right)) if !right.is_empty() => Ok((left.to_owned(), right.to_owned())),
            _ => Err(TokenizerError::BadMerge { rank, merge: line.clone() }),
        }
    };
    check_limit("number of merges", lines.len(), MAX_MERGES)?;
    lines.iter().enumerate().map(parse).collect()
}

/// Every part of a merge, and what it makes, must be a token.
pub(super) fn check_merges(merges: &[Merge], vocabulary: &HashMap<String, u32>) -> Result<(), TokenizerError> {
    check_limit("number of merges", merges.len(), MAX_MERGES)?;
    let mut joined = String::new();
    for (rank, (left, right)) in merges.iter().enumerate() {
        joined.clear();
        joined.push_str(left);
        joined.push_str(right);
        for part in [left, right, &joined] {
            if !vocabulary.contains_key(part) {
                return Err(TokenizerError::MergeWithoutToken {
                    rank,
                    left: left.clone(),
                    right: right.clone(),
                    missing: part.clone(),
                });
            }
        }
    }
    Ok(())
}

/// A way to make a piece out of two others.
struct Candidate<'v> {
    score: f32,
    left: &'v str,
    right: &'v str,
}

/// SentencePiece merges the pair whose joint piece has the best score. As a list of merges: every
/// split of every piece into two pieces, by falling score of the piece; ties go to the longer left
/// part, then the longer right one, then vocabulary order, as Hugging Face's conversion has it.
///
/// `pieces` are the mergeable tokens in the order of their ids, with their scores.
pub(super) fn merges_from_scores(pieces: &[(&str, f32)]) -> Vec<Merge> {
    let known: HashMap<&str, usize> = pieces.iter().map(|(text, _)| *text).zip(0..).collect();
    let mut candidates = Vec::new();
    for (text, score) in pieces {
        let first = candidates.len();
        for (at, _) in text.char_indices().skip(1) {
            let (left, right) = text.split_at(at);
            if known.contains_key(left) && known.contains_key(right) {
                candidates.push(Candidate { score: *score, left, right });
            }
        }
        candidates[first..].sort_by_key(|c| (known[c.left], known[c.right]));
    }
    // Stable, so that what is settled above stays settled.
    candidates.sort_by(|a, b| {
        let lengths = |c: &Candidate<'_>| (c.left.chars().count(), c.right.chars().count());
        b.score.total_cmp(&a.score).then_with(|| lengths(b).cmp(&lengths(a)))
    });
    let owned = |c: &Candidate<'_>| (c.left.to_owned(), c.right.to_owned());
    candidates.iter().map(owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merges_are_read_and_refused() {
        let lines = |texts: &[&str]| texts.iter().map(|t| t.to_string()).collect::<Vec<_>>();
        let merges = parse_merges(&lines(&["a b", "  x"])).unwrap();
        assert_eq!(merges[0], ("a".into(), "b".into()));
        assert_eq!(merges[1], (" ".into(), "x".into()));
        for bad in ["", "a", " ", "a ", "é"] {
            assert!(parse_merges(&lines(&[bad])).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn recovered_merges_fall_in_score_and_prefer_long_left_parts() {
        let pieces = [("a", -3.0), ("b", -4.0), ("ab", -1.0), ("aba", -0.5), ("ba", -2.0)];
        let merges = merges_from_scores(&pieces);
        let expected = [("ab", "a"), ("a", "ba"), ("a", "b"), ("b", "a")];
        let expected = expected.map(|(l, r)| (l.to_owned(), r.to_owned()));
        assert_eq!(merges, expected);
    }
}
