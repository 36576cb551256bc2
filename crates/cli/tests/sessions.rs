//! `run --save-session` and `run --session`: what was read once is not read again.

mod support;

use fourier_kv_testkit::RandomModel;
use support::models::{Place, SMALL_FOURIER};
use support::*;

const LINE: &str = "the man and the sea were one in the end. ";

#[test]
fn a_session_is_gone_on_with() {
    let place = Place::gguf(&RandomModel::llama());
    let text = place.write("long.txt", LINE.repeat(3));
    let session = place.path("a.fkvs");
    let first = ["--file", &text, "why?", "--max-tokens", "9", "--cache", SMALL_FOURIER, "--save-session", &session];
    let first = place.json("run", &first);
    assert_eq!(first["saved_session"]["path"], session.as_str());
    assert_eq!(first["saved_session"]["bytes"], std::fs::metadata(&session).unwrap().len());
    let held = first["cache"]["tokens"].as_u64().unwrap();
    // All of the answer is in the file, the last token as well.
    let second = ["and now?", "--max-tokens", "5", "--session", &session, "--save-session", &session];
    let second = place.json("run", &second);
    assert_eq!(second["cache"]["kind"], first["cache"]["kind"]);
    let (turn, answer) = (second["prompt_tokens"].as_u64().unwrap(), second["generated_tokens"].as_u64().unwrap());
    let now = second["cache"]["tokens"].as_u64().unwrap();
    assert_eq!(now, held + turn + answer);
    assert_eq!(held, first["prompt_tokens"].as_u64().unwrap() + first["generated_tokens"].as_u64().unwrap());
    assert!(turn < first["prompt_tokens"].as_u64().unwrap(), "the text is not read again");
    let plain = place.run("run", &["--raw", "and then", "--session", &session, "--max-tokens", "2"]);
    assert!(plain.status.success() && stderr(&plain).contains("cache "), "{plain:?}");
    let saved = place.run("run", &["so?", "--max-tokens", "2", "--save-session", &session]);
    assert!(stderr(&saved).contains(&format!(" · session saved in {session} (")), "{saved:?}");
    assert!(!place.names().iter().any(|name| name.ends_with(".part")));
}

/// A session can be gone on with any number of times, on any number of threads, to the same answer.
#[test]
fn a_file_is_only_read() {
    let place = Place::gguf(&RandomModel::qwen2());
    let session = place.path("a.fkvs");
    let ask = |words: &[&str]| place.json("run", &[&["--raw", "--max-tokens", "12"], words].concat());
    ask(&["the sea", "--cache", SMALL_FOURIER, "--save-session", &session]);
    let before = std::fs::read(&session).unwrap();
    let again = |words: &[&str]| ask(&[&["the man", "--session", &session], words].concat());
    let (one, other) = (again(&[]), again(&["--threads", "1"]));
    assert_eq!((&one["text"], &one["cache"]), (&other["text"], &other["cache"]));
    assert_eq!(std::fs::read(&session).unwrap(), before);
}

#[test]
fn what_does_not_go_together_is_told() {
    let place = Place::gguf(&RandomModel::llama());
    let session = place.path("a.fkvs");
    assert!(place.run("run", &["why", "--max-tokens", "2", "--save-session", &session]).status.success());
    let no_session = place.path("none.fkvs");
    for (words, message) in [
        (&["--cache", "exact", "--session", &session][..], "'--cache <KIND>' cannot be used with '--session <FILE>'"),
        (&["--session", &session, "--plan", "p"], "'--session <FILE>' cannot be used with '--plan <FILE>'"),
        (&["--session", &session, "--system", "x"], "'--session <FILE>' cannot be used with '--system <TEXT>'"),
        (&["--session", &no_session], "--session: there is no file"),
        (&["--save-session", "no/such/folder/a.fkvs"], "--save-session expects a file in a folder that is there"),
    ] {
        let words = [&["why"], words].concat();
        let output = place.run("run", &words);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        let order =
            message.split("' cannot be used with '").map(|option| option.trim_matches('\'')).all(|o| said.contains(o));
        assert!(order && said.contains("\n\nhint: "), "expected {message:?} in {said}");
    }
}

#[test]
fn damaged_and_foreign_sessions_are_refused_with_a_hint() {
    let (place, other) = (Place::gguf(&RandomModel::llama()), Place::gguf(&RandomModel::qwen2()));
    let session = place.path("a.fkvs");
    assert!(place.run("run", &["why", "--max-tokens", "2", "--save-session", &session]).status.success());
    other.fails("run", &["why", "--session", &session], 1, "was made with the model");
    let mut bytes = std::fs::read(&session).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    let damaged = place.write("damaged.fkvs", &bytes);
    place.fails("run", &["why", "--session", &damaged], 1, "the parked session is damaged");
    let cut = place.write("cut.fkvs", &bytes[..100]);
    place.fails("run", &["why", "--session", &cut], 1, "the parked session is not whole");
    let text = place.write("text.txt", LINE);
    place.fails("run", &["why", "--session", &text], 1, "expected a parked session, got something else");
    assert!(stderr(&place.run("run", &["why", "--session", &text])).contains("--save-session FILE"));
    let folder = place.path("");
    assert_eq!(place.run("run", &["why", "--session", &folder]).status.code(), Some(2));
}
