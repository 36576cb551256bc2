//! `POST /v1/chat/completions`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use fourier_kv_engine::scheduler::{AnswerOptions, Piece};
use fourier_kv_engine::{EngineError, Finish};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::generation::GenerationFields;
use super::messages::ChatMessage;
use super::tools::{CallReader, Choice, Part, Tool, Tools, spelled_out};
use super::{Ask, apart, check_model, finish_reason, logprobs, now, submit};
use crate::app::{App, Asker};
use crate::error::ApiError;
use crate::extract::JsonBody;
use crate::grammar::Grammar;
use crate::identity::random_id;
use crate::reply::{Chunks, Usage, Whole, stream, whole};

/// Most of the likeliest tokens that are told, as OpenAI has it.
const MOST_LOGPROBS: usize = 20;

/// The request.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ChatRequest {
    model: Option<String>,
    messages: Vec<ChatMessage>,
    #[serde(flatten)]
    generation: GenerationFields,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    logprobs: Option<bool>,
    top_logprobs: Option<usize>,
    response_format: Option<ResponseFormat>,
    tools: Option<Vec<Tool>>,
    tool_choice: Option<Value>,
    session: Option<String>,
}

/// What is told at the end of a stream.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct StreamOptions {
    pub(super) include_usage: Option<bool>,
}

/// What an answer has to be.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ResponseFormat {
    Text,
    JsonObject,
    JsonSchema { json_schema: NamedSchema },
}

#[derive(Clone, Debug, Deserialize)]
struct NamedSchema {
    schema: Option<Value>,
}

/// What all answers to a request look like.
#[derive(Clone)]
struct Form {
    app: App,
    id: String,
    created: u64,
    reads_calls: bool,
    logprobs: bool,
    usage: bool,
}

/// Answers a conversation.
pub(crate) async fn answer(
    State(app): State<App>,
    Extension(asker): Extension<Asker>,
    JsonBody(request): JsonBody<ChatRequest>,
) -> Result<Response, ApiError> {
    check_model(&app, request.model.as_deref())?;
    let streams = request.stream == Some(true);
    let form = Form {
        app: app.clone(),
        id: random_id("chatcmpl-"),
        created: now(),
        reads_calls: request.tools.as_ref().is_some_and(|tools| !tools.is_empty()),
        logprobs: request.logprobs == Some(true),
        usage: request.stream_options.as_ref().is_some_and(|o| o.include_usage == Some(true)),
    };
    let asked = app.clone();
    let (ask, events) = apart(move || {
        let ask = understand(&asked, request)?;
        let counts = (ask.prompt.len(), ask.answers);
        Ok((counts, submit(&asked, &asker, ask)?))
    })
    .await?;
    let (prompt, answers) = ask;
    let mut usage = Usage { prompt, ..Usage::default() };
    if streams {
        let readers = (0..answers).map(|_| AnswerState::default()).collect();
        return stream(events, answers, usage, ChatChunks { form, answers: readers }).await;
    }
    let all = whole(events, answers, &mut usage).await?;
    let choices: Vec<Value> = all.iter().enumerate().map(|(index, whole)| form.choice(index, whole)).collect();
    Ok(Json(form.object("chat.completion", choices.into(), Some(usage))).into_response())
}

fn understand(app: &App, request: ChatRequest) -> Result<Ask, ApiError> {
    let limits = &app.config.limits;
    if request.messages.is_empty() {
        return Err(ApiError::invalid("messages", "expected at least one message, got none"));
    }
    let tools = Tools::new(request.tools, request.tool_choice.as_ref())?;
    let options = AnswerOptions {
        logprobs: told_logprobs(request.logprobs, request.top_logprobs)?,
        // Marks of calls may be special tokens.
        special_text: tools.are_told(),
        ..request.generation.options(&app.engine, limits)?
    };
    let grammar = match (tools.grammar(), format_grammar(request.response_format)?) {
        (Some(_), Some(_)) => {
            let message = "an answer cannot be a call and keep to a response format at once";
            return Err(ApiError::invalid("response_format", message));
        }
        (call, format) => call.or(format),
    };
    let prompt = prompt(app, &request.messages, &tools)?;
    Ok(Ask { prompt, answers: request.generation.answers(limits)?, options, grammar, session: request.session })
}

fn told_logprobs(asked: Option<bool>, top: Option<usize>) -> Result<Option<usize>, ApiError> {
    match (asked == Some(true), top) {
        (false, Some(1..)) => Err(ApiError::invalid("top_logprobs", "has no effect without logprobs")),
        (false, _) => Ok(None),
        (true, top) if top.unwrap_or(0) <= MOST_LOGPROBS => Ok(Some(top.unwrap_or(0))),
        (true, _) => Err(ApiError::invalid("top_logprobs", format!("expected 0 to {MOST_LOGPROBS}"))),
    }
}

fn format_grammar(format: Option<ResponseFormat>) -> Result<Option<Grammar>, ApiError> {
    match format {
        None | Some(ResponseFormat::Text) => Ok(None),
        Some(ResponseFormat::JsonObject) => Ok(Some(Grammar::Json(json!({"type": "object"})))),
        Some(ResponseFormat::JsonSchema { json_schema }) => {
            let schema = json_schema.schema.filter(Value::is_object);
            let missing = || ApiError::invalid("response_format", "expected a schema in json_schema.schema");
            Ok(Some(Grammar::Json(schema.ok_or_else(missing)?)))
        }
    }
}

