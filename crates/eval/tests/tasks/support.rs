//! Tokenizers that need no model, and where test data is.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use fourier_kv_eval::item::{Document, Question, TokenCount};

/// Four bytes a token.
pub(crate) struct Bytes;

impl TokenCount for Bytes {
    fn encode(&self, text: &str) -> Result<Vec<u32>, String> {
        let token = |chunk: &[u8]| {
            let mut bytes = [0; 4];
            bytes[..chunk.len()].copy_from_slice(chunk);
            u32::from_le_bytes(bytes)
        };
        Ok(text.as_bytes().chunks(4).map(token).collect())
    }

    fn decode(&self, tokens: &[u32]) -> String {
        let bytes: Vec<u8> = tokens.iter().flat_map(|t| t.to_le_bytes()).filter(|&b| b != 0).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// A token for every word with the white space before it.
#[derive(Default)]
pub(crate) struct Words(RefCell<(HashMap<String, u32>, Vec<String>)>);

impl TokenCount for Words {
    fn encode(&self, text: &str) -> Result<Vec<u32>, String> {
        let (mut tokens, mut start, mut in_word) = (Vec::new(), 0, false);
        for (at, letter) in text.char_indices() {
            if letter.is_whitespace() && in_word {
                tokens.push(self.number(&text[start..at]));
                start = at;
            }
            in_word = !letter.is_whitespace();
        }
        if start < text.len() {
            tokens.push(self.number(&text[start..]));
        }
        Ok(tokens)
    }

    fn decode(&self, tokens: &[u32]) -> String {
        let table = self.0.borrow();
        tokens.iter().map(|&t| table.1[t as usize].as_str()).collect()
    }
}

impl Words {
    fn number(&self, word: &str) -> u32 {
        let (numbers, words) = &mut *self.0.borrow_mut();
        *numbers.entry(word.to_owned()).or_insert_with(|| {
            words.push(word.to_owned());
            words.len() as u32 - 1
        })
    }
}

/// A tokenizer that takes nothing.
pub(crate) struct Refusing;

impl TokenCount for Refusing {
    fn encode(&self, _: &str) -> Result<Vec<u32>, String> {
        Err("not today".into())
    }

    fn decode(&self, _: &[u32]) -> String {
        String::new()
    }
}

/// What the model sees when it answers a question.
pub(crate) fn prompt(document: &Document, question: &Question) -> String {
    format!("{}{}{}", document.context, question.text, question.answer_prefix)
}

/// Tokens of a prompt and the longest answer.
pub(crate) fn used(document: &Document, question: &Question, tokens: &dyn TokenCount) -> usize {
    let parts = [&document.context, &question.text, &question.answer_prefix];
    parts.iter().map(|part| tokens.encode(part).unwrap().len()).sum::<usize>() + question.max_tokens
}

/// A folder of evaluation data beside the repository, if it is there.
pub(crate) fn data(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    path.is_dir().then_some(path)
}

/// An empty folder for a test's files.
pub(crate) fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    if path.exists() {
        fs::remove_dir_all(&path).unwrap();
    }
    fs::create_dir_all(&path).unwrap();
    path
}
