//! Short classics behind a long context: several rows share one text of filler, so that one prefill serves them all.

use super::place::{Frame, Needle};
use super::rng::Rng;
use super::rows::Rows;
use super::{Haystack, TaskError};
use crate::item::{Question, TokenCount};

/// The long context and what goes with it.
#[derive(Clone, Debug)]
pub struct Padding {
    /// Tokens of prompt and answer together, at most.
    pub length: usize,
    /// Rows that share a context.
    pub per_document: usize,
    /// The seed: where in the filler things are put.
    pub seed: u64,
    /// The filler.
    pub haystack: Haystack,
}

impl Padding {
    /// Built-in filler, eight rows a context.
    pub fn new(length: usize) -> Self {
        Self { length, per_document: 8, seed: 42, haystack: Haystack::filler() }
    }

    /// A depth in percent, for something put into the filler.
    pub(crate) fn depth(rng: &mut Rng) -> f64 {
        rng.range(0, 1001) as f64 / 10.0
    }

    /// The filler with things in it, so long that the longest of the questions fits after it.
    pub(crate) fn context(
        &self,
        task: &str,
        rng: &mut Rng,
        inserts: &[Needle],
        questions: &[Question],
        tokens: &dyn TokenCount,
    ) -> Result<String, TaskError> {
        let hay = self.haystack.shuffled(rng, self.length.saturating_mul(2));
        let after = super::longest(questions, tokens)?;
        Frame { task, head: "", length: self.length, after, tokens }.fill(&hay, inserts)
    }
}

/// What a document is made of: rows that share a context, or a malformed row, which is nobody's neighbour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// Rows of the file.
    Rows(Vec<usize>),
    /// A row that could not be understood.
    Bad(usize),
}

/// The rows in groups of `size`, then the malformed ones.
pub(crate) fn groups<T>(rows: &Rows<T>, size: usize) -> Vec<Group> {
    let (good, bad): (Vec<usize>, Vec<usize>) = (0..rows.len()).partition(|&i| rows.is_good(i));
    let good = good.chunks(size.max(1)).map(|chunk| Group::Rows(chunk.to_vec()));
    good.chain(bad.into_iter().map(Group::Bad)).collect()
}
