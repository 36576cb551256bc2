//! A conversation as OpenAI writes it, and as templates read it.

use fourier_kv_engine::Message;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::error::ApiError;

/// One turn.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ChatMessage {
    role: String,
    content: Option<Content>,
    name: Option<String>,
    tool_calls: Option<Vec<ToolCall>>,
    tool_call_id: Option<String>,
}

/// A text, or parts.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Clone, Debug, Deserialize)]
struct Part {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
    refusal: Option<String>,
}

/// A call that the model made earlier.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ToolCall {
    id: Option<String>,
    function: Function,
}

#[derive(Clone, Debug, Deserialize)]
struct Function {
    name: String,
    arguments: String,
}

impl ToolCall {
    /// As templates read it, and as models write it: arguments are an object, not its text.
    pub(super) fn plain(&self) -> Value {
        let arguments = serde_json::from_str(&self.function.arguments);
        let arguments = arguments.unwrap_or_else(|_| Value::String(self.function.arguments.clone()));
        json!({"name": self.function.name, "arguments": arguments})
    }
}

impl ChatMessage {
    /// The turn as a template reads it.
    ///
    /// # Errors
    /// If the role is none of OpenAI's, or a part is not text.
    pub(super) fn message(&self) -> Result<Message, ApiError> {
        let role = match self.role.as_str() {
            "developer" => "system",
            role @ ("system" | "user" | "assistant" | "tool") => role,
            other => {
                let message = format!("expected the role system, developer, user, assistant or tool, got '{other}'");
                return Err(ApiError::invalid("messages", message));
            }
        };
        Ok(Message { more: self.more(), ..Message::new(role, self.text()?) })
    }

    /// The calls that it makes.
    pub(super) fn calls(&self) -> &[ToolCall] {
        self.tool_calls.as_deref().unwrap_or_default()
    }

    fn text(&self) -> Result<String, ApiError> {
        match &self.content {
            None => Ok(String::new()),
            Some(Content::Text(text)) => Ok(text.clone()),
            Some(Content::Parts(parts)) => {
                let texts = parts.iter().map(Part::text).collect::<Result<Vec<_>, _>>()?;
                Ok(texts.join("\n"))
            }
        }
    }

    /// What some templates look at besides.
    fn more(&self) -> Map<String, Value> {
        let mut more = Map::new();
        if !self.calls().is_empty() {
            let call = |call: &ToolCall| json!({"id": call.id, "type": "function", "function": call.plain()});
            more.insert("tool_calls".into(), self.calls().iter().map(call).collect());
        }
        let texts = [("name", &self.name), ("tool_call_id", &self.tool_call_id)];
        let given = texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), json!(text.as_ref()?))));
        more.extend(given);
        more
    }
}

impl Part {
    fn text(&self) -> Result<&str, ApiError> {
        match (self.kind.as_str(), &self.text, &self.refusal) {
            ("text" | "input_text" | "output_text", Some(text), _) | ("refusal", _, Some(text)) => Ok(text),
            (kind, ..) => {
                let message = format!("this model reads text; a part of type '{kind}' was given");
                Err(ApiError::unsupported("messages", message))
            }
        }
    }
}
