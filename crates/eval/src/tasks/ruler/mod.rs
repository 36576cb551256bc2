//! RULER's synthetic tasks, made at any length.
//!
//! The rules (templates, counts, where things go, how the size is found) are those of NVIDIA's RULER, `synthetic.yaml`
//! settings. A document's context ends with the haystack; what follows it is the question, so that a cache can be
//! compressed before the question is known.
//!
//! # Departures
//!
//! - Random numbers are this crate's own ([`Rng`]), not Python's and numpy's: the items follow the same
//!   distributions, but are other items than RULER's for the same seed. Every sample has a generator of its own in
//!   place of one that runs through them all.
//! - Sentences of essays are cut by a plain rule, not by NLTK's trained splitter.
//! - The size is searched once for a sample of its own, as RULER does; where not even one step of haystack fits,
//!   smaller sizes are tried, so that short lengths work.
//! - Keys of one sample, with those of distractors, are all different, as are the variables of its chains and
//!   example. RULER leaves this to luck.
//! - Where more different words are needed than the lists have, made-up ones are added in place of RULER's larger
//!   English list.

mod cwe;
mod fwe;
mod lines;
mod niah;
mod sample;
mod vt;
mod words;

use std::collections::BTreeMap;

use sample::{Fitting, Sample};
pub use words::WordLists;

use super::rng::Rng;
use super::{Haystack, Metric, Task, TaskError, check_index};
use crate::item::{Document, Question, TokenCount};

/// One of RULER's tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum RulerTask {
    /// A number in repeated noise.
    NiahSingle1,
    /// A number in essays.
    NiahSingle2,
    /// A UUID in essays.
    NiahSingle3,
    /// Four keys in essays, one is asked for.
    NiahMultikey1,
    /// A number among lines that are all needles.
    NiahMultikey2,
    /// A UUID, whose key is one too, among lines that are all needles.
    NiahMultikey3,
    /// Four numbers of one key in essays.
    NiahMultivalue,
    /// Four keys in essays, all are asked for.
    NiahMultiquery,
    /// A chain of variables that are assigned to one another.
    Vt,
    /// The ten words that are repeated most often in a list.
    Cwe,
    /// The three words that occur most often in a coded text.
    Fwe,
}

impl RulerTask {
    /// All of them, in RULER's order.
    pub const ALL: [Self; 11] = [
        Self::NiahSingle1,
        Self::NiahSingle2,
        Self::NiahSingle3,
        Self::NiahMultikey1,
        Self::NiahMultikey2,
        Self::NiahMultikey3,
        Self::NiahMultivalue,
        Self::NiahMultiquery,
        Self::Vt,
        Self::Cwe,
        Self::Fwe,
    ];

    /// RULER's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NiahSingle1 => "niah_single_1",
            Self::NiahSingle2 => "niah_single_2",
            Self::NiahSingle3 => "niah_single_3",
            Self::NiahMultikey1 => "niah_multikey_1",
            Self::NiahMultikey2 => "niah_multikey_2",
            Self::NiahMultikey3 => "niah_multikey_3",
            Self::NiahMultivalue => "niah_multivalue",
            Self::NiahMultiquery => "niah_multiquery",
            Self::Vt => "vt",
            Self::Cwe => "cwe",
            Self::Fwe => "fwe",
        }
    }

    /// The task of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|task| task.name() == name)
    }

    /// Tokens of an answer at most.
    pub fn max_tokens(self) -> usize {
        match self {
            Self::Vt => 30,
            Self::Cwe => 120,
            Self::Fwe => 50,
            _ => 128,
        }
    }
}

/// Samples of one RULER task at one length.
#[derive(Clone, Debug)]
pub struct Ruler {
    /// Which task.
    pub task: RulerTask,
    /// Tokens of prompt and answer together, at most.
    pub length: usize,
    /// How many samples; RULER's own runs have 500.
    pub samples: usize,
    /// The seed; RULER's is 42.
    pub seed: u64,
    /// The words that keys and lists are made of.
    pub words: WordLists,
    /// The essays.
    pub haystack: Haystack,
}

impl Ruler {
    /// A task with RULER's seed, built-in words and filler.
    pub fn new(task: RulerTask, length: usize, samples: usize) -> Self {
        Self { task, length, samples, seed: 42, words: WordLists::built_in(), haystack: Haystack::filler() }
    }

    /// The sample of a number.
    fn sample(&self, index: usize, tokens: &dyn TokenCount) -> Result<Sample, TaskError> {
        let fitting = Fitting {
            task: self.name(),
            length: self.length,
            max_tokens: self.task.max_tokens(),
            seed: self.seed,
            tokens,
        };
        match self.task {
            RulerTask::Vt => fitting.sample(&vt::Chains::new(&fitting)?, index),
            RulerTask::Cwe => fitting.sample(&cwe::CommonWords::new(self), index),
            RulerTask::Fwe => fitting.sample(&fwe::FrequentWords::new(&fitting)?, index),
            _ => fitting.sample(&niah::Needles::new(self), index),
        }
    }

    /// The step by which haystacks of lines grow: smaller where the context is short.
    fn is_short(&self) -> bool {
        self.length < sample::SHORT
    }

    /// The generator of RULER's "fresh" shuffles: the same permutation in every sample of a size.
    fn fresh(&self) -> Rng {
        Rng::new(self.seed)
    }
}

impl Task for Ruler {
    fn name(&self) -> String {
        format!("ruler:{}", self.task.name())
    }

    fn metric(&self) -> Metric {
        Metric::MatchAll
    }

    fn count(&self) -> usize {
        self.samples
    }

    fn document(&self, index: usize, tokens: &dyn TokenCount) -> Result<Document, TaskError> {
        check_index(self, index)?;
        let sample = self.sample(index, tokens)?;
        let question = Question {
            id: "0".into(),
            text: sample.text,
            answer_prefix: sample.prefix,
            answers: sample.answers,
            max_tokens: self.task.max_tokens(),
            labels: BTreeMap::from([("length".into(), self.length as f64)]),
            ..Question::default()
        };
        let id = format!("{}-{index}", self.length);
        Ok(Document { id, context: sample.context, chat: true, questions: vec![question] })
    }
}
