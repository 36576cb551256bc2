//! Many numbers in one haystack, each asked for alone.
//!
//! One long prefill serves all questions, and a method that keeps only what it thinks is asked for cannot know which.

use std::collections::BTreeMap;

use super::facts::{PLACES, ROOMS};
use super::grid::HEAD;
use crate::item::{Document, Question, TokenCount};
use crate::tasks::place::{Frame, Needle};
use crate::tasks::rng::Rng;
use crate::tasks::{Haystack, Metric, Task, TaskError, check_index, longest};

/// Documents with several 7-digit numbers, at evenly spread depths.
#[derive(Clone, Debug)]
pub struct MultiKey {
    /// Tokens of prompt and answer together, at most.
    pub lengths: Vec<usize>,
    /// Numbers a document.
    pub keys: usize,
    /// Documents a length.
    pub repeats: usize,
    /// The seed.
    pub seed: u64,
    /// What the numbers are hidden in.
    pub haystack: Haystack,
    /// Tokens of an answer at most: a number takes up to seven, and a few words may come before it.
    pub max_tokens: usize,
}

impl MultiKey {
    /// Ten numbers in the built-in filler.
    pub fn new(lengths: Vec<usize>, repeats: usize) -> Self {
        Self { lengths, keys: 10, repeats, seed: 42, haystack: Haystack::filler(), max_tokens: 16 }
    }

    /// Different names, each with its number.
    fn pairs(&self, rng: &mut Rng) -> Result<Vec<(String, String)>, TaskError> {
        let names = PLACES.len() * ROOMS.len();
        if self.keys == 0 || self.keys > names {
            let reason = format!("1 to {names} keys were expected, not {}", self.keys);
            return Err(TaskError::Setting { task: self.name(), reason });
        }
        let chosen = rng.sample(names, self.keys);
        let name = |i: usize| format!("{} {}", PLACES[i % PLACES.len()], ROOMS[i / PLACES.len()]);
        Ok(chosen.into_iter().map(|i| (name(i), rng.range(1_000_000, 10_000_000).to_string())).collect())
    }

    /// Percent of the haystack before the number of a place: the middles of equal parts.
    fn depth(&self, place: usize) -> f64 {
        100.0 * (place as f64 + 0.5) / self.keys as f64
    }

    /// The question for one number.
    fn question(&self, place: usize, (name, number): &(String, String), length: usize) -> Question {
        Question {
            id: place.to_string(),
            text: format!("\n\nThe document ends here. What is the access code of the {name}? Answer with the code.\n"),
            answer_prefix: format!("The access code of the {name} is"),
            answers: vec![number.clone()],
            max_tokens: self.max_tokens,
            labels: BTreeMap::from([("length".into(), length as f64), ("depth".into(), self.depth(place))]),
            ..Question::default()
        }
    }
}

impl Task for MultiKey {
    fn name(&self) -> String {
        "needle:multi-key".into()
    }

    fn metric(&self) -> Metric {
        Metric::NeedleV2
    }

    fn count(&self) -> usize {
        self.lengths.len() * self.repeats
    }

    fn document(&self, index: usize, tokens: &dyn TokenCount) -> Result<Document, TaskError> {
        check_index(self, index)?;
        let (length, repeat) = (self.lengths[index / self.repeats], index % self.repeats);
        let mut rng = Rng::for_item(self.seed, "needle:multi-key", repeat as u64);
        let pairs = self.pairs(&mut rng)?;
        let hay = self.haystack.shuffled(&mut rng, length * 2);
        let questions: Vec<Question> =
            pairs.iter().enumerate().map(|(place, pair)| self.question(place, pair, length)).collect();
        let needle = |(place, (name, number)): (usize, &(String, String))| Needle {
            depth: self.depth(place),
            text: format!("The access code of the {name} is {number}."),
        };
        let needles: Vec<Needle> = pairs.iter().enumerate().map(needle).collect();
        let name = self.name();
        let after = longest(&questions, tokens)?;
        let frame = Frame { task: &name, head: HEAD, length, after, tokens };
        let context = frame.fill(&hay, &needles)?;
        Ok(Document { id: format!("{length}-{repeat}"), context, chat: true, questions })
    }
}
