//! A request for a conversation.

use super::run_request::{CacheRequest, SessionRequest};
use super::{Generation, Machine, RequestError, read_text};
use crate::args::{ChatArgs, SourceArgs};

/// A conversation in the terminal.
#[derive(Debug, Clone)]
pub(crate) struct ChatRequest {
    /// The model, as it was typed.
    pub(crate) model: String,
    /// Where the model may come from.
    pub(crate) sources: SourceArgs,
    /// Texts that come before the first message.
    pub(crate) texts: Vec<String>,
    /// System message.
    pub(crate) system: Option<String>,
    /// How the past is kept, unless a session is gone on with.
    pub(crate) cache: CacheRequest,
    /// Files of sessions.
    pub(crate) session: SessionRequest,
    /// How answers are chosen.
    pub(crate) generation: Generation,
    /// What computes.
    pub(crate) machine: Machine,
}

impl ChatRequest {
    /// Understands what was typed, and reads the texts.
    pub(crate) fn new(args: &ChatArgs) -> Result<Self, RequestError> {
        if args.session.session.is_some() && args.system.is_some() {
            let without = "with --session, whose conversation has begun";
            return Err(RequestError::NoEffect { option: "--system", without });
        }
        if args.generation.past_context && args.memory.cache_memory.is_some() {
            let without = "with --past-context: a conversation without an end fits into no memory";
            return Err(RequestError::NoEffect { option: "--cache-memory", without });
        }
        Ok(Self {
            model: args.model.model.clone(),
            sources: args.model.sources.clone(),
            texts: args.file.iter().map(|path| read_text(path)).collect::<Result<_, _>>()?,
            system: args.system.clone(),
            cache: CacheRequest::within(&args.cache, &args.memory)?,
            session: SessionRequest::new(&args.session)?,
            generation: Generation::new(&args.generation)?,
            machine: Machine::of_cpu(&args.device)?,
        })
    }
}
