//! One answer in the making: from rows of logits to tokens and text.

use std::collections::HashMap;

use fourier_kv_model::tokenizer::DecodeStream;

use super::job::{AnswerOptions, Logprobs, Piece};
use crate::sampler::{Sampler, Sampling};
use crate::stop::{Passed, StopFilter};
use crate::{Constraint, Engine, Finish};

/// One answer in the making.
pub(super) struct Writer<'e> {
    engine: &'e Engine,
    options: AnswerOptions,
    sampler: Sampler,
    stream: DecodeStream<'e>,
    filter: StopFilter,
    constraint: Option<Box<dyn Constraint>>,
    /// How often the answer has each token, if that matters.
    counts: HashMap<u32, u32>,
    /// Logits that are changed before one is chosen.
    changed: Vec<f32>,
    /// Tokens of the answer.
    tokens: usize,
    /// Tokens of the sequence before the answer.
    before: usize,
}

/// What a row of logits came to.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// What there is to show.
    pub(super) piece: Piece,
    /// The token to go on with; none if the answer has ended.
    pub(super) next: Option<u32>,
    /// Why the answer has ended, if it has.
    pub(super) finish: Option<Finish>,
}

impl<'e> Writer<'e> {
    /// The answer number `answer` to a prompt that makes the sequence `before` tokens long.
    ///
    /// # Errors
    /// If the settings make no sense.
    pub(super) fn new(
        engine: &'e Engine,
        options: &AnswerOptions,
        answer: usize,
        before: usize,
        constraint: Option<Box<dyn Constraint>>,
    ) -> Result<Self, String> {
        let sampler = Sampler::new(nth_seed(options.sampling, answer)).map_err(|e| e.to_string())?;
        Ok(Writer {
            engine,
            sampler,
            stream: engine.tokenizer().decode_stream(!options.special_text),
            filter: StopFilter::new(&options.stop),
            options: options.clone(),
            constraint,
            counts: HashMap::new(),
            changed: Vec::new(),
            tokens: 0,
            before,
        })
    }

    /// Tokens of the answer, the one that ended it included.
    pub(super) fn tokens(&self) -> usize {
        self.tokens
    }

    /// Tokens that the answer may still come to have.
    pub(super) fn left(&self) -> usize {
        self.options.max_tokens.saturating_sub(self.tokens)
    }

    /// Chooses the next token.
    ///
    /// # Errors
    /// If no token may come next, or none is finite.
    pub(super) fn write(&mut self, logits: &[f32]) -> Result<Written, String> {
        let token = self.choose(logits)?;
        self.tokens += 1;
        let logprobs = self.options.logprobs.map(|count| logprobs(logits, token, count));
        if !self.options.ignore_end && self.engine.end_tokens().contains(&token) {
            let piece = Piece { token: None, text: self.release(), logprobs: None };
            return Ok(Written { piece, next: None, finish: Some(Finish::End) });
        }
        if !self.options.penalties.is_neutral() {
            *self.counts.entry(token).or_default() += 1;
        }
        let (mut text, stop) = self.show(token);
        let finish = self.accept(token)?.or(stop).or_else(|| self.limit());
        if finish.as_ref().is_some_and(|f| !matches!(f, Finish::Stop(_))) {
            text += &self.release();
        }
        let next = finish.is_none().then_some(token);
        Ok(Written { piece: Piece { token: Some(token), text, logprobs }, next, finish })
    }

    fn choose(&mut self, logits: &[f32]) -> Result<u32, String> {
        let Writer { options, constraint, changed, .. } = self;
        if options.penalties.is_neutral() && constraint.is_none() {
            return self.sampler.choose(logits).map_err(|e| e.to_string());
        }
        changed.clear();
        changed.extend_from_slice(logits);
        options.penalties.apply(changed, &self.counts);
        if let Some(constraint) = constraint {
            constraint.mask(changed, self.engine.end_tokens())?;
        }
        self.sampler.choose(changed).map_err(|e| e.to_string())
    }

