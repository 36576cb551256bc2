//! ROUGE-L as PyPI's package `rouge` 1.0.1 computes it, which is what LongBench reports for summaries.

use std::collections::{HashMap, HashSet};

/// The steps back through one table of a longest common subsequence after which the score is 0.
///
/// The package walks back by recursion, one frame a step. Called as LongBench's script calls it (three frames deep),
/// Python's limit of 1000 frames ends the walk after this many steps, and the script takes the error for 0. Measured
/// on Python 3.11; earlier versions, or a script of another shape, may differ by a few.
const LONGEST_WALK: usize = 990;

/// LongBench's `rouge_score`: F of the summary-level ROUGE-L of `rouge` 1.0.1.
///
/// Its peculiarities: both texts are cut into sentences at every "."; capitals and other punctuation count; a piece of
/// white space between two "." is a sentence of one empty word. Counted are not words but distinct words: for every
/// pair of sentences the words of one longest common subsequence go into one set; its size over the number of
/// distinct words of the answer is the recall, and over those of the prediction the precision.
///
/// 0 where either text has no sentence (is empty, or nothing but "."), since the package then raises an error, and
/// where a pair of sentences makes it go deeper than Python allows: about 990 words without a ".".
pub fn rouge_l(prediction: &str, answer: &str) -> f64 {
    let mut ids = Ids::default();
    let (prediction, answer) = (ids.sentences(prediction), ids.sentences(answer));
    if prediction.is_empty() || answer.is_empty() {
        return 0.0;
    }
    let Some(shared) = shared_words(&answer, &prediction) else { return 0.0 };
    let recall = shared as f64 / distinct_words(&answer) as f64;
    let precision = shared as f64 / distinct_words(&prediction) as f64;
    2.0 * ((precision * recall) / (precision + recall + 1e-8))
}

/// A sentence: its words, as numbers.
type Sentence = Vec<usize>;

/// Numbers for words, the same for the same word.
#[derive(Default)]
struct Ids<'a>(HashMap<&'a str, usize>);

impl<'a> Ids<'a> {
    fn sentences(&mut self, text: &'a str) -> Vec<Sentence> {
        text.split('.').filter(|piece| !piece.is_empty()).map(|piece| self.sentence(piece)).collect()
    }

    fn sentence(&mut self, piece: &'a str) -> Sentence {
        let words: Sentence = super::python::split(piece).map(|word| self.id(word)).collect();
        if words.is_empty() { vec![self.id("")] } else { words }
    }

    fn id(&mut self, word: &'a str) -> usize {
        let next = self.0.len();
        *self.0.entry(word).or_insert(next)
    }
}

fn distinct_words(sentences: &[Sentence]) -> usize {
    sentences.iter().flatten().collect::<HashSet<_>>().len()
}

/// How many distinct words the common subsequences of all pairs have; none if the package would break off.
fn shared_words(answer: &[Sentence], prediction: &[Sentence]) -> Option<usize> {
    let mut shared = HashSet::new();
    for right in answer {
        for said in prediction {
            shared.extend(common_subsequence(right, said)?);
        }
    }
    Some(shared.len())
}

/// The way that the walk takes from a cell of the table.
#[derive(Clone, Copy, PartialEq)]
enum Step {
    Both,
    Up,
    Left,
}

/// The words of the longest common subsequence that the package finds; which one matters, for words are counted once.
fn common_subsequence(x: &[usize], y: &[usize]) -> Option<Vec<usize>> {
    let steps = last_steps(x, y);
    let unkept = x.len().saturating_sub(LONGEST_WALK);
    let (mut i, mut j) = (x.len(), y.len());
    let mut words = Vec::new();
    let mut walked = 0;
    while i > 0 && j > 0 {
        walked += 1;
        if walked > LONGEST_WALK {
            return None;
        }
        let step = steps[(i - 1 - unkept) * y.len() + j - 1];
        if step == Step::Both {
            words.push(x[i - 1]);
        }
        i -= usize::from(step != Step::Left);
        j -= usize::from(step != Step::Up);
    }
    Some(words)
}

/// The step from each cell, one row a word of `x`: up only where that is longer than left.
///
/// Of the last rows only, no more than a walk can come through: the answer's length is not ours to bound.
fn last_steps(x: &[usize], y: &[usize]) -> Vec<Step> {
    let unkept = x.len().saturating_sub(LONGEST_WALK);
    let mut steps = Vec::new();
    let mut above = vec![0_usize; y.len() + 1];
    let mut row = above.clone();
    for (i, word) in x.iter().enumerate() {
        for (j, other) in y.iter().enumerate() {
            let (step, length) = if word == other {
                (Step::Both, above[j] + 1)
            } else if above[j + 1] > row[j] {
                (Step::Up, above[j + 1])
            } else {
                (Step::Left, row[j])
            };
            row[j + 1] = length;
            if i >= unkept {
                steps.push(step);
            }
        }
        std::mem::swap(&mut above, &mut row);
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F of a recall and a precision, as the package has it.
    fn f(recall: f64, precision: f64) -> f64 {
        2.0 * ((precision * recall) / (precision + recall + 1e-8))
    }

    #[test]
    fn equal_texts_fall_short_of_1_by_the_small_number() {
        assert_eq!(rouge_l("x y.", "x y."), f(1.0, 1.0));
        assert!(rouge_l("x y.", "x y.") < 1.0);
    }

    #[test]
    fn distinct_words_count_and_the_set_is_carried_on() {
        assert_eq!(rouge_l("x x x z", "x y"), f(0.5, 0.5));
        // Every sentence of the answer shares the same word.
        assert_eq!(rouge_l("x", "x a. x b. x c"), f(0.25, 1.0));
        // The whole answer is found in pieces.
        assert_eq!(rouge_l("b. a", "a b"), f(1.0, 1.0));
    }

    #[test]
    fn of_two_subsequences_the_walk_goes_left_first() {
        // "a" and "b" are equally long; going left from the end finds "b" of the answer before "a".
        assert_eq!(common_subsequence(&[0, 1], &[1, 0]), Some(vec![1]));
    }

    #[test]
    fn no_sentence_scores_0_but_a_blank_one_is_an_empty_word() {
        for (prediction, answer) in [("", ""), ("", "x"), ("x", ""), ("...", "x"), ("x", ".")] {
            assert_eq!(rouge_l(prediction, answer), 0.0, "{prediction:?} {answer:?}");
        }
        assert_eq!(rouge_l(" ", "\n"), f(1.0, 1.0));
        assert_eq!(rouge_l("x. ", "y. "), f(0.5, 0.5));
    }

    #[test]
    fn a_walk_that_is_too_long_scores_0() {
        let walk = |steps| rouge_l(&format!("x{}", " y".repeat(steps - 1)), "x");
        assert_eq!(walk(LONGEST_WALK), f(1.0, 0.5));
        assert_eq!(walk(LONGEST_WALK + 1), 0.0);
        // The same upwards, through an answer of which only the last words' steps are kept.
        let climb = |steps| rouge_l("x", &format!("x{}", " y".repeat(steps - 1)));
        assert_eq!(climb(LONGEST_WALK), f(0.5, 1.0));
        assert_eq!(climb(LONGEST_WALK + 1), 0.0);
        assert_eq!(climb(3 * LONGEST_WALK), 0.0);
    }
}
