//! `fourier-kv eval`: results, what goes on after a kill, and what is refused.

mod support;

use std::process::Stdio;
use std::time::{Duration, Instant};

use fourier_kv_testkit::RandomModel;
use support::models::Place;
use support::*;

const TEXT: &str = "the sea and the man and the end of the one in the other, said the old man. ";
const CACHES: &str = "fourier:window=64,harmonics=8,least-middle=64,int4,snapkv:window=8";

fn place() -> Place {
    Place::gguf(&RandomModel { context: 4096, ..RandomModel::llama() })
}

/// Options of a small evaluation of the text in `text`.
fn ppl<'a>(text: &'a str, output: &'a str) -> Vec<&'a str> {
    let sizes = ["--prefix", "500", "--continuation", "40", "--items", "2"];
    ["ppl", "--text", text, "-o", output, "--cache", CACHES, "--ratio", "2,4"].into_iter().chain(sizes).collect()
}

#[test]
fn quality_stands_beside_bytes() {
    let place = place();
    let text: String = (0..80).map(|i| format!("{i}: {TEXT}")).collect();
    let (text, output) = (place.write("sea.txt", text), place.path("out"));
    let report = place.json("eval", &ppl(&text, &output));
    let entries = report["entries"].as_array().unwrap();
    let caches: Vec<&str> = entries.iter().map(|entry| entry["cache"].as_str().unwrap()).collect();
    // Those whose size was asked for come after the others.
    let fourier = ["2", "4"].map(|r| format!("fourier:window=64,harmonics=8,least-middle=64,ratio={r}"));
    let snapkv = ["2", "4"].map(|r| format!("snapkv:window=8,ratio={r}"));
    assert_eq!(caches, ["exact", "int4", &fourier[0], &snapkv[0], &fourier[1], &snapkv[1]]);
    for entry in entries {
        let of = |name: &str| entry[name].as_f64().unwrap_or(f64::NAN);
        assert_eq!((of("items"), entry["task"].as_str()), (2.0, Some("ppl:sea")));
        assert!((of("ratio") - of("exact_bytes") / of("bytes")).abs() < 1e-9, "{entry}");
        assert!((of("bits_per_element") * of("ratio") - 16.0).abs() < 1e-9, "{entry}");
        assert!(of("ppl") > 1.0 && of("ppl_ratio") > 0.5 && of("ppl_ratio") < 2.0, "{entry}");
        assert!(entry["cache"] == "exact" || of("kl") > 0.0, "{entry}");
    }
    assert_eq!(report["failures"].as_array().map(Vec::len), Some(0));
    for file in ["predictions.jsonl", "metrics.json", "tables.md", "report.html", "run.json"] {
        assert!(std::path::Path::new(&output).join(file).is_file(), "{file}");
    }
    // For people the same, as a table, and nothing is computed again.
    let output = place.run("eval", &ppl(&text, &output));
    assert!(stdout(&output).contains("| snapkv:window=8,ratio=4"), "{output:?}");
    assert!(stderr(&output).contains("report.html"), "{output:?}");
}

/// Each context is compressed into the memory that there is, by methods whose bits are free; a context that does not fit
/// is named as a failure.
#[test]
fn memory_chooses_the_rate_of_each_context() {
    let place = place();
    let text: String = (0..80).map(|i| format!("{i}: {TEXT}")).collect();
    let text = place.write("sea.txt", text);
    let evaluate = |memory: &str| {
        let output = place.path(memory);
        let cache = "spectral:auto,window=32,least-middle=64,spectral:4,window=32,least-middle=64";
        let sizes = ["--prefix", "500", "--continuation", "40", "--items", "2", "--cache-memory", memory];
        let words = ["ppl", "--text", &text, "-o", &output, "--cache", cache];
        place.json("eval", &words.into_iter().chain(sizes).collect::<Vec<_>>())
    };
    let bytes = |report: &serde_json::Value, rate: &str| {
        let cache = format!("spectral:{rate},window=32,least-middle=64");
        let entries = report["entries"].as_array().unwrap();
        entries.iter().find(|entry| entry["cache"] == *cache).unwrap()["bytes"].as_f64().unwrap()
    };
    let [some, more] = ["30KB", "40KB"].map(evaluate);
    assert!(bytes(&some, "auto") <= 30_000.0 && bytes(&more, "auto") <= 40_000.0, "{some} {more}");
    assert!(bytes(&some, "auto") < bytes(&more, "auto") && bytes(&some, "4") == bytes(&more, "4"), "{some} {more}");
    let none = evaluate("1KB");
    let reason = none["failures"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("expected a budget of at least "), "{none}");
}

#[test]
fn a_killed_run_goes_on() {
    let place = place();
    let options = |output| {
        let sizes = ["--length", "1500", "--items", "4", "--needles", "5"];
        ["needle:multi-key", "-o", output, "--cache", CACHES].into_iter().chain(sizes).collect::<Vec<&str>>()
    };
    let (whole, cut) = (place.path("whole"), place.path("cut"));
    place.json("eval", &options(&whole));
    let lines = |folder: &str| {
        let text = std::fs::read_to_string(std::path::Path::new(folder).join("predictions.jsonl")).unwrap_or_default();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let mut command = place.command("eval", &options(&cut));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while lines(&cut).len() < 3 {
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing was written");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let before = lines(&cut);
    place.json("eval", &options(&cut));
    let (mut all, mut expected) = (lines(&cut), lines(&whole));
    assert_eq!(all.len(), expected.len());
    // A last line may have been cut short and written again.
    assert_eq!(all[..before.len() - 1], before[..before.len() - 1]);
    all.sort();
    expected.sort();
    assert_eq!(all, expected);
}

#[test]
fn what_is_missing_is_named_and_what_is_wrong_refused() {
    let place = place();
    let output = place.path("out");
    let report = place.json(
        "eval",
        &["squad", "needle", "--length", "700", "--items", "1", "--depths", "1", "-o", &output, "--cache", "int4"],
    );
    assert_eq!(report["failures"][0]["task"], "squad");
    assert_eq!(report["entries"].as_array().map(Vec::len), Some(2));
    place.fails(
        "eval",
        &["needle", "--length", "700", "--items", "1", "-o", &output],
        1,
        &format!("expected {output} to hold a run with the same model and settings, or none; `depths` differs"),
    );
    place.fails(
        "eval",
        &["magic"],
        2,
        "expected a task among ppl, needle, needle:multi-key, ruler, longbench, squad, sst2, got `magic`",
    );
}
