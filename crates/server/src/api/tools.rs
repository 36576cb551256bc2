//! Tools: how a model is told of them, and how its calls are read.
//!
//! A model whose template knows tools is told of them by its template. Others are told in the system message, in the
//! words that Qwen's and Hermes' templates use. Both kinds write a call as `<tool_call>`, an object with `name` and
//! `arguments`, `</tool_call>`.

use fourier_kv_engine::Message;
use serde::Deserialize;
use serde_json::{Value, json};

use super::messages::ChatMessage;
use crate::error::ApiError;
use crate::grammar::Grammar;
use crate::identity::random_id;

pub(super) const OPEN: &str = "<tool_call>";
pub(super) const CLOSE: &str = "</tool_call>";
/// Most tools in a request.
const MOST: usize = 128;

/// A tool, as OpenAI writes it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Tool {
    #[serde(rename = "type")]
    kind: String,
    function: ToolFunction,
}

#[derive(Clone, Debug, Deserialize)]
struct ToolFunction {
    name: String,
    description: Option<String>,
    parameters: Option<Value>,
}

/// Which tool is to be called.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Choice {
    /// None, or there are none.
    None,
    /// As the model likes.
    Auto,
    /// Any, or the one with this name: the answer is a call.
    Required(Option<String>),
}

/// The tools of a request.
#[derive(Clone, Debug)]
pub(super) struct Tools {
    all: Vec<Tool>,
    pub(super) choice: Choice,
}

impl Tools {
    /// Understands `tools` and `tool_choice`.
    pub(super) fn new(all: Option<Vec<Tool>>, choice: Option<&Value>) -> Result<Self, ApiError> {
        let all = all.unwrap_or_default();
        let bad = |message: String| Err(ApiError::invalid("tools", message));
        if all.len() > MOST {
            return bad(format!("expected at most {MOST} tools, got {}", all.len()));
        }
        if let Some(tool) = all.iter().find(|tool| tool.kind != "function" || !is_name(&tool.function.name)) {
            return bad(format!(
                "expected functions named with letters, digits, _ and -, got '{}'",
                tool.function.name
            ));
        }
        let choice = understand(choice, &all)?;
        Ok(Tools { all, choice })
    }

    /// Whether the model is to know of them.
    pub(super) fn are_told(&self) -> bool {
        !self.all.is_empty() && self.choice != Choice::None
    }

    /// The list as templates take it.
    pub(super) fn list(&self) -> Value {
        self.all.iter().map(Tool::json).collect()
    }

    /// What the answer keeps to, if it must be a call.
    pub(super) fn grammar(&self) -> Option<Grammar> {
        let Choice::Required(only) = &self.choice else { return None };
        let chosen = self.all.iter().filter(|tool| only.as_ref().is_none_or(|name| *name == tool.function.name));
        Some(Grammar::ToolCall(chosen.map(|tool| (tool.function.name.clone(), tool.parameters())).collect()))
    }
}

impl Tool {
    fn parameters(&self) -> Value {
        self.function.parameters.clone().unwrap_or_else(|| json!({"type": "object", "properties": {}}))
    }

    fn json(&self) -> Value {
        let function = &self.function;
        json!({"type": "function", "function": {"name": function.name,
            "description": function.description.as_deref().unwrap_or_default(), "parameters": self.parameters()}})
    }
}

fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    (1..=64).contains(&name.len()) && name.chars().all(allowed)
}

fn understand(choice: Option<&Value>, all: &[Tool]) -> Result<Choice, ApiError> {
    let bad = |message: String| Err(ApiError::invalid("tool_choice", message));
    let choice = match choice {
        None | Some(Value::Null) if all.is_empty() => Choice::None,
        None | Some(Value::Null) => Choice::Auto,
        Some(Value::String(word)) => match word.as_str() {
            "none" => Choice::None,
            "auto" => Choice::Auto,
            "required" | "any" => Choice::Required(None),
            other => return bad(format!("expected none, auto, required or a function, got '{other}'")),
        },
        Some(object) => match object["function"]["name"].as_str() {
            Some(name) if all.iter().any(|tool| tool.function.name == name) => Choice::Required(Some(name.to_owned())),
            Some(name) => return bad(format!("there is no tool '{name}' in this request")),
            None => return bad("expected none, auto, required or a function".to_owned()),
        },
    };
    match choice {
        Choice::Required(_) if all.is_empty() => bad("a call is required, but there are no tools".to_owned()),
        choice => Ok(choice),
    }
}

