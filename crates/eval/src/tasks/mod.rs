//! The tasks: what is asked, and how it is scored.
//!
//! A [`Task`] knows how many documents it has and makes one at a time, because long ones are large. Two things hold
//! for every task that makes texts:
//!
//! - **Seeds.** The same settings, seed and tokenizer give the same documents on every machine; a document does not
//!   depend on those made before it ([`rng`]).
//! - **Length** is in the model's own tokens and bounds everything: context, question, answer prefix and the most
//!   tokens of an answer. The parts are tokenized apart, as a runner must that shares a context's prefill among its
//!   questions. What a chat template adds is not known here: leave room for it with a smaller length.
//!
//! | task | what it makes |
//! | --- | --- |
//! | [`Ppl`] | passages to be continued, from texts |
//! | [`NeedleGrid`], [`MultiKey`] | facts hidden in long texts |
//! | [`Ruler`] | RULER's eleven synthetic tasks |
//! | [`LongBench`] | LongBench's English and code tasks, from its files |
//! | [`Squad`], [`Sst2`] | short classics behind a long context |

mod error;
mod filler;
mod fit;
mod haystack;
mod longbench;
mod metric;
mod needle;
mod padded;
mod place;
mod ppl;
pub mod rng;
mod rows;
mod ruler;
mod squad;
mod sst2;

pub use error::TaskError;
pub use haystack::Haystack;
pub use longbench::{Category, LongBench, LongBenchTask};
pub use metric::Metric;
pub use needle::{MultiKey, NeedleGrid, NeedleScore};
pub use padded::Padding;
pub use ppl::{Passage, Ppl};
pub use ruler::{Ruler, RulerTask, WordLists};
pub use squad::Squad;
pub use sst2::Sst2;

use crate::item::{Document, Question, TokenCount};

/// Documents with questions, and how the answers are scored.
pub trait Task {
    /// The task's name: `needle`, `ruler:vt`, `longbench:qasper`.
    fn name(&self) -> String;

    /// What its predictions are scored by.
    fn metric(&self) -> Metric;

    /// Whether only the first line of a prediction counts, newlines before it being dropped.
    fn first_line(&self) -> bool {
        false
    }

    /// How many documents there are, with those that turn out to be errors.
    fn count(&self) -> usize;

    /// One document, `index` from 0.
    ///
    /// # Errors
    /// If there is no such document, its row is malformed, or it does not fit the length. The others are not touched
    /// by it.
    fn document(&self, index: usize, tokens: &dyn TokenCount) -> Result<Document, TaskError>;
}

/// How many tokens a text has.
fn token_count(tokens: &dyn TokenCount, text: &str) -> Result<usize, TaskError> {
    Ok(tokens.encode(text).map_err(TaskError::Tokens)?.len())
}

/// Tokens of the longest question: its text, the answer's prefix, and the most that the answer may have.
fn longest(questions: &[Question], tokens: &dyn TokenCount) -> Result<usize, TaskError> {
    let mut longest = 0;
    for question in questions {
        let asked = token_count(tokens, &question.text)? + token_count(tokens, &question.answer_prefix)?;
        longest = longest.max(asked + question.max_tokens);
    }
    Ok(longest)
}

/// A failure to read a file.
fn io(path: &std::path::Path, source: std::io::Error) -> TaskError {
    TaskError::Io { path: path.to_owned(), source }
}

/// That a task has the document that is asked for.
fn check_index(task: &dyn Task, index: usize) -> Result<(), TaskError> {
    let count = task.count();
    if index < count { Ok(()) } else { Err(TaskError::NoSuchDocument { task: task.name(), index, count }) }
}
