//! `fourier-kv chat`: one message a line, on a tiny random model and on the default one.

mod support;

use std::io::Write;
use std::process::{Command, Output, Stdio};

use fourier_kv_testkit::RandomModel;
use support::models::{Place, SMALL_FOURIER, smollm2_command};
use support::*;

/// What it says to these lines.
fn talk(mut command: Command, lines: &str) -> Output {
    let mut chat = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    chat.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    chat.wait_with_output().unwrap()
}

#[test]
fn turns_go_on_from_each_other() {
    let place = Place::gguf(&RandomModel::llama());
    let words = ["--cache", SMALL_FOURIER, "--max-tokens", "6", "--json"];
    let output = talk(place.command("chat", &words), "hello\n\nthere\n/exit\nnever\n");
    assert!(output.status.success(), "{output:?}");
    let turns = json(&output)["turns"].as_array().unwrap().clone();
    assert_eq!(turns.len(), 2);
    assert_eq!((&turns[0]["user"], &turns[1]["user"]), (&"hello".into(), &"there".into()));
    let tokens = |turn: usize| turns[turn]["cache_tokens"].as_u64().unwrap();
    assert!(tokens(1) > tokens(0) + 6, "{turns:?}");
    // Without JSON the answers are the text on standard output.
    let plain = talk(place.command("chat", &words[..4]), "hello\nthere\n");
    let said: Vec<&str> = turns.iter().map(|turn| turn["assistant"].as_str().unwrap().trim()).collect();
    assert!(said.iter().all(|text| stdout(&plain).contains(text)), "{said:?} in {plain:?}");
    assert!(stderr(&plain).contains("exact would take"), "{plain:?}");
}

/// The budget is for the whole context, so all turns fit into it.
#[test]
fn turns_stay_within_the_memory_that_there_is() {
    let place = Place::gguf(&RandomModel::llama());
    let cache = ["--cache", "spectral:auto,window=16,least-middle=16,keys=2", "--max-tokens", "30", "--json"];
    let words = |memory| cache.into_iter().chain(["--cache-memory", memory]).collect::<Vec<_>>();
    let output = talk(place.command("chat", &words("60KB")), "hello there my friend\nand the sea\nand the man\n");
    let turns = json(&output)["turns"].as_array().unwrap().clone();
    assert!(
        turns.len() == 3 && turns.iter().all(|turn| turn["cache_bytes"].as_f64().unwrap() <= 60_000.0),
        "{turns:?}"
    );
    let refused = talk(place.command("chat", &words("1KB")), "hello\n");
    assert!(stdout(&refused).contains("expected a budget of at least "), "{refused:?}");
    let endless = [words("60KB"), vec!["--past-context"]].concat();
    assert_eq!(talk(place.command("chat", &endless), "hello\n").status.code(), Some(2));
}

#[test]
fn a_conversation_is_saved_and_gone_on_with() {
    let place = Place::gguf(&RandomModel::llama());
    let file = place.path("talk.session");
    let first = talk(place.command("chat", &["--max-tokens", "4", "--save-session", &file, "--json"]), "one\n");
    let before = json(&first)["turns"][0]["cache_tokens"].as_u64().unwrap();
    let second = talk(place.command("chat", &["--max-tokens", "4", "--session", &file, "--json"]), "two\n");
    assert!(json(&second)["turns"][0]["cache_tokens"].as_u64().unwrap() > before, "{second:?}");
    let refused = talk(place.command("chat", &["--session", &file, "--system", "x"]), "");
    assert_fails(&refused, 2, "--system");
}

#[test]
fn the_default_model_remembers_what_was_said() {
    let lines = "What is the capital of France?\nAnd of Italy?\n";
    let output = talk(smollm2_command("chat", &["--max-tokens", "30", "--json"]), lines);
    assert!(output.status.success(), "{output:?}");
    let answer = json(&output)["turns"][1]["assistant"].as_str().unwrap().to_owned();
    assert!(answer.contains("Rome"), "{answer}");
}
