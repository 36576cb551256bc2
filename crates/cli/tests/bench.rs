//! `fourier-kv bench` on a tiny random model.

mod support;

use fourier_kv_testkit::RandomModel;
use support::models::{Place, SMALL_FOURIER};
use support::*;

#[test]
fn every_cache_and_context_has_a_row_that_adds_up() {
    let place = Place::gguf(&RandomModel::llama());
    let words = ["--cache", "exact", "--cache", SMALL_FOURIER, "--context", "100,200", "--tokens", "5"];
    let report = place.json("bench", &words);
    assert_eq!((&report["device"], &report["model"]), (&"cpu".into(), &place.model().into()));
    let rows = report["rows"].as_array().unwrap();
    let seen: Vec<_> =
        rows.iter().map(|row| (row["cache"].as_str().unwrap(), row["context"].as_u64().unwrap())).collect();
    assert!(seen[0].0.starts_with("exact") && seen[2].0.starts_with("fourier"), "{seen:?}");
    assert_eq!(seen.iter().map(|row| row.1).collect::<Vec<_>>(), [100, 200, 100, 200]);
    for row in rows {
        let number = |name: &str| row[name].as_f64().unwrap();
        assert_eq!(row["step_milliseconds"].as_array().unwrap().len(), 5);
        let rate = number("context") / number("prompt_seconds");
        assert!((number("prompt_tokens_per_second") / rate - 1.0).abs() < 1e-9, "{row}");
        assert!(number("decode_tokens_per_second") > 0.0);
        // 2 sides, 2 layers, 2 heads of 8 dims, 2 bytes each; the prompt and five tokens.
        assert_eq!(number("exact_bytes"), (number("context") + 5.0) * 128.0);
    }
    let plain = place.run("bench", &words);
    assert_eq!(stdout(&plain).lines().count(), 1 + 4, "{plain:?}");
    assert!(stdout(&plain).contains("100 tokens: prompt ") && stdout(&plain).contains(" tok/s · decode "), "{plain:?}");
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let place = Place::gguf(&RandomModel::llama());
    place.fails("bench", &["--tokens", "0"], 2, "--tokens expects 1 to 1048576");
    place.fails("bench", &["--context", "many"], 2, "--context");
    place.fails("bench", &["--cache", "magic"], 2, "got `magic`");
    place.fails("bench", &["--device", "cuda", "--cache", "spectral"], 2, "--device cuda");
}
