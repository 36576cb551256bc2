//! How alike two lines of code are.

use super::sequence_matcher::matching_characters;

/// LongBench's `code_sim_score`: of the prediction, without leading newlines, the first line with none of "`", "#" and
/// "//" in it (an empty text if there is none), compared with the answer by fuzzywuzzy's `fuzz.ratio`.
///
/// fuzzywuzzy takes the matching from Python's `difflib`, and so does this; where the package python-Levenshtein is
/// installed it takes that one's, the longest common subsequence, and the score can be higher. The answer is not cut:
/// its leading spaces and further lines count.
pub fn code_sim(prediction: &str, answer: &str) -> f64 {
    fuzz_ratio(first_code_line(prediction), answer) / 100.0
}

fn first_code_line(prediction: &str) -> &str {
    let is_code = |line: &&str| !["`", "#", "//"].iter().any(|mark| line.contains(mark));
    prediction.trim_start_matches('\n').split('\n').find(is_code).unwrap_or_default()
}

/// `fuzz.ratio`: twice the matching characters over all of both, in whole percent, halves to even. Equal texts have
/// 100 even if empty.
fn fuzz_ratio(one: &str, other: &str) -> f64 {
    if one == other {
        return 100.0;
    }
    let one: Vec<char> = one.chars().collect();
    let other: Vec<char> = other.chars().collect();
    let matching = matching_characters(&one, &other);
    (100.0 * (2.0 * matching as f64 / (one.len() + other.len()) as f64)).round_ties_even()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_fences_are_skipped() {
        assert_eq!(first_code_line("\n\n```py\n# one\n  x = 1 // 2\ny = 2\nz"), "y = 2");
        assert_eq!(first_code_line("# one\n\nx"), "", "an empty line is a line of code");
        assert_eq!(first_code_line("# one"), "");
        assert_eq!(first_code_line("\n \nx"), " ");
    }

    #[test]
    fn percents_are_whole_and_halves_go_to_even() {
        assert_eq!(code_sim("x = 1", "x = 1"), 1.0);
        assert_eq!(code_sim("", ""), 1.0);
        assert_eq!(code_sim("", "x"), 0.0);
        // 1 of 8 + 8 characters matches, 12.5 %; 3 do, 37.5 %.
        assert_eq!(code_sim("abbbbbbb", "accccccc"), 0.12);
        assert_eq!(code_sim("abcddddd", "abceeeee"), 0.38);
    }
}
