//! `fourier-kv run` on the real default model.

mod support;

use std::sync::Mutex;

use serde_json::Value;
use support::models::{paragraphs, smollm2};
use support::*;

/// One at a time: each uses all cores.
static ALONE: Mutex<()> = Mutex::new(());

fn answer(text: &str, words: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("long.txt");
    std::fs::write(&file, text).unwrap();
    let output = smollm2(&["--json", "--file", file.to_str().unwrap()]).args(words).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    json(&output)
}

fn number(report: &Value, pointer: &str) -> f64 {
    report.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("{pointer} in {report}"))
}

#[test]
fn a_long_text_is_kept_in_a_fraction() {
    let _alone = ALONE.lock();
    let words = ["What was cleaned?", "--cache", "fourier:window=256,harmonics=128", "--max-tokens", "12"];
    let report = answer(&paragraphs(116), &words);
    let (tokens, prompt) = (number(&report, "/cache/tokens"), number(&report, "/prompt_tokens"));
    assert!((2400.0..2900.0).contains(&prompt), "{prompt}");
    let generated = number(&report, "/generated_tokens");
    assert!(generated > 0.0 && generated <= 12.0);
    // The last token chosen is not computed with, unless the model ended its answer after it.
    let past = prompt + generated - if report["finish"] == "length" { 1.0 } else { 0.0 };
    assert_eq!(tokens, past);
    // 2 sides, 30 layers, 3 heads of 64 dims, 2 bytes each.
    assert_eq!(number(&report, "/cache/exact_bytes"), tokens * 23_040.0);
    let ratio = number(&report, "/cache/ratio");
    // By hand: of 2,550 tokens 260 to 330 are exact, 23 % of the dims of the others, and 128 of 2,240 as a spectrum.
    assert!((2.3..3.2).contains(&ratio), "{ratio}");
    let quotient = number(&report, "/cache/exact_bytes") / number(&report, "/cache/bytes");
    // Reading a number back from JSON may change its last bit.
    assert!((ratio / quotient - 1.0).abs() < 1e-12, "{ratio} is not {quotient}");
    let spectra = number(&report, "/cache/bytes_by_kind/coefficients");
    assert!(spectra > 0.0 && spectra < 0.1 * number(&report, "/cache/exact_bytes"), "{spectra}");
    for pointer in ["/prefill_seconds", "/decode_seconds", "/prefill_tokens_per_second", "/decode_tokens_per_second"] {
        assert!(number(&report, pointer) > 0.0, "{pointer}");
    }
    let prefill = prompt / number(&report, "/prefill_seconds");
    assert!((number(&report, "/prefill_tokens_per_second") / prefill - 1.0).abs() < 1e-9);
    assert_eq!(number(&report, "/weights_bytes"), 96_576_768.0);
    if cfg!(target_os = "linux") {
        assert!(number(&report, "/peak_rss_bytes") > number(&report, "/cache/bytes"));
    }
}

#[test]
fn greedy_answers_are_the_same_every_time_on_any_number_of_threads() {
    let _alone = ALONE.lock();
    let ask = |threads| {
        let words = ["What was painted?", "--cache", "fourier:window=64,harmonics=32", "--max-tokens", "24"];
        let report = answer(&paragraphs(12), &[&words[..], &["--threads", threads]].concat());
        assert!(number(&report, "/cache/bytes_by_kind/coefficients") > 0.0);
        assert_eq!(number(&report, "/threads").to_string(), threads);
        (report["text"].clone(), report["cache"]["bytes"].clone())
    };
    let first = ask("1");
    assert!(first.0.as_str().unwrap().len() > 5, "{first:?}");
    assert_eq!(ask("1"), first);
    assert_eq!(ask("2"), first);
}

#[test]
fn an_exact_cache_answers_a_plain_question_and_ends_by_itself() {
    let _alone = ALONE.lock();
    let ask = |words: &[&str]| {
        json(&smollm2(&["--json", "What is the capital of France?", "--cache", "exact"]).args(words).output().unwrap())
    };
    let report = ask(&[]);
    assert!(report["text"].as_str().unwrap().contains("Paris"), "{report}");
    assert_eq!((&report["finish"], &report["cache"]["kind"]), (&"end".into(), &"exact:bf16".into()));
    let stopped = ask(&["--stop", "Par"]);
    assert_eq!(stopped["finish"], "stop");
    assert!(!stopped["text"].as_str().unwrap().contains("Par"), "{stopped}");
}
