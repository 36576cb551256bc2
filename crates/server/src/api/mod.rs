//! What each address understands and says.

pub(crate) mod cache;
pub(crate) mod chat;
pub(crate) mod completions;
mod generation;
pub(crate) mod health;
mod logprobs;
mod messages;
pub(crate) mod models;
pub(crate) mod sessions;
pub(crate) mod tokens;
mod tools;

use std::time::{SystemTime, UNIX_EPOCH};

use fourier_kv_engine::Finish;
use fourier_kv_engine::scheduler::{AnswerOptions, Job};

use crate::app::{App, Asker};
use crate::error::ApiError;
use crate::grammar::Grammar;
use crate::reply::{ReplyEvents, reply};

/// What a request comes to.
struct Ask {
    prompt: Vec<u32>,
    answers: usize,
    options: AnswerOptions,
    grammar: Option<Grammar>,
    session: Option<String>,
}

/// Puts it to the scheduler.
fn submit(app: &App, asker: &Asker, ask: Ask) -> Result<ReplyEvents, ApiError> {
    let constraint = |grammar: &Grammar| app.grammars.constraint(grammar);
    let constraints = match &ask.grammar {
        Some(grammar) => (0..ask.answers).map(|_| constraint(grammar)).collect::<Result<_, _>>()?,
        None => Vec::new(),
    };
    let (sink, events) = reply();
    app.scheduler.submit(Job {
        client: asker.client.clone(),
        owner: asker.owner.clone(),
        prompt: ask.prompt,
        answers: ask.answers,
        options: ask.options,
        session: ask.session,
        constraints,
        taken: asker.arrived,
        deadline: Some(asker.arrived + app.config.limits.time),
        sink,
    })?;
    Ok(events)
}

/// Runs what takes a while, such as making tokens of a long text, where it keeps no other request waiting.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> Result<T, ApiError> + Send + 'static) -> Result<T, ApiError> {
    let joined = tokio::task::spawn_blocking(work).await;
    joined.unwrap_or_else(|_| Err(ApiError::internal("the request could not be worked on")))
}

/// A model that is asked for by name must be the one that is served.
fn check_model(app: &App, asked: Option<&str>) -> Result<(), ApiError> {
    match asked {
        Some(asked) if asked != app.config.model => Err(ApiError::unknown_model(asked, &app.config.model)),
        _ => Ok(()),
    }
}

/// OpenAI's word for why an answer ended.
fn finish_reason(finish: &Finish) -> &'static str {
    match finish {
        Finish::End | Finish::Stop(_) | Finish::Interrupted => "stop",
        Finish::Length | Finish::Context => "length",
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