/// The conversation for a template that knows no tools: they stand in the system message, calls and their results in
/// the text.
pub(super) fn spelled_out(messages: &[ChatMessage], tools: Option<&Tools>) -> Result<Vec<Message>, ApiError> {
    let mut plain: Vec<Message> = messages.iter().map(spell).collect::<Result<_, _>>()?;
    if let Some(tools) = tools {
        match plain.first_mut().filter(|message| message.role == "system") {
            Some(system) => system.content += &format!("\n\n{}", described(tools)),
            None => plain.insert(0, Message::new("system", described(tools))),
        }
    }
    Ok(plain)
}

fn spell(message: &ChatMessage) -> Result<Message, ApiError> {
    let Message { role, mut content, .. } = message.message()?;
    for call in message.calls() {
        content += &format!("\n{OPEN}\n{}\n{CLOSE}", call.plain());
    }
    Ok(match role.as_str() {
        "tool" => Message::new("user", format!("<tool_response>\n{content}\n</tool_response>")),
        _ => Message::new(role, content.trim_start_matches('\n')),
    })
}

fn described(tools: &Tools) -> String {
    let list = tools.all.iter().fold(String::new(), |list, tool| list + &format!("\n{}", tool.json()));
    format!(
        "# Tools\n\nYou may call functions. Their signatures are within <tools></tools>:\n<tools>{list}\n</tools>\n\n\
         For each call, return an object with the function's name and arguments within {OPEN}{CLOSE}:\n{OPEN}\n\
         {{\"name\": <function-name>, \"arguments\": <arguments-object>}}\n{CLOSE}"
    )
}

/// Text and calls of an answer, as it comes.
#[derive(Debug, Default)]
pub(super) struct CallReader {
    /// What may yet turn out to be a call.
    held: String,
    inside: bool,
}

/// Part of an answer.
#[derive(Debug, PartialEq)]
pub(super) enum Part {
    /// Text for people.
    Text(String),
    /// A call: the function's name, and its arguments as JSON text.
    Call { id: String, name: String, arguments: String },
}

impl CallReader {
    /// Takes a piece of text; what is certain by now.
    pub(super) fn push(&mut self, piece: &str) -> Vec<Part> {
        self.held += piece;
        let mut parts = Vec::new();
        loop {
            let mark = if self.inside { CLOSE } else { OPEN };
            let Some(at) = self.held.find(mark) else { break };
            let before = self.held[..at].to_owned();
            self.held.drain(..at + mark.len());
            let part = if self.inside { call(&before) } else { text(before) };
            parts.extend(part);
            self.inside = !self.inside;
        }
        if !self.inside {
            let certain = self.held.len() - overlap(&self.held, OPEN);
            parts.extend(text(self.held.drain(..certain).collect()));
        }
        parts
    }

    /// What was held back; a call that was cut short is text.
    pub(super) fn finish(&mut self) -> Vec<Part> {
        let held = std::mem::take(&mut self.held);
        match std::mem::take(&mut self.inside) {
            true => call(&held).into_iter().collect(),
            false => text(held).into_iter().collect(),
        }
    }
}

/// Blank lines around calls are nobody's text.
fn text(text: String) -> Option<Part> {
    (!text.is_empty()).then_some(Part::Text(text))
}

