//! From token ids back to text, at once or as they come.

use super::Tokenizer;
use super::vocabulary::TokenKind;

/// Few tokens are longer: room for more is made when one comes.
const USUAL_BYTES: usize = 256;

/// Turns ids into text as they come, never cutting a character in two.
///
/// All texts from [`push`](DecodeStream::push), then the one from [`finish`](DecodeStream::finish),
/// make together what [`Tokenizer::decode`] gives for all the ids.
#[derive(Debug, Clone)]
pub struct DecodeStream<'t> {
    tokenizer: &'t Tokenizer,
    skip_special: bool,
    /// Nothing has been emitted or held back yet, so a first space may still have to go.
    at_start: bool,
    /// Bytes that may be the beginning of a character.
    pending: Vec<u8>,
    /// The text that the last id made certain.
    certain: String,
}

impl<'t> DecodeStream<'t> {
    pub(super) fn new(tokenizer: &'t Tokenizer, skip_special: bool) -> DecodeStream<'t> {
        let (pending, certain) = (Vec::with_capacity(USUAL_BYTES), String::with_capacity(USUAL_BYTES));
        DecodeStream { tokenizer, skip_special, at_start: true, pending, certain }
    }

    /// Takes the next id. Gives the text that is now certain, `None` where that is none yet.
    pub fn push(&mut self, id: u32) -> Option<&str> {
        self.certain.clear();
        self.take_in(id);
        (!self.certain.is_empty()).then_some(self.certain.as_str())
    }

    /// Ends the text: a character that was never completed becomes U+FFFD.
    pub fn finish(self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.pending);
        (!text.is_empty()).then(|| text.into_owned())
    }

    fn take_in(&mut self, id: u32) {
        if self.skip_special && self.tokenizer.vocabulary.kind(id) == TokenKind::Special {
            return;
        }
        self.tokenizer.vocabulary.push_bytes(id, &mut self.pending);
        if self.at_start && !self.pending.is_empty() {
            self.at_start = false;
            if self.tokenizer.strips_first_space && self.pending[0] == b' ' {
                self.pending.remove(0);
            }
        }
        drain_certain(&mut self.pending, &mut self.certain);
    }
}

/// Moves from the front to `text` all that later bytes cannot change; invalid bytes become U+FFFD as in
/// [`String::from_utf8_lossy`]. What stays is at most three bytes.
fn drain_certain(pending: &mut Vec<u8>, text: &mut String) {
    let mut done = 0;
    for chunk in pending.utf8_chunks() {
        text.push_str(chunk.valid());
        done += chunk.valid().len();
        let invalid = chunk.invalid();
        let at_end = done + invalid.len() == pending.len();
        if invalid.is_empty() || (at_end && is_incomplete(invalid)) {
            break;
        }
        text.push(char::REPLACEMENT_CHARACTER);
        done += invalid.len();
    }
    pending.drain(..done);
}

/// Whether more bytes could make this a character.
fn is_incomplete(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|e| e.error_len().is_none())
}
