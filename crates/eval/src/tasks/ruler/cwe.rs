//! Common words extraction: which ten words of a list are repeated most often?

use super::Ruler;
use super::sample::{Maker, Sample};
use super::words::more;
use crate::tasks::rng::Rng;

/// How many common words there are.
const COMMON: usize = 10;

/// How a list is made up.
#[derive(Clone, Copy)]
struct Repeats {
    common: usize,
    others: usize,
}

/// Makes the samples: an example, then the list.
pub(super) struct CommonWords {
    /// The lists' words, shuffled, and after them made-up ones for lists that need more.
    words: Vec<String>,
    /// How many of the words are the lists' own.
    pool: usize,
    list: Repeats,
    example: (usize, Repeats),
    fresh: Rng,
}

impl CommonWords {
    /// The maker, with words for lists of any size that can fit.
    pub(super) fn new(ruler: &Ruler) -> Self {
        let mut words = ruler.words.pool();
        ruler.fresh().shuffle(&mut words);
        let pool = words.len();
        let (list, example) = match ruler.is_short() {
            true => (Repeats { common: 6, others: 1 }, (20, Repeats { common: 3, others: 1 })),
            false => (Repeats { common: 30, others: 3 }, (40, Repeats { common: 10, others: 3 })),
        };
        // Each of a word's repeats takes a token and more: no list that fits has as many different words as this.
        let extra = more(&words, (ruler.length / list.others).saturating_sub(pool));
        words.extend(extra);
        Self { words, pool, list, example, fresh: ruler.fresh() }
    }

    /// A list of `size` different words and the question about it.
    fn part(&self, rng: &mut Rng, size: usize, repeats: Repeats) -> Sample {
        let from = if size <= self.pool { self.pool } else { self.words.len() };
        let words: Vec<&String> = rng.sample(from, size).into_iter().map(|i| &self.words[i]).collect();
        let (common, others) = words.split_at(COMMON.min(words.len()));
        let mut list: Vec<&String> = Vec::new();
        list.extend((0..repeats.common).flat_map(|_| common));
        list.extend((0..repeats.others).flat_map(|_| others));
        self.fresh.clone().shuffle(&mut list);
        Sample {
            context: format!(
                "Below is a numbered list of words. In these words, some appear more often than others. \
                 Memorize the ones that appear most often.\n{}",
                numbered(&list)
            ),
            text: "\nQuestion: What are the 10 most common words in the above list?".into(),
            prefix: " Answer: The top 10 words that appear most often in the list are:".into(),
            answers: common.iter().map(|&word| word.clone()).collect(),
        }
    }
}

impl Maker for CommonWords {
    fn least(&self) -> usize {
        2 * COMMON
    }

    fn step(&self) -> usize {
        10
    }

    fn make(&self, rng: &mut Rng, size: usize) -> Sample {
        let example = self.part(rng, self.example.0, self.example.1);
        let shown = numbered(&example.answers.iter().collect::<Vec<_>>());
        let asked = self.part(rng, size, self.list);
        let context = format!("{}{}{} {shown}\n{}", example.context, example.text, example.prefix, asked.context);
        Sample { context, ..asked }
    }
}

/// `1. word 2. word ...`
fn numbered(words: &[&String]) -> String {
    let items: Vec<String> = words.iter().enumerate().map(|(i, word)| format!("{}. {word}", i + 1)).collect();
    items.join(" ")
}
