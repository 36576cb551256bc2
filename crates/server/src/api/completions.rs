//! `POST /v1/completions`: a text gone on with.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use fourier_kv_engine::Finish;
use fourier_kv_engine::scheduler::{AnswerOptions, Piece};
use serde::Deserialize;
use serde_json::{Value, json};

use super::chat::StreamOptions;
use super::generation::GenerationFields;
use super::{Ask, apart, check_model, finish_reason, logprobs, now, submit};
use crate::app::{App, Asker};
use crate::error::ApiError;
use crate::extract::JsonBody;
use crate::identity::random_id;
use crate::reply::{Chunks, Usage, Whole, stream, whole};

/// Most of the likeliest tokens that are told.
const MOST_LOGPROBS: usize = 20;
/// The length of an answer that does not say, as OpenAI has it.
const DEFAULT_TOKENS: usize = 16;

/// The request.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct CompletionRequest {
    model: Option<String>,
    prompt: Prompt,
    #[serde(flatten)]
    generation: GenerationFields,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    logprobs: Option<usize>,
    echo: Option<bool>,
    suffix: Option<String>,
    best_of: Option<usize>,
    session: Option<String>,
}

/// A text, its tokens, or a list of one of these.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Prompt {
    Text(String),
    Tokens(Vec<u32>),
    Texts(Vec<String>),
    TokenLists(Vec<Vec<u32>>),
}

/// Goes on with a text.
pub(crate) async fn answer(
    State(app): State<App>,
    Extension(asker): Extension<Asker>,
    JsonBody(request): JsonBody<CompletionRequest>,
) -> Result<Response, ApiError> {
    check_model(&app, request.model.as_deref())?;
    let streams = request.stream == Some(true);
    let form = Form {
        app: app.clone(),
        id: random_id("cmpl-"),
        created: now(),
        logprobs: request.logprobs.is_some(),
        usage: request.stream_options.as_ref().is_some_and(|o| o.include_usage == Some(true)),
        echo: String::new(),
    };
    let asked = app.clone();
    let (counts, echo, events) = apart(move || {
        let (ask, echo) = understand(&asked, request)?;
        let counts = (ask.prompt.len(), ask.answers);
        Ok((counts, echo, submit(&asked, &asker, ask)?))
    })
    .await?;
    let (prompt, answers) = counts;
    let form = Form { echo, ..form };
    let mut usage = Usage { prompt, ..Usage::default() };
    if streams {
        let offsets = vec![form.echo.chars().count(); answers];
        return stream(events, answers, usage, CompletionChunks { form, offsets }).await;
    }
    let all = whole(events, answers, &mut usage).await?;
    let choices: Vec<Value> = all.iter().enumerate().map(|(index, whole)| form.whole(index, whole)).collect();
    Ok(Json(form.object(choices.into(), Some(usage))).into_response())
}

/// What is asked, and the text that stands before each answer.
fn understand(app: &App, request: CompletionRequest) -> Result<(Ask, String), ApiError> {
    let limits = &app.config.limits;
    let answers = request.generation.answers(limits)?;
    if request.suffix.is_some_and(|suffix| !suffix.is_empty()) {
        return Err(ApiError::unsupported("suffix", "this model cannot fill in before a suffix"));
    }
    if request.best_of.is_some_and(|best| best != answers) {
        return Err(ApiError::unsupported("best_of", "answers are not ranked here: leave best_of out"));
    }
    if request.logprobs.is_some_and(|count| count > MOST_LOGPROBS) {
        return Err(ApiError::invalid("logprobs", format!("expected 0 to {MOST_LOGPROBS}")));
    }
    let options = AnswerOptions { logprobs: request.logprobs, ..request.generation.options(&app.engine, limits)? };
    let max_tokens = match request.generation.says_length() {
        true => options.max_tokens,
        false => DEFAULT_TOKENS.min(options.max_tokens),
    };
    let session = request.session;
    let prompt = tokens(app, request.prompt)?;
    let echo = if request.echo == Some(true) { app.engine.tokenizer().decode(&prompt, true) } else { String::new() };
    Ok((Ask { prompt, answers, options: AnswerOptions { max_tokens, ..options }, grammar: None, session }, echo))
}

