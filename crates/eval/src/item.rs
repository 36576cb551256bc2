//! What a task asks.

use std::collections::BTreeMap;

/// A context and the questions about it, which share its prefill.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    /// Unique in its task.
    pub id: String,
    /// Everything before what is asked.
    pub context: String,
    /// Whether a model with a chat template gets it as a user's turn.
    pub chat: bool,
    /// The questions.
    pub questions: Vec<Question>,
}

/// What is asked of a document.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Question {
    /// Unique in its document.
    pub id: String,
    /// What follows the context directly, in the same turn.
    pub text: String,
    /// How the model's answer is made to begin; no part of the prediction.
    pub answer_prefix: String,
    /// What would be right: which metric says whether one or all are asked for.
    pub answers: Vec<String>,
    /// The names to choose from, where there are such.
    pub classes: Vec<String>,
    /// Tokens of the answer at most.
    pub max_tokens: usize,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// Where it belongs in a figure: `length`, `depth`.
    pub labels: BTreeMap<String, f64>,
}

/// A model's tokens, for tasks that make texts of a given length.
pub trait TokenCount {
    /// The tokens of a text, without any that mark its beginning.
    ///
    /// # Errors
    /// If the tokenizer cannot take the text.
    fn encode(&self, text: &str) -> Result<Vec<u32>, String>;

    /// The text of tokens.
    fn decode(&self, tokens: &[u32]) -> String;
}
