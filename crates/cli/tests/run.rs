//! `fourier-kv run` on tiny random models: what it reads, what it prints, how it ends.

mod support;

use std::io::Write;
use std::process::Stdio;

use fourier_kv_testkit::RandomModel;
use serde_json::Value;
use support::models::{Place, SMALL_FOURIER};
use support::*;

const LINE: &str = "the man and the sea were one in the end. ";

fn places() -> [Place; 4] {
    let (llama, qwen2) = (RandomModel::llama(), RandomModel::qwen2());
    [Place::gguf(&llama), Place::gguf(&qwen2), Place::safetensors(&llama), Place::safetensors(&qwen2)]
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn every_family_and_format_answers() {
    for place in places() {
        let text = place.write("long.txt", LINE.repeat(5));
        let words = ["--file", &text, "why", "not?", "--max-tokens", "9", "--cache", SMALL_FOURIER];
        let report = place.json("run", &words);
        assert_eq!(report["model"], place.model());
        assert!(number(&report["prompt_tokens"]) > 100.0);
        assert!(["length", "end"].contains(&report["finish"].as_str().unwrap()), "{report}");
        assert!(number(&report["cache"]["bytes_by_kind"]["coefficients"]) > 0.0, "{report}");
        let plain = place.run("run", &words);
        assert_eq!(stdout(&plain).trim_end_matches('\n'), report["text"].as_str().unwrap().trim_end_matches('\n'));
        assert!(stderr(&plain).contains("cache ") && stderr(&plain).contains(" · prefill "), "{plain:?}");
    }
}

#[test]
fn the_report_adds_up() {
    let place = Place::gguf(&RandomModel::llama());
    let text = place.write("long.txt", LINE.repeat(4));
    let report = place.json("run", &["--raw", "--file", &text, "--max-tokens", "1", "--cache", SMALL_FOURIER]);
    let cache = &report["cache"];
    let tokens = number(&report["prompt_tokens"]);
    // One token is chosen from the prompt's logits: nothing is computed after it.
    assert_eq!((number(&cache["tokens"]), &report["decode_tokens_per_second"]), (tokens, &Value::Null));
    // 2 sides, 2 layers, 2 heads of 8 dims, 2 bytes each.
    assert_eq!(number(&cache["exact_bytes"]), tokens * 128.0);
    let by_kind = cache["bytes_by_kind"].as_object().unwrap();
    assert_eq!(by_kind.values().map(number).sum::<f64>(), number(&cache["bytes"]));
    assert_eq!(number(&cache["ratio"]), tokens * 128.0 / number(&cache["bytes"]));
    // What `inspect` foretells is what was held.
    let context = report["prompt_tokens"].to_string();
    let foretold = place.json("inspect", &["--cache", SMALL_FOURIER, "--context", &context]);
    assert_eq!(foretold["caches"][0]["sizes"][0]["bytes_by_kind"], cache["bytes_by_kind"]);
    assert_eq!(foretold["caches"][0]["kind"], cache["kind"]);
}

/// A budget of memory chooses the bits, and is kept; of one that is too small it is said which would do.
#[test]
fn memory_chooses_the_rate() {
    let place = Place::gguf(&RandomModel::llama());
    let text = place.write("long.txt", LINE.repeat(8));
    let words = |memory: &'static str| {
        let cache = ["--cache", "spectral:auto,window=16,least-middle=16", "--cache-memory", memory];
        ["--raw", "--file", &text, "--max-tokens", "30"].into_iter().chain(cache).collect::<Vec<_>>()
    };
    let refused = place.run("run", &words("1KB"));
    assert_fails(&refused, 1, "expected a budget of at least ");
    let said = stderr(&refused);
    let least = said.split("--cache-memory ").nth(1).unwrap().split(',').next().unwrap();
    let [tight, ample] =
        [least.to_owned().leak(), "10MB"].map(|memory| place.json("run", &words(memory))["cache"].clone());
    let kind = |cache: &Value| cache["kind"].as_str().unwrap().to_owned();
    assert!(kind(&tight).starts_with("spectral:bits=0.5,") && kind(&ample).starts_with("spectral:bits=8,"));
    assert!(number(&tight["bytes_by_kind"]["codes"]) > 0.0);
    assert!(number(&tight["bytes"]) <= number(&least.trim_end_matches('B').parse::<f64>().unwrap().into()), "{said}");
    place.fails("run", &["why", "--cache", "spectral:2", "--cache-memory", "1MB"], 2, "--cache-memory has no effect");
}

