//! `chat`: a conversation in the terminal.
//!
//! One message a line; the end of the input, or `/exit`, ends it. Ctrl-C stops the answer that is coming.

use std::io::{BufRead, BufReader, Write};
use std::sync::Arc;

use fourier_kv_engine::cache::plan::Plan;
use fourier_kv_engine::{Engine, Finish, Message, Session as Sequence};
use serde::Serialize;

use crate::args::ChatArgs;
use crate::failure::Failure;
use crate::input::Input;
use crate::loading;
use crate::output::megabytes;
use crate::requests::{ChatRequest, RequestError};
use crate::run::{answer, compute_rest, options};
use crate::session::{Ending, Session};

/// Bytes a number of the exact cache that others are compared with: bf16.
const EXACT_WIDTH: usize = 2;
/// What ends a conversation.
const EXIT: &str = "/exit";

/// The conversation, as `--json` prints it at its end.
#[derive(Debug, Default, Serialize)]
struct Conversation {
    turns: Vec<Turn>,
}

#[derive(Debug, Serialize)]
struct Turn {
    user: String,
    assistant: String,
    cache_tokens: usize,
    cache_bytes: usize,
    exact_bytes: usize,
}

/// Answers one message after another.
pub(crate) fn chat(args: &ChatArgs, session: &Session) -> Result<Ending, Failure> {
    let request = ChatRequest::new(args)?;
    let plan = request.cache.plan.as_deref().map(Plan::read).transpose()?.map(Arc::new);
    let pulled = loading::model(&request.model, &request.sources, session)?;
    let engine = loading::engine(&pulled.path, request.machine)?;
    let mut sequence = match &request.session.open {
        Some(path) => engine.unpark(path)?,
        None => {
            let context = engine.model().config().context_length;
            let kind = loading::cache(&engine, &request.cache, plan.as_ref(), (0, context))?;
            engine.session(&kind, plan)?
        }
    };
    let mut lines = BufReader::new(Input::new(&session.cancel)).lines();
    let mut conversation = Conversation::default();
    let ending = loop {
        prompt_sign(session);
        let line = match lines.next() {
            Some(Ok(line)) if line.trim().is_empty() => continue,
            Some(Ok(line)) if line.trim() == EXIT => break Ending::Done,
            Some(Ok(line)) => line,
            None => break Ending::Done,
            Some(Err(_)) if session.cancel.is_raised() => break Ending::Interrupted,
            Some(Err(source)) => return Err(RequestError::Text { what: "standard input".into(), source }.into()),
        };
        conversation.turns.push(turn(&engine, &mut sequence, &request, line, session)?);
    };
    if let Some(path) = &request.session.save {
        let bytes = sequence.park(path)?;
        session.output.remark(&format!("session {}: {}", path.display(), megabytes(bytes)));
    }
    if session.output.json {
        session.output.result("", &conversation).map_err(Failure::Output)?;
    }
    Ok(ending)
}

/// Says that a message is waited for, if somebody watches.
fn prompt_sign(session: &Session) {
    if session.environment.stderr_is_terminal && !session.output.quiet && !session.output.json {
        // A closed error stream must not end the conversation.
        let _ = write!(std::io::stderr(), "> ").and_then(|()| std::io::stderr().flush());
    }
}

fn turn(
    engine: &Engine,
    sequence: &mut Sequence<'_>,
    request: &ChatRequest,
    message: String,
    session: &Session,
) -> Result<Turn, Failure> {
    let prompt = match sequence.tokens() {
        [] => first_prompt(engine, request, &message)?,
        _ => engine.further_prompt(&message)?,
    };
    let before = sequence.tokens().len() + prompt.len();
    let said = answer(engine, sequence, &prompt, &options(&request.generation), session)?;
    if said.finish == Finish::Interrupted {
        // It was the answer that was meant, not the conversation.
        session.cancel.lower();
    }
    compute_rest(sequence, before, &said)?;
    let cache = sequence.cache();
    let (bytes, exact) = (cache.bytes().total(), cache.shape().exact_bytes(cache.len(), EXACT_WIDTH));
    let held = (megabytes(bytes as u64), megabytes(exact as u64));
    session.output.remark(&format!("[{} tokens in {}; exact would take {}]", cache.len(), held.0, held.1));
    let (cache_tokens, assistant) = (cache.len(), said.text);
    Ok(Turn { user: message, assistant, cache_tokens, cache_bytes: bytes, exact_bytes: exact })
}

/// The tokens of the first message, after the system message and the texts.
fn first_prompt(engine: &Engine, request: &ChatRequest, message: &str) -> Result<Vec<u32>, Failure> {
    let system = request.system.iter().map(|text| Message::new("system", text));
    let texts = request.texts.iter().map(|text| text.trim_end()).chain([message]);
    let user = Message::new("user", texts.collect::<Vec<_>>().join("\n\n"));
    let messages: Vec<Message> = system.chain([user]).collect();
    Ok(engine.chat_prompt(&messages)?)
}
