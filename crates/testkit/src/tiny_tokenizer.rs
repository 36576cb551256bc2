//! A byte-level BPE tokenizer of 96 tokens: enough for letters, digits, spaces, some punctuation
//! and a chat. Other characters have no token.

use serde_json::{Value, json};

/// The id of the token that ends a text.
pub const END_OF_TEXT: u32 = 0;
/// The id of the token that starts a turn.
pub const TURN_START: u32 = 1;
/// The id of the token that ends a turn: the model's end of sequence.
pub const TURN_END: u32 = 2;

/// A chat template in the style of ChatML.
pub const CHAT_TEMPLATE: &str = "{% for message in messages %}{{ '<|im_start|>' + message['role'] \
    + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}\
    {% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

const SPECIAL: [&str; 3] = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];
/// Single characters of the byte-level alphabet, in which `Ġ` is a space and `Ċ` a line's end.
const ALPHABET: &str = "ĠĊabcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789\
    .,:;!?'\"-()/+*=";
const MERGES: [(&str, &str); 14] = [
    ("t", "h"),
    ("th", "e"),
    ("Ġ", "the"),
    ("i", "n"),
    ("a", "n"),
    ("an", "d"),
    ("e", "r"),
    ("o", "u"),
    ("Ġ", "a"),
    ("r", "e"),
    ("o", "n"),
    ("Ġ", "s"),
    ("in", "g"),
    ("e", "n"),
];

/// The tokens by id.
pub fn tokens() -> Vec<String> {
    let mut tokens: Vec<String> = SPECIAL.iter().map(|&s| s.to_owned()).collect();
    tokens.extend(ALPHABET.chars().map(String::from));
    tokens.extend(MERGES.iter().map(|(left, right)| format!("{left}{right}")));
    tokens
}

/// The merges, best first, as GGUF files have them: `left right`.
pub fn merges() -> Vec<String> {
    MERGES.iter().map(|(left, right)| format!("{left} {right}")).collect()
}

/// The token types as GGUF files have them: 3 for control tokens, 1 for others.
pub fn token_types() -> Vec<i32> {
    (0..tokens().len()).map(|id| if id < SPECIAL.len() { 3 } else { 1 }).collect()
}

/// The same tokenizer as a `tokenizer.json`.
pub fn tokenizer_json() -> Value {
    let vocab: serde_json::Map<String, Value> =
        tokens().into_iter().enumerate().map(|(id, token)| (token, json!(id))).collect();
    let added: Vec<Value> = SPECIAL.iter().enumerate().map(added_token).collect();
    let byte_level = json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true,
    });
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": null,
        "pre_tokenizer": byte_level.clone(),
        "post_processor": null,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": null,
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": false,
            "byte_fallback": false,
            "ignore_merges": false,
            "vocab": vocab,
            "merges": merges(),
        },
    })
}

fn added_token((id, content): (usize, &&str)) -> Value {
    json!({
        "id": id, "content": content, "special": true,
        "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
    })
}

/// The matching `tokenizer_config.json`.
pub fn tokenizer_config() -> Value {
    json!({
        "bos_token": SPECIAL[TURN_START as usize],
        "eos_token": SPECIAL[TURN_END as usize],
        "chat_template": CHAT_TEMPLATE,
        "tokenizer_class": "GPT2Tokenizer",
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn there_are_96_tokens_all_different() {
        let mut tokens = super::tokens();
        assert_eq!(tokens.len(), 96);
        tokens.sort();
        tokens.dedup();
        assert_eq!(tokens.len(), 96);
    }
}