/// The prompt's tokens, tools included.
fn prompt(app: &App, messages: &[ChatMessage], tools: &Tools) -> Result<Vec<u32>, ApiError> {
    let template = app.engine.chat_template().ok_or(EngineError::NoChatTemplate)?;
    let told = tools.are_told();
    if template.mentions("tools") {
        let plain: Vec<_> = messages.iter().map(ChatMessage::message).collect::<Result<_, _>>()?;
        let mut extra = Map::new();
        if told {
            extra.insert("tools".into(), tools.list());
        }
        return Ok(app.engine.chat_prompt_with(&plain, &extra)?);
    }
    let plain = spelled_out(messages, told.then_some(tools))?;
    let prompt = app.engine.chat_prompt(&plain)?;
    debug_assert!(tools.choice == Choice::None || told, "tools that may be called are told");
    Ok(prompt)
}

impl Form {
    /// The object around choices.
    fn object(&self, kind: &str, choices: Value, usage: Option<Usage>) -> Value {
        let mut object = json!({"id": self.id, "object": kind, "created": self.created,
            "model": self.app.config.model, "system_fingerprint": null, "choices": choices});
        if let Some(usage) = usage {
            object["usage"] = usage.json();
        }
        object
    }

    /// A whole answer.
    fn choice(&self, index: usize, whole: &Whole) -> Value {
        let mut reader = CallReader::default();
        let parts = match self.reads_calls {
            true => reader.push(&whole.text).into_iter().chain(reader.finish()).collect(),
            false => vec![Part::Text(whole.text.clone())],
        };
        let (mut text, mut calls) = (String::new(), Vec::new());
        for part in parts {
            match part {
                Part::Text(piece) => text += &piece,
                Part::Call { id, name, arguments } => calls.push(call_object(&id, &name, &arguments)),
            }
        }
        let mut message = json!({"role": "assistant", "content": text, "refusal": null});
        let finish = whole.finish.as_ref().map_or("stop", finish_reason);
        let finish = if calls.is_empty() { finish } else { "tool_calls" };
        if !calls.is_empty() {
            let text = text.trim();
            message["content"] = if text.is_empty() { Value::Null } else { text.into() };
            message["tool_calls"] = calls.into();
        }
        let told = self.logprobs.then(|| logprobs::of_chat(self.app.engine.tokenizer(), whole.pieces.iter()));
        json!({"index": index, "message": message, "logprobs": told, "finish_reason": finish})
    }
}

fn call_object(id: &str, name: &str, arguments: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
}

/// What one answer has said so far.
#[derive(Default)]
struct AnswerState {
    reader: CallReader,
    calls: usize,
}

/// Answers in pieces.
struct ChatChunks {
    form: Form,
    answers: Vec<AnswerState>,
}

impl ChatChunks {
    fn chunk(&self, index: usize, delta: Value, told: Option<Value>, finish: Option<&str>) -> Value {
        let choice = json!({"index": index, "delta": delta, "logprobs": told, "finish_reason": finish});
        let mut chunk = self.form.object("chat.completion.chunk", json!([choice]), None);
        if self.form.usage {
            chunk["usage"] = Value::Null;
        }
        chunk
    }

    /// Text and calls as deltas.
    fn deltas(&mut self, answer: usize, parts: Vec<Part>) -> Vec<Value> {
        let state = &mut self.answers[answer];
        let delta = |part: Part| match part {
            // Blanks between calls are nobody's text.
            Part::Text(text) if state.calls > 0 && text.trim().is_empty() => None,
            Part::Text(text) => Some(json!({"content": text})),
            Part::Call { id, name, arguments } => {
                let mut call = call_object(&id, &name, &arguments);
                call["index"] = state.calls.into();
                state.calls += 1;
                Some(json!({"tool_calls": [call]}))
            }
        };
        parts.into_iter().filter_map(delta).collect()
    }
}

impl Chunks for ChatChunks {
    fn begin(&mut self) -> Vec<Value> {
        let delta = || json!({"role": "assistant", "content": ""});
        (0..self.answers.len()).map(|answer| self.chunk(answer, delta(), None, None)).collect()
    }

    fn piece(&mut self, answer: usize, piece: Piece) -> Vec<Value> {
        let parts = match self.form.reads_calls {
            true => self.answers[answer].reader.push(&piece.text),
            false if piece.text.is_empty() => Vec::new(),
            false => vec![Part::Text(piece.text.clone())],
        };
        let mut deltas = self.deltas(answer, parts);
        let tokenizer = self.form.app.engine.tokenizer();
        let mut told = self.form.logprobs.then(|| logprobs::of_chat(tokenizer, std::iter::once(&piece)));
        if deltas.is_empty() && told.is_some() {
            deltas.push(json!({"content": ""}));
        }
        deltas.into_iter().map(|delta| self.chunk(answer, delta, told.take(), None)).collect()
    }

    fn finished(&mut self, answer: usize, finish: &Finish) -> Vec<Value> {
        let parts = self.answers[answer].reader.finish();
        let deltas = self.deltas(answer, parts);
        let mut chunks: Vec<Value> = deltas.into_iter().map(|delta| self.chunk(answer, delta, None, None)).collect();
        let reason = if self.answers[answer].calls > 0 { "tool_calls" } else { finish_reason(finish) };
        chunks.push(self.chunk(answer, json!({}), None, Some(reason)));
        chunks
    }

    fn usage(&mut self, usage: Usage) -> Option<Value> {
        self.form.usage.then(|| self.form.object("chat.completion.chunk", json!([]), Some(usage)))
    }
}
