//! `POST /tokenize` and `/detokenize`.

use axum::Json;
use axum::extract::State;
use fourier_kv_engine::Message;
use fourier_kv_engine::model::tokenizer::EncodeOptions;
use serde::Deserialize;
use serde_json::{Value, json};

use super::apart;
use super::messages::ChatMessage;
use crate::app::App;
use crate::error::ApiError;
use crate::extract::JsonBody;

/// A text, or a conversation.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct TokenizeRequest {
    /// The text; `content` is another server's name for it.
    #[serde(alias = "content")]
    prompt: Option<String>,
    messages: Option<Vec<ChatMessage>>,
    /// Whether the token that begins a sequence is put first, where the model wants it.
    add_special_tokens: Option<bool>,
    /// Whether the texts of special tokens are taken for them.
    parse_special: Option<bool>,
}

/// The tokens of a text, or of a conversation as its template writes it.
pub(crate) async fn tokenize(
    State(app): State<App>,
    JsonBody(request): JsonBody<TokenizeRequest>,
) -> Result<Json<Value>, ApiError> {
    apart(move || {
        let tokens = match (request.prompt, request.messages) {
            (Some(text), None) => {
                let tokenizer = app.engine.tokenizer();
                let options = EncodeOptions {
                    add_bos: request.add_special_tokens == Some(true) && tokenizer.adds_bos(),
                    parse_special: request.parse_special == Some(true),
                };
                let encoded = tokenizer.encode(&text, options);
                encoded.map_err(|e| ApiError::invalid("prompt", e.to_string()))?
            }
            (None, Some(messages)) => {
                let messages: Vec<Message> = messages.iter().map(ChatMessage::message).collect::<Result<_, _>>()?;
                app.engine.chat_prompt(&messages)?
            }
            _ => return Err(ApiError::invalid("prompt", "expected either 'prompt' or 'messages'")),
        };
        let most = app.engine.model().config().context_length;
        Ok(Json(json!({"count": tokens.len(), "max_model_len": most, "tokens": tokens})))
    })
    .await
}

/// Some tokens.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct DetokenizeRequest {
    tokens: Vec<u32>,
}

/// Their text. Tokens that do not exist have none.
pub(crate) async fn detokenize(
    State(app): State<App>,
    JsonBody(request): JsonBody<DetokenizeRequest>,
) -> Result<Json<Value>, ApiError> {
    apart(move || {
        let text = app.engine.tokenizer().decode(&request.tokens, false);
        Ok(Json(json!({"prompt": text, "content": text})))
    })
    .await
}
