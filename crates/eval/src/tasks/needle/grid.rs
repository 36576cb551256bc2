//! One needle in a haystack, over a grid of lengths and depths.
//!
//! As NeedleBench's single-needle test: the fact and the haystack's order are drawn by the repeat's number, so a
//! cell differs from its neighbour in the same repeat by nothing but length or depth. Two things are not as there:
//! lengths are in the model's own tokens and bound the whole prompt (NeedleBench counts another model's tokens and
//! leaves a buffer), and needles go to the end of a sentence, as in the classic test.

use std::collections::BTreeMap;

use super::facts::{FACTS, Fact};
use crate::item::{Document, Question, TokenCount};
use crate::tasks::place::{Frame, Needle};
use crate::tasks::rng::Rng;
use crate::tasks::{Haystack, Metric, Task, TaskError, check_index, longest};

/// How the grid is scored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NeedleScore {
    /// NeedleBench V1: part of the score for likeness to the whole needle, of which a [`NeedleGrid::lead`] takes
    /// away the most: switch that off to compare with NeedleBench's figures.
    V1,
    /// NeedleBench V2: the keyword or nothing.
    #[default]
    V2,
}

/// Lengths, depths and repeats; a document each.
#[derive(Clone, Debug)]
pub struct NeedleGrid {
    /// Tokens of prompt and answer together, at most.
    pub lengths: Vec<usize>,
    /// Percent of the haystack before the needle, 0 to 100.
    pub depths: Vec<f64>,
    /// Documents a cell, each with a fact and a haystack of its own.
    pub repeats: usize,
    /// The seed.
    pub seed: u64,
    /// What the needle is hidden in.
    pub haystack: Haystack,
    /// How it is scored.
    pub score: NeedleScore,
    /// Whether the answer is begun with the needle's own words before the keyword: the keyword's log-probability
    /// means little otherwise, and models that follow no instructions can be asked.
    pub lead: bool,
    /// Tokens of an answer at most.
    pub max_tokens: usize,
}

impl NeedleGrid {
    /// A grid with eleven depths from 0 to 100 percent, in the built-in filler.
    pub fn new(lengths: Vec<usize>, repeats: usize) -> Self {
        Self {
            lengths,
            depths: (0..=10).map(|i| f64::from(i) * 10.0).collect(),
            repeats,
            seed: 42,
            haystack: Haystack::filler(),
            score: NeedleScore::default(),
            lead: true,
            max_tokens: 50,
        }
    }

    /// Length, depth and repeat of a document; depths follow one another, then repeats, then lengths.
    fn cell(&self, index: usize) -> (usize, f64, usize) {
        let (depths, repeats) = (self.depths.len(), self.repeats);
        (self.lengths[index / depths / repeats], self.depths[index % depths], index / depths % repeats)
    }

    /// The question of a fact.
    fn question(&self, fact: &Fact, length: usize, depth: f64) -> Question {
        let lead = format!("The answer, word for word: {}", fact.lead);
        Question {
            id: "0".into(),
            text: format!(
                "\n\nThe document ends here. Which part of it matters for this question? {} \
                 Answer in one sentence of the form \"{} ____.\"\n",
                fact.question, fact.lead
            ),
            answer_prefix: if self.lead { lead } else { String::new() },
            answers: vec![fact.keyword.into(), fact.sentence()],
            max_tokens: self.max_tokens,
            labels: BTreeMap::from([("length".into(), length as f64), ("depth".into(), depth)]),
            ..Question::default()
        }
    }
}

/// What stands before the haystack.
pub(super) const HEAD: &str = "You answer questions about a document. Be brief and exact, keep to what was asked, and \
                               do not repeat yourself. This is the document:\n\n";

impl Task for NeedleGrid {
    fn name(&self) -> String {
        "needle".into()
    }

    fn metric(&self) -> Metric {
        match self.score {
            NeedleScore::V1 => Metric::NeedleV1,
            NeedleScore::V2 => Metric::NeedleV2,
        }
    }

    fn count(&self) -> usize {
        self.lengths.len() * self.depths.len() * self.repeats
    }

    fn document(&self, index: usize, tokens: &dyn TokenCount) -> Result<Document, TaskError> {
        check_index(self, index)?;
        let (length, depth, repeat) = self.cell(index);
        let mut rng = Rng::for_item(self.seed, "needle", repeat as u64);
        let fact = &FACTS[rng.below(FACTS.len())];
        // A word has at least a token, as a rule; twice as many words are enough beyond it.
        let hay = self.haystack.shuffled(&mut rng, length * 2);
        let question = self.question(fact, length, depth);
        let after = longest(std::slice::from_ref(&question), tokens)?;
        let frame = Frame { task: "needle", head: HEAD, length, after, tokens };
        let context = frame.fill(&hay, &[Needle { depth, text: fact.sentence() }])?;
        let id = format!("{length}-{depth}-{repeat}");
        Ok(Document { id, context, chat: true, questions: vec![question] })
    }
}
