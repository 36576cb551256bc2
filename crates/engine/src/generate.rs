//! From a prompt to an answer, piece by piece.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use fourier_kv_model::decoder::{ForwardError, Progress};
use fourier_kv_model::tokenizer::DecodeStream;

use crate::sampler::{Sampler, Sampling};
use crate::stop::{Passed, StopFilter};
use crate::{Engine, EngineError, Predictor};

/// How an answer is to be made.
#[derive(Clone, Debug)]
pub struct GenerateOptions {
    /// At most so many tokens; `None`: until the model ends, or its context does.
    pub max_tokens: Option<usize>,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Texts that end the answer; they are not part of it.
    pub stop: Vec<String>,
    /// Whether the sequence may grow beyond the context that the model was trained for. What it says there may be
    /// nonsense.
    pub past_context: bool,
    /// Whether to go on after the model has ended its answer: for measuring.
    pub ignore_end: bool,
}

impl Default for GenerateOptions {
    fn default() -> Self {
        GenerateOptions {
            max_tokens: None,
            sampling: Sampling::Greedy,
            stop: Vec::new(),
            past_context: false,
            ignore_end: false,
        }
    }
}

/// What happens while an answer is made.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The prompt is being read.
    Prompt(Progress),
    /// The prompt has been read and compressed.
    PromptDone,
    /// A piece of the answer: whole characters, and no part of a stop string.
    Text(&'a str),
    /// A token was computed, whether or not it made text.
    Token,
}

/// Why an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The model ended it.
    End,
    /// A stop string appeared.
    Stop(String),
    /// `max_tokens` were made.
    Length,
    /// The model's context is full.
    Context,
    /// The caller asked to stop.
    Interrupted,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Generation {
    /// Its text, without the stop string.
    pub text: String,
    /// Its tokens, without the one that ended it.
    pub tokens: Vec<u32>,
    /// Why it ended.
    pub finish: Finish,
    /// Time to read and compress the prompt.
    pub prefill: Duration,
    /// Time to compute the tokens.
    pub decode: Duration,
    /// Passes that `decode` is the time of: one less than the tokens chosen, the first coming from the prompt.
    pub decode_passes: usize,
}

impl Engine {
    /// Reads `prompt` into the session, or another sequence of this model, and answers. `watch` sees every event and may stop; what was made until then
    /// is returned, or [`ForwardError::Stopped`] if that was still the prompt.
    ///
    /// # Errors
    /// If the prompt is empty or too long, a token does not fit the model, or the settings make no sense.
    pub fn generate(
        &self,
        session: &mut dyn Predictor,
        prompt: &[u32],
        options: &GenerateOptions,
        watch: &mut (dyn FnMut(Event<'_>) -> ControlFlow<()> + Send),
    ) -> Result<Generation, EngineError> {
        let sampler = Sampler::new(options.sampling)?;
        self.check_length(session, prompt, options)?;
        let begun = Instant::now();
        session.read(prompt, &mut |p| watch(Event::Prompt(p)))?;
        let prefill = begun.elapsed();
        if watch(Event::PromptDone).is_break() {
            return Err(ForwardError::Stopped.into());
        }
        let mut answer = Answer {
            engine: self,
            options,
            sampler,
            stream: self.tokenizer().decode_stream(true),
            filter: StopFilter::new(&options.stop),
            text: String::new(),
            tokens: Vec::new(),
            before: session.count(),
            passes: 0,
        };
        answer.reserve(session);
        answer.run(session, prefill, watch)
    }

    fn check_length(
        &self,
        session: &dyn Predictor,
        prompt: &[u32],
        options: &GenerateOptions,
    ) -> Result<(), EngineError> {
        if prompt.is_empty() {
            return Err(EngineError::EmptyPrompt);
        }
        let tokens = session.count() + prompt.len();
        let context = self.model().config().context_length;
        match tokens < context || options.past_context {
            true => Ok(()),
            false => Err(EngineError::PromptTooLong { tokens, context }),
        }
    }
}

/// Tokens of an answer that room is made for when it begins; the cache of a longer one grows as it goes.
const MOST_RESERVED: usize = 256;
/// Text that most tokens are shorter than.
const BYTES_A_TOKEN: usize = 8;

/// An answer in the making.
struct Answer<'a> {
    engine: &'a Engine,
    options: &'a GenerateOptions,
    sampler: Sampler,
    stream: DecodeStream<'a>,
    filter: StopFilter,
    text: String,
    tokens: Vec<u32>,
    /// Tokens of the sequence before the answer.
    before: usize,
    passes: usize,
}

type Watch<'a> = dyn FnMut(Event<'_>) -> ControlFlow<()> + Send + 'a;