    /// Tells the constraint; an answer that can only end ends.
    fn accept(&mut self, token: u32) -> Result<Option<Finish>, String> {
        let Some(constraint) = &mut self.constraint else { return Ok(None) };
        constraint.accept(token)?;
        Ok(constraint.is_complete().then_some(Finish::End))
    }

    /// The text that a token completes, and whether a stop text ends it.
    fn show(&mut self, token: u32) -> (String, Option<Finish>) {
        let piece = self.stream.push(token).unwrap_or_default();
        match self.filter.push(piece) {
            Passed::Text(text) => (text.to_owned(), None),
            Passed::Stop(text, stop) => (text.to_owned(), Some(Finish::Stop(stop.to_owned()))),
        }
    }

    /// What was held back for a character that was not completed, or a stop text that did not come.
    fn release(&mut self) -> String {
        let rest = self.stream.clone().finish().unwrap_or_default();
        match self.filter.push(&rest) {
            Passed::Stop(text, _) => text.to_owned(),
            Passed::Text(text) => text.to_owned() + &self.filter.clone().finish(),
        }
    }

    /// Whether the answer is as long as it may be.
    fn limit(&self) -> Option<Finish> {
        if self.tokens >= self.options.max_tokens {
            return Some(Finish::Length);
        }
        (self.before + self.tokens >= self.engine.model().config().context_length).then_some(Finish::Context)
    }
}

/// The sampling of the answer number `answer`: with a seed of its own.
fn nth_seed(sampling: Sampling, answer: usize) -> Sampling {
    match sampling {
        Sampling::Greedy => Sampling::Greedy,
        Sampling::Random { temperature, top_k, top_p, min_p, seed } => {
            Sampling::Random { temperature, top_k, top_p, min_p, seed: seed.wrapping_add(answer as u64) }
        }
    }
}

/// How likely `token` was, and the `count` likeliest.
fn logprobs(logits: &[f32], token: u32, count: usize) -> Logprobs {
    let finite = || (0u32..).zip(logits.iter().copied()).filter(|(_, x)| x.is_finite());
    let largest = finite().map(|(_, x)| x).fold(f32::MIN, f32::max);
    let sum: f64 = finite().map(|(_, x)| f64::from(x - largest).exp()).sum();
    let log_sum = largest + sum.ln() as f32;
    let mut top: Vec<(u32, f32)> = Vec::with_capacity(count + 1);
    for (token, x) in finite() {
        if top.len() < count || top.last().is_some_and(|&(_, least)| x > least) {
            let at = top.partition_point(|&(_, above)| above >= x);
            top.insert(at, (token, x));
            top.truncate(count);
        }
    }
    let chosen = logits.get(token as usize).copied().unwrap_or(f32::MIN) - log_sum;
    Logprobs { chosen, top: top.into_iter().map(|(token, x)| (token, x - log_sum)).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_probabilities_are_those_of_the_definition() {
        let logits: Vec<f32> = (0..40).map(|i| (i as f32 * 1.7).sin() * 3.0).collect();
        let total: f64 = logits.iter().map(|&x| f64::from(x).exp()).sum();
        let expected = |token: u32| f64::from(logits[token as usize]) - total.ln();
        let mut order: Vec<u32> = (0..40).collect();
        order.sort_by(|&a, &b| logits[b as usize].total_cmp(&logits[a as usize]));
        let told = logprobs(&logits, 7, 5);
        assert!((f64::from(told.chosen) - expected(7)).abs() < 1e-5);
        assert_eq!(told.top.iter().map(|t| t.0).collect::<Vec<_>>(), order[..5]);
        assert!(told.top.iter().all(|&(token, p)| (f64::from(p) - expected(token)).abs() < 1e-5));
        assert!(logprobs(&logits, 7, 0).top.is_empty());
    }
}
