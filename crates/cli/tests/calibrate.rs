//! `fourier-kv calibrate`: a plan is whole, or not there.

mod support;

use fourier_kv_testkit::RandomModel;
use support::models::{Place, SMALL_FOURIER};
use support::*;

const TEXT: &str = "the sea and the man and the end of the one in the other. ";

/// Options that make a plan of the text in `input`.
fn options<'a>(input: &'a str, output: &'a str) -> [&'a str; 8] {
    ["--text", input, "-o", output, "--cache", SMALL_FOURIER, "--sequence", "100"]
}

#[test]
fn a_plan_is_made_of_a_folder_and_can_be_used() {
    for place in [Place::gguf(&RandomModel::llama()), Place::safetensors(&RandomModel::qwen2())] {
        let folder = place.path("texts");
        std::fs::create_dir(&folder).unwrap();
        place.write("texts/a.txt", TEXT.repeat(5));
        place.write("texts/b.md", TEXT.repeat(5));
        let plan = place.path("a.plan");
        let report = place.json("calibrate", &options(&folder, &plan));
        assert_eq!(report["plan"], plan);
        let origin = &report["origin"];
        let (tokens, sequences) = (origin["tokens"].as_u64().unwrap(), origin["sequences"].as_u64().unwrap());
        assert!(sequences >= 3 && tokens >= 228 && tokens <= 100 * sequences, "{origin}");
        let both = format!("{0}\n\n{0}", TEXT.repeat(5));
        assert_eq!(origin["text_sha256"], sha256(both.as_bytes()));
        assert_eq!((&report["spectral"]["keys"], &report["spectral"]["values"]), (&0.75.into(), &0.75.into()));
        let used = place.json("run", &["--cache", SMALL_FOURIER, "--plan", &plan, TEXT, "--max-tokens", "4"]);
        assert!(used["cache"]["bytes_by_kind"]["coefficients"].as_u64().unwrap() > 0);
        assert!(!place.names().iter().any(|name| name.ends_with(".part")));
    }
}

/// A plan for `spectral` says how bits are shared out, and moves them.
#[test]
fn bits_are_shared_out_by_a_plan() {
    const SMALL: &str = "spectral:3,window=10,least-middle=20";
    let place = Place::gguf(&RandomModel::llama());
    let text = place.write("text.txt", TEXT.repeat(12));
    let plan = place.path("a.plan");
    let words = ["--text", &text, "-o", &plan, "--cache", SMALL, "--tokens", "330"];
    let report = place.json("calibrate", &words);
    assert_eq!((&report["cache"], &report["origin"]["tokens"]), (&"spectral".into(), &330.into()));
    let bits: Vec<f64> = report["bits"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|layer| layer.as_array().unwrap().clone())
        .map(|b| b.as_f64().unwrap())
        .collect();
    assert!(bits.len() == 4 && (bits.iter().sum::<f64>() - 8.0).abs() < 1e-6, "two layers, two bits: {bits:?}");
    let prompt = TEXT.repeat(4);
    let run = |cache: &str| place.json("run", &["--cache", cache, "--plan", &plan, &prompt, "--max-tokens", "2"]);
    assert!(run(SMALL)["cache"]["bytes_by_kind"]["codes"].as_u64().unwrap() > 0);
    place.fails(
        "run",
        &["--cache", "fourier", "--plan", &plan, &prompt],
        1,
        "the plan was made for the `spectral` cache",
    );
}

#[test]
fn a_plan_that_is_there_is_replaced_and_the_same_text_makes_the_same() {
    let place = Place::gguf(&RandomModel::llama());
    let text = place.write("text.txt", TEXT.repeat(10));
    let plan = place.write("a.plan", "something else");
    let output = place.run("calibrate", &options(&text, &plan));
    assert_eq!(stdout(&output), format!("{plan}\n"));
    assert!(stderr(&output).contains("spectral: 75.0 % of the key dims"), "{output:?}");
    let first = std::fs::read(&plan).unwrap();
    assert!(place.run("calibrate", &options(&text, &plan)).status.success());
    assert_eq!(std::fs::read(&plan).unwrap(), first);
    let slowly: Vec<&str> = options(&text, &plan).into_iter().chain(["--cpu", "scalar", "--threads", "1"]).collect();
    assert!(place.run("calibrate", &slowly).status.success());
}

#[test]
fn what_makes_no_plan_leaves_no_file() {
    let place = Place::gguf(&RandomModel::llama());
    let plan = place.path("a.plan");
    let short = place.write("short.txt", "the sea");
    place.fails(
        "calibrate",
        &options(&short, &plan),
        1,
        "expected a text of at least 28 tokens to calibrate with, got ",
    );
    let binary = place.write("binary.txt", [0xff, 0xfe]);
    place.fails("calibrate", &options(&binary, &plan), 1, "is not UTF-8 text");
    let text = place.write("text.txt", TEXT.repeat(10));
    let with = |option, value| {
        let mut words = options(&text, &plan).to_vec();
        words.truncate(4);
        words.extend([option, value]);
        words
    };
    place.fails("calibrate", &with("--cpu", "fast"), 2, "--cpu expects auto, scalar, avx2 or avx512; got 'fast'");
    place.fails("calibrate", &with("--cache", "exact"), 2, "the exact cache has nothing to plan");
    place.fails("calibrate", &with("--sequence", "0"), 2, "--sequence expects 1 or more");
    let fourier = ["--text", &text, "-o", &plan, "--cache", "fourier", "--sequence", "200"];
    // With its usual settings it needs longer sequences than this model can read.
    place.fails("calibrate", &fourier, 1, "expected sequences of at least 2048 tokens");
    place.fails("calibrate", &with("--threads", "1"), 1, "expected a text of at least 4096 tokens");
    place.fails("calibrate", &with("--tokens", "2000"), 2, "--tokens expects more tokens than window");
    place.fails("calibrate", &options("no/such.txt", &plan), 2, "--text: there is no file no/such.txt");
    place.fails("calibrate", &options(&text, "no/such/folder/a.plan"), 2, "the missing folder no/such/folder");
    assert_eq!(place.names(), ["binary.txt", "m.gguf", "short.txt", "text.txt"]);
}