impl Answer<'_> {
    fn run(
        mut self,
        session: &mut dyn Predictor,
        prefill: Duration,
        watch: &mut Watch<'_>,
    ) -> Result<Generation, EngineError> {
        let begun = Instant::now();
        let finish = loop {
            if let Some(finish) = self.limit() {
                break finish;
            }
            let token = self.sampler.choose(session.next_logits())?;
            if !self.options.ignore_end && self.engine.end_tokens().contains(&token) {
                break Finish::End;
            }
            self.tokens.push(token);
            if let Some(finish) = self.show(token, watch) {
                break finish;
            }
            if self.limit().is_none() {
                session.advance(token)?;
                self.passes += 1;
            }
        };
        let decode = begun.elapsed();
        if !matches!(finish, Finish::Stop(_)) {
            self.release(watch);
        }
        let Answer { text, tokens, passes, .. } = self;
        Ok(Generation { text, tokens, finish, prefill, decode, decode_passes: passes })
    }

    /// Makes room for the answer, so that its tokens need not wait for memory: for all that it may have, up to a
    /// number that takes no memory to speak of.
    fn reserve(&mut self, session: &mut dyn Predictor) {
        let left = self.engine.model().config().context_length.saturating_sub(self.before);
        let most = if self.options.past_context { usize::MAX } else { left };
        let tokens = self.options.max_tokens.unwrap_or(usize::MAX).min(most).min(MOST_RESERVED);
        self.tokens.reserve(tokens);
        self.text.reserve(tokens * BYTES_A_TOKEN);
        // The last token of an answer is not computed with.
        session.make_room(tokens.saturating_sub(1));
    }

    /// Whether the answer is as long as it may be.
    fn limit(&self) -> Option<Finish> {
        if self.options.max_tokens.is_some_and(|most| self.tokens.len() >= most) {
            return Some(Finish::Length);
        }
        let full = self.before + self.tokens.len() >= self.engine.model().config().context_length;
        (full && !self.options.past_context).then_some(Finish::Context)
    }

    /// Shows the text that a token completes.
    fn show(&mut self, token: u32, watch: &mut Watch<'_>) -> Option<Finish> {
        let piece = self.stream.push(token).unwrap_or_default();
        let (text, stop) = match self.filter.push(piece) {
            Passed::Text(text) => (text, None),
            Passed::Stop(text, stop) => (text, Some(Finish::Stop(stop.to_owned()))),
        };
        self.text += text;
        let mut interrupted = watch(Event::Token).is_break();
        if !text.is_empty() {
            interrupted |= watch(Event::Text(text)).is_break();
        }
        stop.or(interrupted.then_some(Finish::Interrupted))
    }

    /// Shows what was held back: for a character that was not completed, or a stop string that did not come.
    fn release(&mut self, watch: &mut Watch<'_>) {
        let rest = self.stream.clone().finish().unwrap_or_default();
        let text = match self.filter.push(&rest) {
            Passed::Stop(text, _) => text.to_owned(),
            Passed::Text(text) => text.to_owned() + &self.filter.clone().finish(),
        };
        if !text.is_empty() {
            // The answer has ended: there is nothing left to stop.
            let _ = watch(Event::Text(&text));
        }
        self.text += &text;
    }
}
