//! `fourier-kv doctor`: what it reports can be true, and comes quickly.

mod support;

use std::sync::Mutex;
use std::time::{Duration, Instant};

use support::*;
use tempfile::TempDir;

/// One measurement at a time: two would slow each other down.
static MEASURING: Mutex<()> = Mutex::new(());

#[test]
fn the_report_is_plausible_and_quick() {
    let _alone = MEASURING.lock();
    let cache = TempDir::new().unwrap();
    std::fs::create_dir_all(models(cache.path())).unwrap();
    std::fs::write(models(cache.path()).join("m.gguf"), [0; 123]).unwrap();
    let start = Instant::now();
    let output = fourier_kv(cache.path()).args(["doctor", "--json", "--threads", "2"]).output();
    let took = start.elapsed();
    let report = json(&output.unwrap());
    // Three seconds are the aim; twice that on a machine with other work.
    assert!(took < Duration::from_secs(6), "{took:?}");
    assert!(report["cpu"]["cores"].as_u64().unwrap() >= 1);
    // A fast disk at the least, and less than any memory of one machine.
    for rate in ["read_bytes_per_second", "copy_bytes_per_second"] {
        let rate = report["bandwidth"][rate].as_f64().unwrap();
        assert!(rate > 1e8 && rate < 1e14, "{rate}");
    }
    let rate = report["matrix_rate"]["operations_per_second"].as_f64().unwrap();
    assert!(rate > 1e8 && rate < 1e15, "{rate}");
    assert_eq!(report["bandwidth"]["threads"], 2);
    assert_eq!(report["models"]["models"][0]["name"], "m.gguf");
    assert_eq!(report["models"]["models"][0]["bytes"], 123);
    assert_eq!(report["graphics"]["used"], false);
}

#[test]
fn the_text_says_what_would_be_used() {
    let _alone = MEASURING.lock();
    let cache = TempDir::new().unwrap();
    let output = fourier_kv(cache.path()).arg("doctor").output().unwrap();
    let text = stdout(&output);
    for words in ["processor ", "memory ", "matrices ", "GPU ", "would be used\n  device: cpu ("] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(text.contains("none yet: 'fourier-kv pull smollm2'"), "{text}");
}
