//! What an answer must keep to, whoever decides it: a grammar, a schema.

/// Says token by token what may come next.
pub trait Constraint: Send {
    /// Sets the logits of tokens that may not come next to minus infinity. `ends` are the tokens that end an answer:
    /// they stay where the answer may end here.
    ///
    /// # Errors
    /// If the constraint cannot be followed any further, with the reason.
    fn mask(&mut self, logits: &mut [f32], ends: &[u32]) -> Result<(), String>;

    /// Takes the token that was chosen, which [`Constraint::mask`] left.
    ///
    /// # Errors
    /// As [`Constraint::mask`].
    fn accept(&mut self, token: u32) -> Result<(), String>;

    /// Whether nothing but an end may follow.
    fn is_complete(&self) -> bool;
}
