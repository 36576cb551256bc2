//! Answers that keep to a grammar: JSON, a JSON schema, a call of a tool.
//!
//! The grammar is followed by `llguidance`, which says after each token which others may come next.

use std::sync::{Arc, OnceLock};

use fourier_kv_engine::{Constraint, Engine};
use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{ApproximateTokEnv, TokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher, ParserFactory};
use serde_json::{Value, json};

use crate::error::ApiError;

/// The longest grammar that is read, in bytes.
const LONGEST: usize = 1 << 18;

/// What an answer keeps to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Grammar {
    /// A value of this schema.
    Json(Value),
    /// A call of a tool, the arguments of these schemas, by name: as models write them that learned it from Hermes and
    /// Qwen.
    ToolCall(Vec<(String, Value)>),
}

/// Makes constraints for a model's tokens. The first one takes the time to sort the vocabulary.
pub(crate) struct Grammars {
    engine: Arc<Engine>,
    factory: OnceLock<Result<ParserFactory, String>>,
}

impl Grammars {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        Grammars { engine, factory: OnceLock::new() }
    }

    /// A constraint for one answer.
    ///
    /// # Errors
    /// If the grammar cannot be followed: a schema that makes no sense, or uses what is not supported.
    pub(crate) fn constraint(&self, grammar: &Grammar) -> Result<Box<dyn Constraint>, ApiError> {
        let factory = self.factory.get_or_init(|| factory(&self.engine)).as_ref();
        let factory = factory.map_err(|reason| ApiError::internal(format!("the grammars cannot be made: {reason}")))?;
        let refused =
            |reason: String| ApiError::invalid("response_format", format!("the schema cannot be followed: {reason}"));
        let top = top_level(grammar).map_err(refused)?;
        let parser = factory.create_parser(top).map_err(|e| refused(e.to_string()))?;
        Ok(Box::new(Follower { matcher: Matcher::new(Ok(parser)) }))
    }
}

fn factory(engine: &Engine) -> Result<ParserFactory, String> {
    let tokenizer = engine.tokenizer();
    let size = tokenizer.vocabulary_size().max(engine.model().config().vocabulary);
    let word = |id: u32| match tokenizer.is_special(id) {
        // Text that only stands for itself where special tokens are meant; so the library wants them marked.
        true => [&[TokTrie::SPECIAL_TOKEN_MARKER], tokenizer.token_text(id).unwrap_or_default().as_bytes()].concat(),
        false => tokenizer.token_bytes(id).unwrap_or_default(),
    };
    let words: Vec<Vec<u8>> = (0..size as u32).map(word).collect();
    let end = tokenizer.eos().or_else(|| engine.end_tokens().first().copied()).ok_or("the model has no end token")?;
    let trie = TokTrie::from(&TokRxInfo::new(size as u32, end), &words);
    let tokens: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
    let mut factory = ParserFactory::new_simple(&tokens).map_err(|e| e.to_string())?;
    factory.quiet();
    Ok(factory)
}

fn top_level(grammar: &Grammar) -> Result<TopLevelGrammar, String> {
    let source = match grammar {
        Grammar::Json(schema) => format!("start: value\nvalue: %json {}\n", compact(schema)),
        Grammar::ToolCall(tools) => {
            let call = |(name, parameters): &(String, Value)| {
                json!({"type": "object", "properties": {"name": {"const": name}, "arguments": parameters},
                    "required": ["name", "arguments"], "additionalProperties": false})
            };
            let calls = json!({"anyOf": tools.iter().map(call).collect::<Vec<_>>()});
            format!("start: \"<tool_call>\\n\" call \"\\n</tool_call>\"\ncall: %json {}\n", compact(&calls))
        }
    };
    match source.len() <= LONGEST {
        true => Ok(TopLevelGrammar::from_lark(source)),
        false => Err(format!("expected at most {LONGEST} bytes, got {}", source.len())),
    }
}

/// The schema, with the wish that nothing but what it asks for is written: a small model lost in blanks never ends.
fn compact(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(fields) = schema.as_object_mut() {
        fields.insert("x-guidance".into(), json!({"whitespace_flexible": false}));
    }
    schema
}

/// Follows one answer.
struct Follower {
    matcher: Matcher,
}

impl Constraint for Follower {
    fn mask(&mut self, logits: &mut [f32], ends: &[u32]) -> Result<(), String> {
        let allowed = self.matcher.compute_mask_or_eos().map_err(|e| e.to_string())?;
        let may_end = ends.iter().any(|&end| allowed.is_allowed(end));
        for (token, logit) in (0u32..).zip(logits.iter_mut()) {
            let stays = match ends.contains(&token) {
                true => may_end,
                false => (token as usize) < allowed.len() && allowed.is_allowed(token),
            };
            if !stays {
                *logit = f32::NEG_INFINITY;
            }
        }
        Ok(())
    }

    fn accept(&mut self, token: u32) -> Result<(), String> {
        self.matcher.consume_token(token).map_err(|e| e.to_string())
    }

    fn is_complete(&self) -> bool {
        self.matcher.is_stopped()
    }
}
