//! A sample, and how large its haystack may be.

use crate::item::TokenCount;
use crate::tasks::rng::Rng;
use crate::tasks::{TaskError, fit, token_count};

/// Below this length RULER takes smaller steps and examples.
pub(super) const SHORT: usize = 4096;

/// What the model sees, in its parts, and what it should say.
pub(super) struct Sample {
    /// Everything up to the end of the haystack.
    pub(super) context: String,
    /// What follows.
    pub(super) text: String,
    /// How the answer is made to begin.
    pub(super) prefix: String,
    /// All that the answer should have in it.
    pub(super) answers: Vec<String>,
}

impl Sample {
    /// Tokens of the prompt, its parts tokenized apart.
    pub(super) fn tokens(&self, tokens: &dyn TokenCount) -> Result<usize, TaskError> {
        [&self.context, &self.text, &self.prefix].into_iter().map(|part| token_count(tokens, part)).sum()
    }
}

/// Makes samples of any size.
pub(super) trait Maker {
    /// The least haystack units that a sample can have.
    fn least(&self) -> usize;

    /// By how many units a sample shrinks that is too long.
    fn step(&self) -> usize;

    /// A sample with `size` units of haystack. What is drawn before the haystack must not depend on `size`.
    fn make(&self, rng: &mut Rng, size: usize) -> Sample;
}

/// How samples are made to fit.
pub(super) struct Fitting<'a> {
    /// The task's full name.
    pub(super) task: String,
    /// Tokens of prompt and answer at most.
    pub(super) length: usize,
    /// Tokens of the answer.
    pub(super) max_tokens: usize,
    /// The run's seed.
    pub(super) seed: u64,
    /// The model's tokens.
    pub(super) tokens: &'a dyn TokenCount,
}

impl Fitting<'_> {
    /// The sample of a number: of the size that was found for the task, or less by whole steps until it fits.
    pub(super) fn sample(&self, maker: &dyn Maker, index: usize) -> Result<Sample, TaskError> {
        let mut size = self.size(maker)?;
        loop {
            let sample = maker.make(&mut Rng::for_item(self.seed, &self.task, index as u64), size);
            let needed = sample.tokens(self.tokens)? + self.max_tokens;
            if needed <= self.length {
                return Ok(sample);
            }
            if size <= maker.least() {
                return Err(self.too_short(needed));
            }
            size = size.saturating_sub(maker.step()).max(maker.least());
        }
    }

    /// The most units with which a sample of its own fits.
    fn size(&self, maker: &dyn Maker) -> Result<usize, TaskError> {
        let mut first = None;
        // No unit is shorter than a token.
        let found = fit::largest(maker.least(), self.length.max(maker.least()), self.length, |size| {
            let sample = maker.make(&mut Rng::for_item(self.seed, &format!("{}:size", self.task), 0), size);
            let cost = sample.tokens(self.tokens)? + self.max_tokens;
            first.get_or_insert(cost);
            Ok(cost)
        })?;
        found.ok_or_else(|| self.too_short(first.unwrap_or(0)))
    }

    /// That a sample of `needed` tokens is the smallest.
    pub(super) fn too_short(&self, needed: usize) -> TaskError {
        TaskError::TooShort { task: self.task.clone(), length: self.length, needed }
    }
}
