//! Running the real program, in surroundings of the test's own.
#![allow(dead_code, reason = "each test file uses its own part of this")]
#![allow(missing_docs, unreachable_pub, reason = "test support")]

pub mod hub;
pub mod models;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use sha2::{Digest, Sha256};

/// Variables that would let this machine's surroundings into a test.
const FOREIGN: [&str; 13] = [
    "FOURIER_KV_API_KEY",
    "HF_TOKEN",
    "HF_ENDPOINT",
    "FOURIER_KV_LOG",
    "FOURIER_KV_SOURCES",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "COLUMNS",
    "XDG_CACHE_HOME",
];

/// The program, with its cache below `cache` and its hub where nobody listens.
pub fn fourier_kv(cache: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fourier-kv"));
    in_surroundings(&mut command, cache);
    command
}

/// Gives `command` a cache of its own and takes this machine's settings away.
pub fn in_surroundings(command: &mut Command, cache: &Path) {
    FOREIGN.iter().for_each(|name| {
        command.env_remove(name);
    });
    // Port 9 (discard) of this machine refuses at once.
    command.env("XDG_CACHE_HOME", cache).env("HF_ENDPOINT", "http://127.0.0.1:9");
    command.stdin(Stdio::null());
}

/// Where the program keeps models, given its cache folder.
pub fn models(cache: &Path) -> PathBuf {
    cache.join("fourier-kv-models")
}

/// Names in the model cache, sorted; empty where it is not there.
pub fn cached_names(cache: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(models(cache)).into_iter().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The one JSON object on standard output.
pub fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// Asserts that it failed with `code`, saying `message`, and with a hint.
pub fn assert_fails(output: &Output, code: i32, message: &str) {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.starts_with("error: ") && said.contains("\n\nhint: "), "{said}");
    assert!(said.contains(message), "expected {message:?} in {said}");
    assert_eq!(stdout(output), "");
}

/// Bytes that do not compress and differ everywhere.
pub fn content(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
