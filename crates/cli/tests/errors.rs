//! Every wrong command line: one error, one hint, the right exit status, on the right stream.

mod support;

use std::process::Output;

use support::*;
use tempfile::TempDir;

fn run(words: &[&str]) -> Output {
    let cache = TempDir::new().unwrap();
    fourier_kv(cache.path()).args(words).output().unwrap()
}

#[test]
fn wrong_usage_is_status_two() {
    let wrong: [(&[&str], &str); 10] = [
        (&[], "expected a command"),
        (&["pul"], "unrecognized subcommand 'pul'"),
        (&["pull"], "<MODEL>"),
        (&["pull", "smollm2", "--jsn"], "unexpected argument '--jsn'"),
        (&["pull", "nothing"], "unknown model 'nothing'"),
        (&["pull", ""], "unknown model ''"),
        (&["pull", "smollm2", "--source-order", "disk"], "one of cache, hub, pip; got 'disk'"),
        (&["pull", "smollm2", "--source-order", "hub,hub"], "named twice"),
        (&["doctor", "--threads", "0"], "--threads expects 1 to 4096; got 0"),
        (&["-q", "-v", "doctor"], "cannot be used with"),
    ];
    for (words, message) in wrong {
        assert_fails(&run(words), 2, message);
    }
}

#[test]
fn a_model_that_is_not_there_or_none_is_status_one() {
    assert_fails(&run(&["pull", "no/such/place.gguf/"]), 1, "no model at no/such/place.gguf/");
    let folder = TempDir::new().unwrap();
    let path = folder.path().to_str().unwrap();
    assert_fails(&run(&["pull", path]), 1, "the folder has no config.json");
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "notes").unwrap();
    assert_fails(&run(&["pull", text.to_str().unwrap()]), 1, "the name ends otherwise");
}

#[test]
fn a_model_given_by_its_path_is_used_where_it_is() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("m.gguf");
    std::fs::write(&path, "model").unwrap();
    let output = run(&["pull", path.to_str().unwrap(), "--json"]);
    let found = json(&output);
    assert_eq!((&found["source"], &found["bytes"]), (&"local".into(), &5.into()));
    assert_eq!(found["sha256"], sha256(b"model"));
    let output = run(&["pull", path.to_str().unwrap(), "--quiet"]);
    assert_eq!(stdout(&output).trim_end(), path.to_str().unwrap());
    assert_eq!(stderr(&output), "");
}

#[test]
fn with_json_errors_are_one_object_on_standard_output() {
    for (words, code) in [(&["pull", "nothing", "--json"][..], 2), (&["--json", "pul"], 2)] {
        let output = run(words);
        assert_eq!(output.status.code(), Some(code));
        let error = &json(&output)["error"];
        assert!(error["message"].is_string() && error["hint"].is_string(), "{error}");
        assert_eq!(stderr(&output), "");
    }
}

#[test]
fn wrong_variables_are_named() {
    let cache = TempDir::new().unwrap();
    let mut command = fourier_kv(cache.path());
    let output = command.env("FOURIER_KV_LOG", "a=[").arg("doctor").output().unwrap();
    assert_fails(&output, 2, "FOURIER_KV_LOG: ");
    let mut command = fourier_kv(cache.path());
    command.env("FOURIER_KV_SOURCES", "x");
    assert_fails(&command.args(["pull", "smollm2"]).output().unwrap(), 2, "FOURIER_KV_SOURCES: ");
    let mut command = fourier_kv(cache.path());
    command.env_remove("XDG_CACHE_HOME").env_remove("HOME").args(["pull", "smollm2"]);
    assert_fails(&command.output().unwrap(), 1, "neither XDG_CACHE_HOME nor HOME is set");
}
