//! A model with its tokenizer, its threads and the working memory they share.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use fourier_kv_cache::plan::Plan;
use fourier_kv_cache::{CacheContext, CacheKind};
use fourier_kv_kernels::isa::Isa;
use fourier_kv_kernels::team::Team;
use fourier_kv_kernels::workspace::Workspace;
use fourier_kv_model::chat::{ChatTemplate, Message};
use fourier_kv_model::decoder::Model;
use fourier_kv_model::source::{ModelSource, open};
use fourier_kv_model::tokenizer::{EncodeOptions, Tokenizer};

use crate::{EngineError, Session};

/// How a model is to be run.
#[derive(Clone, Debug, Default)]
pub struct EngineOptions {
    /// Threads; `None`: as many as the machine runs at once.
    pub threads: Option<NonZeroUsize>,
    /// Instruction set; `None`: the best this machine has.
    pub isa: Option<Isa>,
}

/// A model, ready to answer.
pub struct Engine {
    model: Model,
    tokenizer: Tokenizer,
    chat: Option<ChatTemplate>,
    end_tokens: Vec<u32>,
    workspace: Workspace,
    context: OnceLock<CacheContext>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("model", &self.model.config().name).finish_non_exhaustive()
    }
}

impl Engine {
    /// Opens a `.gguf` file or a folder of safetensors.
    ///
    /// # Errors
    /// If the files are missing, damaged or not supported.
    pub fn load(path: &Path, options: &EngineOptions) -> Result<Self, EngineError> {
        Engine::from_source(&open(path)?, options)
    }

    /// Takes a model that has been opened.
    ///
    /// # Errors
    /// If its tokenizer or chat template are damaged.
    pub fn from_source(source: &ModelSource, options: &EngineOptions) -> Result<Self, EngineError> {
        let config = &source.config;
        let tokenizer =
            Tokenizer::from_source(&source.tokenizer)?.with_special_ids(config.bos, config.eos.first().copied())?;
        let text = |id: Option<u32>| id.and_then(|id| tokenizer.token_text(id)).unwrap_or_default().to_owned();
        let chat = source
            .chat_template
            .as_deref()
            .map(|template| ChatTemplate::new(template, &text(tokenizer.bos()), &text(tokenizer.eos())))
            .transpose()?;
        Ok(Engine {
            model: Model::new(source)?,
            end_tokens: end_tokens(&config.eos, &tokenizer),
            chat,
            tokenizer,
            workspace: Workspace::with_team(options.isa.unwrap_or_else(Isa::detect), team(options.threads)?),
            context: OnceLock::new(),
        })
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The model's own chat template, if it has one.
    pub fn chat_template(&self) -> Option<&ChatTemplate> {
        self.chat.as_ref()
    }

    /// Tokens that end an answer.
    pub fn end_tokens(&self) -> &[u32] {
        &self.end_tokens
    }

    /// Threads it computes with.
    pub fn threads(&self) -> usize {
        self.workspace.team().threads()
    }

    /// The threads and the working memory that all sessions share.
    pub fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    /// What caches need to know of the model.
    ///
    /// # Errors
    /// If a weight is damaged.
    pub fn cache_context(&self) -> Result<&CacheContext, EngineError> {
        if self.context.get().is_none() {
            let context = self.model.cache_context(&self.workspace)?;
            // Another thread may have been faster; both computed the same.
            let _ = self.context.set(context);
        }
        Ok(self.context.get().expect("it was set above"))
    }

    /// Begins a sequence whose past is kept by a cache of this kind.
    ///
    /// # Errors
    /// If the plan was made for another model, or does not fit the cache's settings.
    pub fn session(&self, kind: &CacheKind, plan: Option<Arc<Plan>>) -> Result<Session<'_>, EngineError> {
        if let Some(plan) = &plan {
            plan.check_model(self.model.fingerprint(), &self.model.config().name)?;
        }
        let cache = kind.build(self.cache_context()?, plan)?;
        Ok(Session::new(self, cache))
    }

    /// The tokens of a conversation, up to where the model's answer begins.
    ///
    /// # Errors
    /// If the model has no chat template, or the template refuses the conversation.
    pub fn chat_prompt(&self, messages: &[Message]) -> Result<Vec<u32>, EngineError> {
        let template = self.chat.as_ref().ok_or(EngineError::NoChatTemplate)?;
        let text = template.render(messages, true, &serde_json::Map::new())?;
        // Templates write the beginning-of-sequence token themselves where the model wants it.
        Ok(self.tokenizer.encode(&text, EncodeOptions { add_bos: false, parse_special: true })?)
    }

    /// The tokens of a user's further turn and what leads up to the model's answer, for a session that ends with an
    /// answer of the model: its end, which was chosen but not computed with, comes first.
    ///
    /// # Errors
    /// If the model has no chat template, or one that does not put turns one after another.
    pub fn further_prompt(&self, text: &str) -> Result<Vec<u32>, EngineError> {
        const ANSWER: &str = "(the answer so far)";
        let template = self.chat.as_ref().ok_or(EngineError::NoChatTemplate)?;
        let turns = [Message::new("user", "?"), Message::new("assistant", ANSWER), Message::new("user", text)];
        let whole = template.render(&turns, true, &serde_json::Map::new())?;
        let (_, turn) = whole.split_once(ANSWER).ok_or(EngineError::NoFurtherTurn)?;
        Ok(self.tokenizer.encode(turn, EncodeOptions { add_bos: false, parse_special: true })?)
    }

    /// The tokens of a plain text that goes on where a session ends.
    ///
    /// # Errors
    /// If the tokenizer cannot take the text.
    pub fn further_text(&self, text: &str) -> Result<Vec<u32>, EngineError> {
        Ok(self.tokenizer.encode(text, EncodeOptions { add_bos: false, parse_special: false })?)
    }

    /// The tokens of a plain text, taken literally, with whatever the model wants at its beginning.
    ///
    /// # Errors
    /// If the tokenizer cannot take the text.
    pub fn text_prompt(&self, text: &str) -> Result<Vec<u32>, EngineError> {
        let options = EncodeOptions { add_bos: self.tokenizer.adds_bos(), parse_special: false };
        Ok(self.tokenizer.encode(text, options)?)
    }
}

/// The ends that the model's files name, and those that models are known to end turns with.
fn end_tokens(named: &[u32], tokenizer: &Tokenizer) -> Vec<u32> {
    const TURN_ENDS: [&str; 4] = ["<|im_end|>", "<|eot_id|>", "<|endoftext|>", "<|end_of_text|>"];
    let known = TURN_ENDS.iter().filter_map(|text| tokenizer.id_of(text)).filter(|&id| tokenizer.is_special(id));
    let mut ends: Vec<u32> = named.iter().copied().chain(tokenizer.eos()).chain(known).collect();
    ends.sort_unstable();
    ends.dedup();
    ends
}

fn team(threads: Option<NonZeroUsize>) -> Result<Team, EngineError> {
    let threads = threads.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    Team::new(threads).map_err(|e| EngineError::Threads { threads, reason: e.to_string() })
}
