//! What is asked of a scheduler, and what it says.

use std::time::{Duration, Instant};

use super::session_store::SessionError;
use crate::{Constraint, Finish, Penalties, SamplerError, Sampling};

/// Whose turn it is in the queue: clients are served in turns, whatever the number of their jobs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Client(pub String);

/// Whose pasts may be gone on from: those of the same owner alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(pub String);

/// How an answer is made.
#[derive(Clone, Debug)]
pub struct AnswerOptions {
    /// Its longest length in tokens, at least 1.
    pub max_tokens: usize,
    /// How tokens are chosen. Answers of one job get seeds that follow each other.
    pub sampling: Sampling,
    /// What speaks for or against tokens besides the model.
    pub penalties: Penalties,
    /// Texts that end it; they are not part of it.
    pub stop: Vec<String>,
    /// Whether to go on after the model has ended its answer: for measuring.
    pub ignore_end: bool,
    /// How many of the likeliest tokens are told with each token's own log probability; `None`: not even that.
    pub logprobs: Option<usize>,
    /// Whether special tokens are part of the text.
    pub special_text: bool,
}

impl Default for AnswerOptions {
    fn default() -> Self {
        AnswerOptions {
            max_tokens: 256,
            sampling: Sampling::Greedy,
            penalties: Penalties::default(),
            stop: Vec::new(),
            ignore_end: false,
            logprobs: None,
            special_text: false,
        }
    }
}

/// A prompt to be answered, once or several times.
pub struct Job {
    /// Whose turn it is.
    pub client: Client,
    /// Whose pasts it may go on from.
    pub owner: Owner,
    /// The tokens, at least one and fewer than the model's context.
    pub prompt: Vec<u32>,
    /// Answers, at least one.
    pub answers: usize,
    /// How each is made.
    pub options: AnswerOptions,
    /// The session that it goes on with and whose past its own becomes: one of its owner's.
    pub session: Option<String>,
    /// What each must keep to: none, or one an answer.
    pub constraints: Vec<Box<dyn Constraint>>,
    /// When it was asked for.
    pub taken: Instant,
    /// When it is given up.
    pub deadline: Option<Instant>,
    /// Who hears of it.
    pub sink: Box<dyn Sink>,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").field("client", &self.client).field("prompt", &self.prompt.len()).finish_non_exhaustive()
    }
}

/// Who hears what becomes of a job. Called on the scheduler's thread: it must not wait.
///
/// A sink that is dropped without [`JobEvent::Failed`] or a [`JobEvent::Finished`] for every answer was lost with the
/// scheduler.
pub trait Sink: Send {
    /// Something happened.
    fn event(&mut self, event: JobEvent);

    /// Whether nobody listens any more: the job is then given up.
    fn is_gone(&self) -> bool;
}

/// What happens to a job.
#[derive(Clone, Debug, PartialEq)]
pub enum JobEvent {
    /// Its prompt is about to be read.
    Began {
        /// Tokens of the prompt that need not be read, as a past with them was kept.
        reused: usize,
    },
    /// Part of an answer.
    Piece {
        /// Which answer, from 0.
        answer: usize,
        /// The part.
        piece: Piece,
    },
    /// An answer has ended.
    Finished {
        /// Which answer.
        answer: usize,
        /// Why.
        finish: Finish,
        /// Tokens it has, the one that ended it included.
        tokens: usize,
    },
    /// The job has ended, with all its answers that had not.
    Failed(JobError),
}

/// A token of an answer and the text that it makes certain; or text that was held back, at the end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Piece {
    /// The token.
    pub token: Option<u32>,
    /// Whole characters, no part of a stop text; often nothing.
    pub text: String,
    /// How likely it was, if that was asked for.
    pub logprobs: Option<Logprobs>,
}

/// How likely a token was, by the model's own logits.
#[derive(Clone, Debug, PartialEq)]
pub struct Logprobs {
    /// The natural logarithm of the token's probability.
    pub chosen: f32,
    /// The likeliest tokens with theirs, likeliest first.
    pub top: Vec<(u32, f32)>,
}

/// Why a job ended without its answers.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// Its deadline has passed.
    #[error("the time for this request is over")]
    Timeout,
    /// The scheduler stops.
    #[error("the engine is stopping")]
    Stopping,
    /// Its session cannot be used.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The engine could not.
    #[error("{0}")]
    Engine(String),
}

/// Why a job was not taken.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// There is nothing to continue.
    #[error("expected a prompt of at least one token, got none")]
    EmptyPrompt,
    /// Nothing is to be made.
    #[error("expected at least one answer of at least one token")]
    NoAnswer,
    /// A session has one past.
    #[error("expected one answer in a session, got more")]
    SessionAnswers,
    /// The prompt leaves no room for an answer.
    #[error("expected a prompt of fewer than {context} tokens, the model's context, got {tokens}")]
    TooLong {
        /// Tokens of the prompt.
        tokens: usize,
        /// The model's context.
        context: usize,
    },
    /// It would not fit if it were alone.
    #[error("the past of this prompt and its answers may take {needed} bytes, and all pasts may take {budget}")]
    TooLarge {
        /// Bytes it may come to hold.
        needed: usize,
        /// Bytes there are.
        budget: usize,
    },
    /// Constraints are none or one an answer.
    #[error("expected no constraints or {expected}, one an answer, got {got}")]
    Constraints {
        /// Answers.
        expected: usize,
        /// Constraints.
        got: usize,
    },
    /// How tokens are to be chosen makes no sense.
    #[error(transparent)]
    Sampler(#[from] SamplerError),
    /// Too many wait.
    #[error("{queued} requests are waiting, and no more may")]
    QueueFull {
        /// Jobs that wait.
        queued: usize,
        /// When to try again, as far as that can be told.
        retry_after: Duration,
    },
    /// No more jobs are taken.
    #[error("the engine is stopping")]
    Stopping,
}
