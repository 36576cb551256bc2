//! Runs tasks by methods: what is asked, of whom, and what is kept of the answers.
//!
//! A document's context is read once for all methods ([`prefill()`]), and each method's cache is forked for each
//! question. With `after-prompt` the question is part of what is compressed, so there is a pass for each question; the
//! very last token of a prompt is read by the compressed cache, which so decides the first token of the answer.
//!
//! What fails is named and left; the rest goes on. Every prediction is on disk before the next is made ([`Journal`]).

mod ask;
mod error;
mod journal;
pub mod methods;
mod passages;
mod prefill;
mod prompt;
mod run;
mod score;

use std::ops::ControlFlow;

use fourier_kv_engine::cache::{CacheKind, Storage};

pub use error::RunError;
pub use journal::{Journal, Key};
pub use methods::Method;
pub use prefill::{Held, prefill};
pub use prompt::{EngineTokens, Prompt, prompt};
pub use run::Runner;
pub use score::score;

pub use crate::report::EXACT;

/// The moment of compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Before any question is known.
    AfterContext,
    /// With the question.
    AfterPrompt,
}

impl When {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            When::AfterContext => "after-context",
            When::AfterPrompt => "after-prompt",
        }
    }
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// The task.
    pub task: &'a str,
    /// Documents or passages done of it, and in all.
    pub done: usize,
    /// All of them.
    pub of: usize,
}

/// Is asked between passes of the model and may stop the run.
pub type Watch<'a> = dyn FnMut(Step<'_>) -> ControlFlow<()> + Send + 'a;

/// Exact attention in `bf16`, which all is measured against.
fn exact() -> CacheKind {
    CacheKind::Exact(Storage::Bf16)
}

/// Exact attention as a method.
pub fn exact_method() -> Method {
    Method { name: EXACT.to_owned(), kind: exact(), budget: None, plan: None, memory: None }
}
