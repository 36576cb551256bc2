//! How likely tokens were, in the two forms that OpenAI has.

use fourier_kv_engine::model::tokenizer::Tokenizer;
use fourier_kv_engine::scheduler::Piece;
use serde_json::{Map, Value, json};

/// Logarithms below it are told as this: JSON knows no infinity.
const LEAST: f32 = -9999.0;

/// The form of chats: one object a token.
pub(super) fn of_chat<'a>(tokenizer: &Tokenizer, pieces: impl Iterator<Item = &'a Piece>) -> Value {
    let content: Vec<Value> = pieces
        .filter_map(|piece| {
            let (token, told) = (piece.token?, piece.logprobs.as_ref()?);
            let top = told.top.iter().map(|&(token, p)| Value::Object(entry(tokenizer, token, p)));
            let mut object = entry(tokenizer, token, told.chosen);
            object.insert("top_logprobs".into(), top.collect());
            Some(Value::Object(object))
        })
        .collect();
    json!({"content": content, "refusal": null})
}

fn entry(tokenizer: &Tokenizer, token: u32, logprob: f32) -> Map<String, Value> {
    let bytes = tokenizer.token_bytes(token).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let fields = [("token", json!(text)), ("logprob", json!(logprob.max(LEAST))), ("bytes", json!(bytes))];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The form of completions: one list a property. `offset` is where the first token's text begins.
pub(super) fn of_completion<'a>(
    tokenizer: &Tokenizer,
    pieces: impl Iterator<Item = &'a Piece>,
    mut offset: usize,
) -> Value {
    let (mut tokens, mut chosen, mut top, mut offsets) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for piece in pieces {
        if let (Some(token), Some(told)) = (piece.token, &piece.logprobs) {
            tokens.push(tokenizer.decode(&[token], false));
            chosen.push(told.chosen.max(LEAST));
            let pair = |&(token, p): &(u32, f32)| (tokenizer.decode(&[token], false), json!(p.max(LEAST)));
            top.push(told.top.iter().map(pair).collect::<Map<_, _>>());
            offsets.push(offset);
        }
        offset += piece.text.chars().count();
    }
    json!({"tokens": tokens, "token_logprobs": chosen, "top_logprobs": top, "text_offset": offsets})
}
