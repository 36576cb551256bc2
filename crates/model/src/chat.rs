//! Chat templates: from a list of messages to the prompt that a model was trained on.
//!
//! Templates are Jinja programs that come with the model. They are rendered as Hugging Face's
//! library renders them: block tags swallow the white space around them, Python's string and
//! dictionary methods work, `tojson` writes as Python's `json.dumps`, and `raise_exception` and
//! `strftime_now` exist. What a template may cost is bounded, as it is a program from a file: steps,
//! recursion and length of output are. (A template that doubles a variable again and again can still
//! use memory within its steps.)

mod clock;
mod functions;

use minijinja::value::Serde;
use minijinja::{ErrorKind, Value, context};
use serde::Serialize;
use serde_json::Map;
use std::time::SystemTime;
use thiserror::Error;

/// The format of Qwen, SmolLM and others, for a caller that chooses it for a model without a
/// template.
const CHATML: &str = "{% for message in messages %}\
    {{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}\
    {% endfor %}\
    {% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/// Longest template accepted, in bytes; the longest in use have some twenty thousand.
const MAX_SOURCE: usize = 1 << 16;

/// Longest tag accepted, in bytes: the library's compiler takes time that grows with the square of an
/// expression's length. Templates in use have instructions of some thousand bytes in one tag.
const MAX_TAG: usize = 1 << 13;

/// Longest prompt that a template may make, in bytes.
const MAX_OUTPUT: usize = 1 << 28;

/// Steps that a template may take, and how many more for each message.
const BASE_STEPS: u64 = 300_000;
const STEPS_A_MESSAGE: u64 = 5_000;

/// Address space for the renderer's stack; only what is used of it takes memory.
const STACK_BYTES: usize = 256 << 20;

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// Who speaks: `system`, `user`, `assistant`, or what else the template knows.
    pub role: String,
    /// What is said.
    pub content: String,
    /// What some templates look at besides: `tool_calls`, `name`.
    #[serde(flatten)]
    pub more: Map<String, serde_json::Value>,
}

impl Message {
    /// A message of that role.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Message {
        Message { role: role.into(), content: content.into(), more: Map::new() }
    }
}

/// Why a template could not be used.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum ChatError {
    /// The template, or a tag in it, is longer than any in use.
    #[error("{what} is {found} bytes long, more than the limit of {limit}")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// Its length in bytes.
        found: usize,
        /// The largest length accepted.
        limit: usize,
    },
    /// The template does not parse.
    #[error("chat template does not parse (line {line}): {reason}")]
    Syntax {
        /// Line of the template, from 1; 0 where that is not known.
        line: usize,
        /// What the parser says.
        reason: String,
    },
    /// The template refuses these messages with words of its own.
    #[error("chat template refuses the messages: {0}")]
    Refused(String),
    /// The template takes more steps, or makes more output, than it may.
    #[error("chat template does not end within the limit of {0}")]
    Unbounded(&'static str),
    /// The template fails.
    #[error("chat template fails (line {line}): {reason}")]
    Failed {
        /// Line of the template, from 1; 0 where that is not known.
        line: usize,
        /// What went wrong.
        reason: String,
    },
}

/// A template that has been parsed once and can be rendered for many conversations.
#[derive(Debug, Clone)]
pub struct ChatTemplate {
    source: String,
    bos: String,
    eos: String,
    clock: Option<SystemTime>,
}

impl ChatTemplate {
    /// A template from its source. `bos` and `eos` are the texts of these tokens, which templates
    /// see as `bos_token` and `eos_token`; empty where the model has none.
    ///
    /// # Errors
    ///
    /// If the template does not parse, or it or a tag in it is longer than any in use.
    pub fn new(source: &str, bos: &str, eos: &str) -> Result<ChatTemplate, ChatError> {
        check_length("chat template", source.len(), MAX_SOURCE)?;
        check_length("tag in chat template", longest_tag(source), MAX_TAG)?;
        on_large_stack(|| {
            let environment = functions::environment(None);
            let parsed = environment.template_from_str(source).map(drop);
            parsed.map_err(|e| syntax(&e))
        })?;
        Ok(ChatTemplate { source: source.to_owned(), bos: bos.to_owned(), eos: eos.to_owned(), clock: None })
    }

    /// The ChatML format: `<|im_start|>role`, a line break, the content, `<|im_end|>`. Right for a
    /// model that has these tokens; whether to use it is the caller's choice, never a fallback.
    pub fn chatml() -> ChatTemplate {
        ChatTemplate { source: CHATML.to_owned(), bos: String::new(), eos: "<|im_end|>".to_owned(), clock: None }
    }