#[test]
fn standard_input_is_read() {
    let place = Place::gguf(&RandomModel::llama());
    let mut command = place.command("run", &["--file", "-", "--raw", "--json", "--max-tokens", "1"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"the sea and the man").unwrap();
    let piped = json(&child.wait_with_output().unwrap());
    let typed = place.json("run", &["--raw", "--max-tokens", "1", "the sea and the man"]);
    assert_eq!((&piped["text"], &piped["prompt_tokens"]), (&typed["text"], &typed["prompt_tokens"]));
}

#[test]
fn seeds_decide_and_greed_does_not_need_them() {
    let place = Place::gguf(&RandomModel::qwen2());
    let text = |words: &[&str]| {
        let words: Vec<&str> = ["the sea", "--max-tokens", "40"].iter().chain(words).copied().collect();
        place.json("run", &words)["text"].as_str().unwrap().to_owned()
    };
    let seeded = |seed| text(&["--temperature", "1.5", "--seed", seed]);
    assert_eq!(seeded("7"), seeded("7"));
    assert_ne!(seeded("7"), seeded("8"));
    assert_eq!(text(&["--seed", "1"]), text(&["--seed", "2", "--greedy"]));
    assert_ne!(text(&[]), seeded("7"));
}

/// Each level that the machine has says so and answers; one that it lacks is refused with a hint.
#[test]
fn instructions_can_be_chosen() {
    use fourier_kv_engine::kernels::isa::Isa;
    let place = Place::gguf(&RandomModel::llama());
    let available: Vec<String> = Isa::available().iter().map(Isa::to_string).collect();
    for (level, name) in [("scalar", "portable"), ("avx2", "AVX2"), ("avx512", "AVX-512")] {
        let words = ["the sea", "--max-tokens", "4", "--cpu", level];
        match available.iter().rfind(|isa| isa.starts_with(name)) {
            Some(best) => {
                let report = place.json("run", &words);
                assert_eq!((&report["instructions"], &report["generated_tokens"]), (&best.as_str().into(), &4.into()));
            }
            None => {
                place.fails("run", &words, 2, &format!("this machine cannot compute with --cpu {level}"));
                assert!(stderr(&place.run("run", &words)).contains("leave --cpu out"));
            }
        }
    }
    let automatic = place.json("run", &["the sea", "--max-tokens", "1"]);
    assert_eq!(automatic["instructions"], available.last().unwrap().as_str());
}

#[test]
fn the_template_and_the_system_message_are_used() {
    let place = Place::gguf(&RandomModel::llama());
    let tokens = |words: &[&str]| number(&place.json("run", words)["prompt_tokens"]);
    let (raw, chat) = (tokens(&["--raw", "the sea"]), tokens(&["the sea"]));
    let system = tokens(&["--system", "be kind", "the sea"]);
    assert!(raw < chat && chat < system, "{raw} {chat} {system}");
}

#[test]
fn a_stop_text_ends_the_answer_and_is_not_in_it() {
    let place = Place::gguf(&RandomModel::llama());
    let whole = place.json("run", &["the sea", "--max-tokens", "30", "--raw"]);
    let whole = whole["text"].as_str().unwrap().to_owned();
    let at = whole.char_indices().nth(4).unwrap().0;
    let stop: String = whole[at..].chars().take(2).collect();
    let report = place.json("run", &["the sea", "--max-tokens", "30", "--raw", "--stop", &stop]);
    assert_eq!(report["text"], whole[..whole.find(&stop).unwrap()]);
    assert_eq!((&report["finish"], &report["stop"]), (&"stop".into(), &stop.into()));
}

#[test]
fn a_full_context_ends_the_answer_unless_told_otherwise() {
    let place = Place::gguf(&RandomModel { context: 40, ..RandomModel::llama() });
    let prompt = ["--raw", "the sea and the man and the end", "--cache", SMALL_FOURIER, "--max-tokens", "60"];
    let report = place.json("run", &prompt);
    assert_eq!(report["finish"], "context", "{report}");
    assert_eq!(number(&report["prompt_tokens"]) + number(&report["generated_tokens"]), 40.0);
    assert!(stderr(&place.run("run", &prompt)).contains("the model's context of 40 tokens is full"));
    let words: Vec<&str> = prompt.into_iter().chain(["--past-context"]).collect();
    assert!(number(&place.json("run", &words)["cache"]["tokens"]) > 40.0);
}

#[test]
fn quiet_prints_the_answer_alone() {
    let place = Place::gguf(&RandomModel::llama());
    let output = place.run("run", &["--quiet", "the sea", "--max-tokens", "3"]);
    assert!(output.status.success() && !output.stdout.is_empty());
    assert_eq!(stderr(&output), "");
}

#[test]
fn a_plan_is_used() {
    let place = Place::gguf(&RandomModel::llama());
    let text = place.write("text.txt", LINE.repeat(12));
    let plan = place.path("a.plan");
    let settings = ["--cache", SMALL_FOURIER];
    let made = ["--text", &text, "-o", &plan, "--sequence", "128"];
    let made: Vec<&str> = made.into_iter().chain(settings).collect();
    assert!(place.run("calibrate", &made).status.success());
    let report = place.json("run", &["the sea and the man and the end", "--plan", &plan, "--cache", SMALL_FOURIER]);
    assert_eq!(report["cache"]["plan"], plan);
}
