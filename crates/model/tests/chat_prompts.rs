//! Chat templates against goldens rendered by Hugging Face's own environment
//! (`tools/goldens/chat_prompts.py`), and templates that mean harm.

#[path = "shared/cached_models.rs"]
mod cached_models;

use cached_models::cached_model;
use fourier_kv_model::chat::{ChatError, ChatTemplate, Message};
use fourier_kv_model::source;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::time::{Duration, Instant, UNIX_EPOCH};

#[derive(Deserialize)]
struct Goldens {
    bos: String,
    eos: String,
    conversations: Vec<Vec<(String, String)>>,
    tools: Value,
    real: Vec<Real>,
    own: Vec<Own>,
}

#[derive(Deserialize)]
struct Real {
    file: String,
    /// Each conversation without and with the generation prompt.
    prompts: Vec<String>,
    /// The second conversation with tools.
    with_tools: Option<String>,
}

#[derive(Deserialize)]
struct Own {
    name: String,
    source: String,
    /// Each conversation; `None` where the template refuses.
    prompts: Vec<Option<String>>,
}

fn goldens() -> Goldens {
    serde_json::from_str(include_str!("goldens/chat_prompts.json")).unwrap()
}

fn messages(conversation: &[(String, String)]) -> Vec<Message> {
    conversation.iter().map(|(role, content)| Message::new(role, content)).collect()
}

fn tools(goldens: &Goldens) -> Map<String, Value> {
    Map::from_iter([("tools".to_owned(), goldens.tools.clone())])
}

fn render(source: &str, messages: &[Message]) -> Result<String, ChatError> {
    ChatTemplate::new(source, "", "")?.render(messages, true, &Map::new())
}

#[test]
fn real_templates_render_as_published() {
    let goldens = goldens();
    for golden in &goldens.real {
        let Some(path) = cached_model(&golden.file) else {
            continue;
        };
        let source = source::open(&path).unwrap().chat_template.unwrap();
        let template = ChatTemplate::new(&source, &goldens.bos, &goldens.eos).unwrap();
        for (i, conversation) in goldens.conversations.iter().enumerate() {
            for (add_generation_prompt, j) in [(false, 0), (true, 1)] {
                let messages = messages(conversation);
                let prompt = template.render(&messages, add_generation_prompt, &Map::new());
                assert_eq!(prompt.unwrap(), golden.prompts[2 * i + j], "{}", golden.file);
            }
        }
        if let Some(expected) = &golden.with_tools {
            let messages = messages(&goldens.conversations[1]);
            let prompt = template.render(&messages, true, &tools(&goldens)).unwrap();
            assert_eq!(&prompt, expected, "{}", golden.file);
        }
    }
}

#[test]
fn habits_of_templates_render_as_in_python() {
    let goldens = goldens();
    for golden in &goldens.own {
        let template = ChatTemplate::new(&golden.source, &goldens.bos, &goldens.eos).unwrap();
        for (conversation, expected) in goldens.conversations.iter().zip(&golden.prompts) {
            let prompt = template.render(&messages(conversation), true, &tools(&goldens));
            match expected {
                Some(expected) => assert_eq!(&prompt.unwrap(), expected, "{}", golden.name),
                None => assert!(matches!(prompt, Err(ChatError::Refused(_))), "{}", golden.name),
            }
        }
    }
}

#[test]
fn chatml() {
    let conversation = [Message::new("system", "Be kind."), Message::new("user", "{{ Hi }}")];
    let template = ChatTemplate::chatml();
    let prompt = template.render(&conversation, true, &Map::new()).unwrap();
    let turns = "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\n{{ Hi }}<|im_end|>\n";
    assert_eq!(prompt, format!("{turns}<|im_start|>assistant\n"));
    assert_eq!(template.render(&conversation, false, &Map::new()).unwrap(), turns);
    assert_eq!(template.render(&[], false, &Map::new()).unwrap(), "");
}

#[test]
fn variables_from_the_caller() {
    let source = "{{ bos_token }}{{ mood }}{{ messages | length }}{{ add_generation_prompt }}";
    let template = ChatTemplate::new(source, "<s>", "").unwrap();
    let extra = json!({"mood": "calm", "messages": [1, 2, 3], "add_generation_prompt": "no"});
    let prompt = template.render(&[], false, extra.as_object().unwrap());
    assert_eq!(prompt.unwrap(), "<s>calm0False");
}

