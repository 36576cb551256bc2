//! Frequent words extraction: which three words of a coded text occur most often, when counts follow a zeta law?

use std::collections::BTreeSet;
use std::f64::consts::PI;

use super::sample::{Fitting, Maker, Sample};
use crate::tasks::rng::Rng;
use crate::tasks::{TaskError, token_count};

/// Letters of a coded word.
const LETTERS: usize = 6;
/// What stands for the most frequent word, and means nothing.
const DOTS: &str = "...";
/// zeta(2): what the counts' shares, falling with the square of the rank, add up to.
const ZETA: f64 = PI * PI / 6.0;
const HEAD: &str = "Read the following coded text and track the frequency of each coded word. Find the three most \
                    frequently appeared coded words. ";
const QUESTION: &str = "\nQuestion: Do not provide any explanation. Please ignore the dots '....'. What are the \
                        three most frequently appeared words in the above coded text?";
const PREFIX: &str = " Answer: According to the coded text above, the three most frequently appeared words are:";

/// Makes the samples.
pub(super) struct FrequentWords {
    /// Different words.
    vocabulary: usize,
    /// Words of the text at size 0: not one step, but RULER's first number is whole steps from it.
    base: usize,
    /// Words that a size has more than the last.
    step: usize,
    fresh: Rng,
}

impl FrequentWords {
    /// The maker for a length; the vocabulary grows with it.
    pub(super) fn new(fitting: &Fitting) -> Result<Self, TaskError> {
        let room = fitting.length.saturating_sub(fitting.max_tokens);
        let mut template = 0;
        for part in [HEAD, QUESTION, PREFIX] {
            template += token_count(fitting.tokens, part)?;
        }
        let vocabulary = room.saturating_sub(template) / 50;
        let step = (room / 32).max(1);
        let maker = Self { vocabulary, base: room / 6 % step, step, fresh: Rng::new(fitting.seed) };
        // The fourth word must stand out from the fifth.
        if vocabulary < 5 {
            return Err(fitting.too_short(fitting.max_tokens + template + 5 * 50));
        }
        Ok(maker)
    }

    /// How often the word of a rank (from 1) occurs in a text of about `words`.
    fn occurs(words: usize, rank: usize) -> usize {
        (words as f64 / (ZETA * (rank * rank) as f64)) as usize
    }
}

impl Maker for FrequentWords {
    fn least(&self) -> usize {
        let stands_out = |size: &usize| {
            let words = self.base + size * self.step;
            Self::occurs(words, 4) > Self::occurs(words, 5)
        };
        // The counts' difference grows with the size; a text of a hundred words has it.
        (1..=100).find(stands_out).unwrap_or(100)
    }

    fn step(&self) -> usize {
        1
    }

    fn make(&self, rng: &mut Rng, size: usize) -> Sample {
        let mut words = BTreeSet::new();
        while words.len() < self.vocabulary {
            words.insert((0..LETTERS).map(|_| char::from(b'a' + rng.below(26) as u8)).collect::<String>());
        }
        let mut words: Vec<String> = words.into_iter().collect();
        self.fresh.clone().shuffle(&mut words);
        words[0] = DOTS.into();

        let total = self.base + size * self.step;
        let repeated = words.iter().enumerate().flat_map(|(i, w)| vec![w.as_str(); Self::occurs(total, i + 1)]);
        let mut text: Vec<&str> = repeated.collect();
        self.fresh.clone().shuffle(&mut text);
        let context = HEAD.to_owned() + &text.join(" ");
        Sample { context, text: QUESTION.into(), prefix: PREFIX.into(), answers: words[1..4].to_vec() }
    }
}