fn tokens(app: &App, prompt: Prompt) -> Result<Vec<u32>, ApiError> {
    let only = |count: usize| {
        let message = format!("expected one prompt a request, got {count}");
        Err(ApiError::unsupported("prompt", message))
    };
    let tokens = match prompt {
        Prompt::Text(text) => app.engine.text_prompt(&text)?,
        Prompt::Tokens(tokens) => tokens,
        Prompt::Texts(texts) => match texts.as_slice() {
            [text] => app.engine.text_prompt(text)?,
            other => return only(other.len()),
        },
        Prompt::TokenLists(lists) => match <[Vec<u32>; 1]>::try_from(lists) {
            Ok([tokens]) => tokens,
            Err(other) => return only(other.len()),
        },
    };
    let vocabulary = app.engine.model().config().vocabulary;
    match tokens.iter().find(|&&token| token as usize >= vocabulary) {
        Some(token) => Err(ApiError::invalid("prompt", format!("expected tokens below {vocabulary}, got {token}"))),
        None => Ok(tokens),
    }
}

/// What all answers to a request look like.
struct Form {
    app: App,
    id: String,
    created: u64,
    logprobs: bool,
    usage: bool,
    echo: String,
}

impl Form {
    fn object(&self, choices: Value, usage: Option<Usage>) -> Value {
        let mut object = json!({"id": self.id, "object": "text_completion", "created": self.created,
            "model": self.app.config.model, "choices": choices});
        if let Some(usage) = usage {
            object["usage"] = usage.json();
        }
        object
    }

    fn choice(&self, index: usize, text: &str, told: Option<Value>, finish: Option<&str>) -> Value {
        json!({"index": index, "text": text, "logprobs": told, "finish_reason": finish})
    }

    fn whole(&self, index: usize, whole: &Whole) -> Value {
        let text = self.echo.clone() + &whole.text;
        let tokenizer = self.app.engine.tokenizer();
        let offset = self.echo.chars().count();
        let told = self.logprobs.then(|| logprobs::of_completion(tokenizer, whole.pieces.iter(), offset));
        self.choice(index, &text, told, Some(whole.finish.as_ref().map_or("stop", finish_reason)))
    }
}

/// Answers in pieces.
struct CompletionChunks {
    form: Form,
    /// Characters that each answer has so far.
    offsets: Vec<usize>,
}

impl CompletionChunks {
    fn chunk(&self, choice: Value) -> Value {
        let mut chunk = self.form.object(json!([choice]), None);
        if self.form.usage {
            chunk["usage"] = Value::Null;
        }
        chunk
    }
}

impl Chunks for CompletionChunks {
    fn begin(&mut self) -> Vec<Value> {
        if self.form.echo.is_empty() {
            return Vec::new();
        }
        let echoed = |answer| self.chunk(self.form.choice(answer, &self.form.echo, None, None));
        (0..self.offsets.len()).map(echoed).collect()
    }

    fn piece(&mut self, answer: usize, piece: Piece) -> Vec<Value> {
        let tokenizer = self.form.app.engine.tokenizer();
        let offset = self.offsets[answer];
        let one = std::iter::once(&piece);
        let told = self.form.logprobs.then(|| logprobs::of_completion(tokenizer, one, offset));
        self.offsets[answer] += piece.text.chars().count();
        if piece.text.is_empty() && told.is_none() {
            return Vec::new();
        }
        vec![self.chunk(self.form.choice(answer, &piece.text, told, None))]
    }

    fn finished(&mut self, answer: usize, finish: &Finish) -> Vec<Value> {
        vec![self.chunk(self.form.choice(answer, "", None, Some(finish_reason(finish))))]
    }

    fn usage(&mut self, usage: Usage) -> Option<Value> {
        self.form.usage.then(|| self.form.object(json!([]), Some(usage)))
    }
}