    /// Sets the time that `strftime_now` tells, in UTC, instead of the time of rendering: prompts
    /// with a date in them then stay the same.
    pub fn with_clock(mut self, now: SystemTime) -> ChatTemplate {
        self.clock = Some(now);
        self
    }

    /// Whether the template looks at a variable of this name, such as `tools`: its source has the word.
    pub fn mentions(&self, name: &str) -> bool {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        self.source.split(|c| !is_part(c)).any(|word| word == name)
    }

    /// The prompt for a conversation. `add_generation_prompt` opens the model's turn. `extra` are
    /// further variables that the template may look at, such as `tools` or `enable_thinking`; they
    /// cannot replace the messages.
    ///
    /// # Errors
    ///
    /// If the template refuses the messages, fails, or does more work than it may.
    pub fn render(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
        extra: &Map<String, serde_json::Value>,
    ) -> Result<String, ChatError> {
        let mut variables = Map::new();
        variables.insert("bos_token".into(), self.bos.as_str().into());
        variables.insert("eos_token".into(), self.eos.as_str().into());
        variables.extend(extra.clone());
        variables.insert("add_generation_prompt".into(), add_generation_prompt.into());
        let steps = STEPS_A_MESSAGE.saturating_mul(messages.len() as u64);
        let steps = steps.saturating_add(BASE_STEPS);
        on_large_stack(|| self.render_within(steps, messages, &variables))
    }

    fn render_within(
        &self,
        steps: u64,
        messages: &[Message],
        variables: &Map<String, serde_json::Value>,
    ) -> Result<String, ChatError> {
        let mut environment = functions::environment(self.clock);
        environment.set_fuel(Some(steps));
        let template = environment.template_from_str(&self.source);
        let template = template.map_err(|e| syntax(&e))?;
        let messages = Value::from(Serde(messages));
        let context = context! { messages, ..Value::from(Serde(variables)) };
        let mut out = Bounded::default();
        let rendered = template.render_captured_to(context, &mut out).map(drop);
        match rendered {
            _ if out.overflowed => Err(ChatError::Unbounded("output")),
            Err(error) => Err(failure(&error)),
            Ok(()) => String::from_utf8(out.bytes).map_err(|e| ChatError::Failed { line: 0, reason: e.to_string() }),
        }
    }
}

fn check_length(what: &'static str, found: usize, limit: usize) -> Result<(), ChatError> {
    match found <= limit {
        true => Ok(()),
        false => Err(ChatError::TooLong { what, found, limit }),
    }
}

/// Bytes from the opening of a tag to the next closing, at most. Closings inside text literals make it
/// less than the truth; they also break up what is dear to compile.
fn longest_tag(source: &str) -> usize {
    let ends_at_closing = source.split("%}").flat_map(|part| part.split("}}"));
    let lengths = ends_at_closing.filter_map(|part| {
        let opening = part.find("{{").into_iter().chain(part.find("{%")).min()?;
        Some(part.len() - opening)
    });
    lengths.max().unwrap_or(0)
}

/// Templates that nest thousands deep, and values that they nest so, are compiled, printed, compared
/// and freed by recursion, for which the stack of an ordinary thread is too small.
fn on_large_stack<T: Send>(work: impl FnOnce() -> Result<T, ChatError> + Send) -> Result<T, ChatError> {
    let failed = |reason: &str| ChatError::Failed { line: 0, reason: reason.to_owned() };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
        let thread = thread.spawn_scoped(scope, work);
        let thread = thread.map_err(|e| failed(&format!("no thread to render in: {e}")))?;
        thread.join().unwrap_or_else(|_| Err(failed("the renderer panicked")))
    })
}

/// Output that refuses to grow past [`MAX_OUTPUT`].
#[derive(Default)]
struct Bounded {
    bytes: Vec<u8>,
    overflowed: bool,
}

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if bytes.len() > MAX_OUTPUT - self.bytes.len() {
            self.overflowed = true;
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn syntax(error: &minijinja::Error) -> ChatError {
    ChatError::Syntax { line: error.line().unwrap_or(0), reason: reason(error) }
}

fn failure(error: &minijinja::Error) -> ChatError {
    if let Some(words) = functions::raised(error) {
        return ChatError::Refused(words);
    }
    match error.kind() {
        ErrorKind::OutOfFuel => ChatError::Unbounded("steps"),
        _ => ChatError::Failed { line: error.line().unwrap_or(0), reason: reason(error) },
    }
}

/// Kind and detail, without the template's source that the library would print along.
fn reason(error: &minijinja::Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}
