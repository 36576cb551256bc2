//! What answers are generated with: a sequence that reads tokens and says what may come next.

use std::ops::ControlFlow;

use fourier_kv_model::decoder::{LogitRows, Progress};

use crate::{EngineError, Session};

/// A sequence that reads tokens and says what may come next: a [`Session`], or one on another device.
pub trait Predictor {
    /// Tokens that it has read.
    fn count(&self) -> usize;

    /// Makes room for `tokens` more tokens, as far as that spares later waiting.
    fn make_room(&mut self, tokens: usize);

    /// Reads a prompt or a further turn, and compresses.
    ///
    /// # Errors
    /// If a token does not fit the model, or `watch` said to stop; the sequence cannot go on then.
    fn read(
        &mut self,
        tokens: &[u32],
        watch: &mut (dyn FnMut(Progress) -> ControlFlow<()> + Send),
    ) -> Result<(), EngineError>;

    /// Reads one token more.
    ///
    /// # Errors
    /// If the token does not fit the model.
    fn advance(&mut self, token: u32) -> Result<(), EngineError>;

    /// The logits of what comes after the last token read, one a token of the vocabulary.
    fn next_logits(&self) -> &[f32];
}

impl Predictor for Session<'_> {
    fn count(&self) -> usize {
        self.tokens().len()
    }

    fn make_room(&mut self, tokens: usize) {
        self.reserve(tokens);
    }

    fn read(
        &mut self,
        tokens: &[u32],
        watch: &mut (dyn FnMut(Progress) -> ControlFlow<()> + Send),
    ) -> Result<(), EngineError> {
        self.prompt(tokens, LogitRows::Last, watch).map(|_| ())
    }

    fn advance(&mut self, token: u32) -> Result<(), EngineError> {
        self.step(token).map(|_| ())
    }

    fn next_logits(&self) -> &[f32] {
        self.logits().row(0)
    }
}