/// What stands between the marks. What is no call is shown as it came.
fn call(inner: &str) -> Option<Part> {
    let parsed: Option<Value> = serde_json::from_str(inner.trim()).ok();
    let named = parsed.as_ref().and_then(|value| Some((value["name"].as_str()?, value.get("arguments")?)));
    let Some((name, arguments)) = named else { return text(format!("{OPEN}{inner}{CLOSE}")) };
    let arguments = arguments.as_str().map_or_else(|| arguments.to_string(), str::to_owned);
    Some(Part::Call { id: random_id("call_"), name: name.to_owned(), arguments })
}

/// Bytes at the end of `text` that `mark` begins with.
fn overlap(text: &str, mark: &str) -> usize {
    (1..mark.len()).rev().find(|&length| text.ends_with(&mark[..length])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(name: &str) -> Tool {
        serde_json::from_value(json!({"type": "function", "function": {"name": name}})).unwrap()
    }

    /// Text, and calls as `name(arguments)`, of an answer that comes in pieces of `size` characters.
    fn read(answer: &str, size: usize) -> (String, Vec<String>) {
        let (mut reader, mut shown, mut calls) = (CallReader::default(), String::new(), Vec::new());
        let chars: Vec<char> = answer.chars().collect();
        let mut parts: Vec<Part> =
            chars.chunks(size).flat_map(|c| reader.push(&c.iter().collect::<String>())).collect();
        parts.extend(reader.finish());
        for part in parts {
            match part {
                Part::Text(text) => shown += &text,
                Part::Call { name, arguments, .. } => calls.push(format!("{name}({arguments})")),
            }
        }
        (shown, calls)
    }

    #[test]
    fn calls_are_read_however_they_are_cut() {
        let answer = "Let me see<b>.<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call> é \
                      <tool_call>{\"name\":\"g\",\"arguments\":{}}</tool_call>";
        for size in 1..50 {
            let (text, calls) = read(answer, size);
            assert_eq!(text, "Let me see<b>. é ", "{size}");
            assert_eq!(calls, ["f({\"a\":1})", "g({})"]);
        }
    }

    #[test]
    fn what_is_no_call_is_shown() {
        assert_eq!(read("a <tool_call>x</tool_call> b", 3).0, "a <tool_call>x</tool_call> b");
        assert_eq!(read("a <tool", 3).0, "a <tool");
    }

    #[test]
    fn choices_are_understood() {
        let choice = |choice: Value| Tools::new(Some(vec![tool("f"), tool("g")]), Some(&choice)).map(|t| t.choice);
        assert_eq!(choice(Value::Null).unwrap(), Choice::Auto);
        assert_eq!(choice(json!("none")).unwrap(), Choice::None);
        assert_eq!(choice(json!("required")).unwrap(), Choice::Required(None));
        let named = json!({"type": "function", "function": {"name": "g"}});
        assert_eq!(choice(named).unwrap(), Choice::Required(Some("g".into())));
        assert!(choice(json!("perhaps")).is_err());
        assert!(choice(json!({"function": {"name": "h"}})).is_err());
        assert!(Tools::new(None, Some(&json!("required"))).is_err());
        assert!(Tools::new(Some(vec![tool("no spaces")]), None).is_err());
    }

    #[test]
    fn tools_that_a_template_does_not_know_are_spelled_out() {
        let messages: Vec<ChatMessage> = serde_json::from_value(json!([
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": null,
             "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}}]},
            {"role": "tool", "tool_call_id": "1", "content": "42"}
        ]))
        .unwrap();
        let tools = Tools::new(Some(vec![tool("f")]), None).unwrap();
        let plain = spelled_out(&messages, Some(&tools)).unwrap();
        let roles: Vec<&str> = plain.iter().map(|m| m.role.as_str()).collect();
        assert_eq!(roles, ["system", "user", "assistant", "user"]);
        assert!(plain[0].content.contains("\"name\":\"f\""));
        assert_eq!(plain[2].content, "<tool_call>\n{\"name\":\"f\",\"arguments\":{\"a\":1}}\n</tool_call>");
        assert_eq!(plain[3].content, "<tool_response>\n42\n</tool_response>");
    }
}
