//! What a forward pass is given and what it gives back.

use fourier_kv_cache::{CacheError, KvCache};
use fourier_kv_kernels::quant::QuantError;

use crate::error::WeightsError;

/// Tokens of one sequence to compute, and the cache of that sequence.
pub struct Sequence<'a> {
    /// The tokens, which follow those that the cache holds.
    pub tokens: &'a [u32],
    /// The past; each sequence has its own.
    pub cache: &'a mut dyn KvCache,
    /// Whether the prompt ends with these tokens: each layer of the cache is sealed as soon as it has them all.
    pub end_of_prompt: bool,
    /// Which rows of logits are wanted.
    pub logits: LogitRows,
}

/// Rows of logits of one sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogitRows {
    /// None.
    None,
    /// Of the last token.
    Last,
    /// Of the token with this index among those given, and all after it.
    From(usize),
}

impl LogitRows {
    /// The first token whose logits are wanted, of `tokens`.
    pub(crate) fn first(self, tokens: usize) -> usize {
        match self {
            LogitRows::None => tokens,
            LogitRows::Last => tokens.saturating_sub(1),
            LogitRows::From(first) => first.min(tokens),
        }
    }
}

/// Logits, sequence after sequence, token after token.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Logits {
    /// Tokens of the vocabulary.
    pub vocabulary: usize,
    /// `[rows][vocabulary]`.
    pub rows: Vec<f32>,
}

impl Logits {
    /// The number of rows.
    pub fn count(&self) -> usize {
        self.rows.len() / self.vocabulary.max(1)
    }

    /// Makes it `rows` rows, whatever they hold then. Memory for many more than that is given back.
    pub(super) fn make_room(&mut self, rows: usize) {
        let length = rows * self.vocabulary;
        if self.rows.capacity() / 4 > length {
            self.rows = Vec::new();
        }
        self.rows.resize(length, 0.0);
    }

    /// Row `i`.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.rows[i * self.vocabulary..(i + 1) * self.vocabulary]
    }
}

/// How far a forward pass has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Rows times layers that are done.
    pub done: usize,
    /// Rows times layers that there are.
    pub total: usize,
}

/// Why a forward pass ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForwardError {
    /// A token that the model does not have.
    #[error("expected token ids below {vocabulary}, got {token}")]
    Token {
        /// The token.
        token: u32,
        /// The size of the vocabulary.
        vocabulary: usize,
    },
    /// A cache that was built for another model.
    #[error("expected a cache for {expected}, got one for {got}")]
    Shape {
        /// The model's attention.
        expected: String,
        /// The cache's.
        got: String,
    },
    /// The cache refused.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A weight is missing or damaged.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A weight's bytes do not hold its rows.
    #[error(transparent)]
    Quant(#[from] QuantError),
    /// The caller asked to stop. The caches are in the middle of a pass and of no further use.
    #[error("stopped while computing")]
    Stopped,
}