#[test]
fn the_clock_can_be_set() {
    let template = ChatTemplate::new("{{ strftime_now('%d %b %Y') }}", "", "").unwrap();
    let today = template.render(&[], false, &Map::new()).unwrap();
    assert_eq!(today.len(), "26 Jul 2024".len());
    let template = template.with_clock(UNIX_EPOCH + Duration::from_secs(1_721_952_000));
    assert_eq!(template.render(&[], false, &Map::new()).unwrap(), "26 Jul 2024");
}

#[test]
fn errors_say_what_is_wrong() {
    let syntax = ChatTemplate::new("line\n{% for %}", "", "").unwrap_err();
    assert!(matches!(syntax, ChatError::Syntax { line: 2, .. }), "{syntax}");
    let refused = render("{{ raise_exception('No system, please') }}", &[]).unwrap_err();
    assert_eq!(refused, ChatError::Refused("No system, please".into()));
    for source in ["\n{{ nothing.at.all }}", "\n{{ 'a' | no_such_filter }}", "\n{{ f() }}"] {
        let failed = render(source, &[]).unwrap_err();
        assert!(matches!(failed, ChatError::Failed { line: 2, .. }), "{failed}");
    }
    let long = "x".repeat(2 << 20);
    assert!(matches!(ChatTemplate::new(&long, "", ""), Err(ChatError::TooLong { .. })));
}

#[test]
fn hostile_templates_are_refused_in_time() {
    let sources = [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% for i in range(99999) %}{{ 'x' * 99999999 }}{% endfor %}",
        "{{ range(1000000000000) | list }}",
        "{% include 'itself' %}",
        "{{ 'x' | tojson(indent=[]) }}",
    ];
    for source in sources {
        let start = Instant::now();
        let result = render(source, &[Message::new("user", "x")]);
        assert!(result.is_err(), "{source}");
        assert!(start.elapsed() < Duration::from_secs(20), "{source}");
    }
}

/// Whether these parse is the library's affair; that none overflows the stack is ours.
#[test]
fn deep_templates_do_not_overflow_the_stack() {
    const LONGEST: usize = 1 << 16;
    const LONGEST_TAG: usize = 1 << 13;
    let blocks = ["{% if x %}", "{% for x in y %}", "{% if x %}{% else %}{% if y %}"];
    for block in blocks {
        let _ = render(&block.repeat(LONGEST / block.len()), &[]);
    }
    let before = ["(", "[", "x if y else ", "-", "not "].map(|prefix| (prefix, ""));
    let after = [".y", "|f", "[0]", " is x", "(x)", "+1", "~x", "**x", " and x", "+'}}'"];
    for (prefix, suffix) in before.into_iter().chain(after.map(|suffix| ("", suffix))) {
        let length = if suffix.contains('}') { LONGEST } else { LONGEST_TAG };
        let repeats = (length - 8) / (prefix.len() + suffix.len());
        let source = format!("{{{{ {}x{} }}}}", prefix.repeat(repeats), suffix.repeat(repeats));
        let result = render(&source, &[]);
        assert!(!matches!(result, Err(ChatError::TooLong { .. })));
        let longer = format!("{{{{ x{} }}}}", "+1".repeat(LONGEST_TAG / 2));
        assert!(matches!(render(&longer, &[]), Err(ChatError::TooLong { .. })));
    }
}

/// Values nested as deep as the steps allow overflow no stack, whatever is done with them.
#[test]
fn deep_values_do_not_overflow_the_stack() {
    for end in ["", "{{ ns.x }}", "{{ ns.x | tojson }}", "{{ ns.x == ns.y }}", "{{ ns.x | string }}"] {
        for wrap in ["[ns.x]", "{'k': ns.x}"] {
            let grow = |name: &str| format!("{{% set ns.{name} = {wrap} %}}");
            let (x, y) = (grow("x"), grow("y").replace("ns.x]", "ns.y]").replace("ns.x}", "ns.y}"));
            let source =
                format!("{{% set ns = namespace(x=1, y=1) %}}{{% for i in range(99999) %}}{x}{y}{{% endfor %}}{end}");
            // Ending at all is the point: some of these are refused, some render.
            let _ = render(&source, &[]);
            let source = source.replace("99999", "20000");
            let _ = render(&source, &[]);
        }
    }
}
