//! A document and a question as tokens, cut where the context ends.

use fourier_kv_engine::model::tokenizer::EncodeOptions;
use fourier_kv_engine::{Engine, EngineError, Message};

use crate::item::{Document, Question, TokenCount};

/// A mark that no text holds (private use), to find again where the context ends in what a template made.
const MARK: &str = "\u{F8FF}\u{E0FE}\u{F8FF}";

/// What the model reads: the context, and what is asked of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// Up to the end of the context.
    pub context: Vec<u32>,
    /// The rest, up to where the answer begins.
    pub question: Vec<u32>,
}

/// The tokens of a document and a question. Both parts are made into tokens by themselves, so that the context's are the
/// same for every question.
///
/// # Errors
/// If the tokenizer or the chat template refuse the text.
pub fn prompt(engine: &Engine, document: &Document, question: &Question) -> Result<Prompt, EngineError> {
    let tokenizer = engine.tokenizer();
    let template = engine.chat_template().filter(|_| document.chat);
    let Some(template) = template else {
        let rest = format!("{}{}", question.text, question.answer_prefix);
        let question = tokenizer.encode(&rest, EncodeOptions::default())?;
        return Ok(Prompt { context: engine.text_prompt(&document.context)?, question });
    };
    let turn = Message::new("user", format!("{}{MARK}{}", document.context, question.text));
    let text = template.render(&[turn], true, &serde_json::Map::new())? + &question.answer_prefix;
    // A template that changes the text beyond finding gets no context of its own: everything is question then.
    let (context, rest) = text.split_once(MARK).unwrap_or(("", &text));
    let options = EncodeOptions { add_bos: false, parse_special: true };
    Ok(Prompt { context: tokenizer.encode(context, options)?, question: tokenizer.encode(rest, options)? })
}

/// An engine's tokens.
#[derive(Debug)]
pub struct EngineTokens<'e>(pub &'e Engine);

impl TokenCount for EngineTokens<'_> {
    fn encode(&self, text: &str) -> Result<Vec<u32>, String> {
        self.0.tokenizer().encode(text, EncodeOptions::default()).map_err(|e| e.to_string())
    }

    fn decode(&self, tokens: &[u32]) -> String {
        self.0.tokenizer().decode(tokens, false)
    }
}
