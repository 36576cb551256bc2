//! Help texts, word for word. After a change that is meant:
//! `UPDATE_GOLDENS=1 cargo test -p fourier-kv --test help`, then look at the difference.

mod support;

use std::path::Path;

use support::*;
use tempfile::TempDir;

/// The text of `fourier-kv WORDS --help` is that of tests/goldens/help_NAME.txt.
fn assert_golden(name: &str, words: &[&str]) {
    let cache = TempDir::new().unwrap();
    let output = fourier_kv(cache.path()).args(words).arg("--help").output().unwrap();
    assert!(output.status.success());
    let file = format!("tests/goldens/help_{name}.txt");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join(&file);
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::write(&golden, stdout(&output)).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap();
    assert_eq!(stdout(&output), expected, "{file}");
}

#[test]
fn help_of_the_program() {
    assert_golden("program", &[]);
}

#[test]
fn help_of_run() {
    assert_golden("run", &["run"]);
}

#[test]
fn help_of_bench() {
    assert_golden("bench", &["bench"]);
}

#[test]
fn help_of_chat() {
    assert_golden("chat", &["chat"]);
}

#[test]
fn help_of_serve() {
    assert_golden("serve", &["serve"]);
}

#[test]
fn help_of_inspect() {
    assert_golden("inspect", &["inspect"]);
}

#[test]
fn help_of_calibrate() {
    assert_golden("calibrate", &["calibrate"]);
}

#[test]
fn help_of_eval() {
    assert_golden("eval", &["eval"]);
}

#[test]
fn help_of_pull() {
    assert_golden("pull", &["pull"]);
}

#[test]
fn help_of_doctor() {
    assert_golden("doctor", &["doctor"]);
}

#[test]
fn the_version_is_the_packages() {
    let cache = TempDir::new().unwrap();
    let output = fourier_kv(cache.path()).arg("--version").output().unwrap();
    assert_eq!(stdout(&output), format!("fourier-kv {}\n", env!("CARGO_PKG_VERSION")));
}
