//! Every metric against what the official scorers gave the same texts (`tools/goldens/metrics.py`).
//!
//! Scores are compared bit for bit; only where the reference is a decimal of many more digits is there a tolerance.

use std::sync::LazyLock;

use fourier_kv_eval::metrics::accuracy::accuracy;
use fourier_kv_eval::metrics::aggregate::{longbench_percent, ruler_percent};
use fourier_kv_eval::metrics::classification::classification;
use fourier_kv_eval::metrics::code_sim::code_sim;
use fourier_kv_eval::metrics::count::count;
use fourier_kv_eval::metrics::divergence::{kl, negative_log_likelihood, top1, top1_agrees};
use fourier_kv_eval::metrics::first_line::first_line;
use fourier_kv_eval::metrics::qa_f1::qa_f1;
use fourier_kv_eval::metrics::retrieval::retrieval;
use fourier_kv_eval::metrics::rouge_l::rouge_l;
use fourier_kv_eval::metrics::ruler::{clean_prediction, string_match_all, string_match_part};
use fourier_kv_eval::metrics::{needlebench, squad};
use serde::Deserialize;

#[derive(Deserialize)]
struct Goldens {
    texts: Vec<Text>,
    code: Vec<Code>,
    classifications: Vec<Classification>,
    numbers: Vec<Number>,
    ruler: Vec<Ruler>,
    needles: Vec<Needle>,
    labels: Vec<Label>,
    first_lines: Vec<FirstLine>,
    distributions: Vec<Distribution>,
    percents: Vec<Percent>,
    longest_walk: usize,
}

#[derive(Deserialize)]
struct Text {
    prediction: String,
    answer: String,
    qa_f1: f64,
    rouge_l: f64,
    code_sim: f64,
    exact_match: f64,
    string_match: f64,
}

#[derive(Deserialize)]
struct Code {
    prediction: String,
    answer: String,
    code_sim: f64,
}

#[derive(Deserialize)]
struct Classification {
    prediction: String,
    answer: String,
    classes: Vec<String>,
    score: f64,
}

#[derive(Deserialize)]
struct Number {
    prediction: String,
    number: String,
    count: f64,
    retrieval: f64,
}

#[derive(Deserialize)]
struct Ruler {
    prediction: String,
    answers: Vec<String>,
    clean: String,
    all: f64,
    part: f64,
}

#[derive(Deserialize)]
struct Needle {
    prediction: String,
    needle: String,
    keyword: String,
    v1: f64,
    v2: f64,
}

#[derive(Deserialize)]
struct Label {
    prediction: String,
    answer: String,
    score: f64,
}

#[derive(Deserialize)]
struct FirstLine {
    prediction: String,
    line: String,
}

#[derive(Deserialize)]
struct Distribution {
    exact: Vec<Option<f32>>,
    other: Vec<f32>,
    token: usize,
    kl: f64,
    nll: f64,
    top1: usize,
    agrees: bool,
}

#[derive(Deserialize)]
struct Percent {
    ones: usize,
    count: usize,
    longbench: f64,
    ruler: f64,
}

static GOLDENS: LazyLock<Goldens> =
    LazyLock::new(|| serde_json::from_str(include_str!("goldens/metrics.json")).unwrap());

/// Compares bit for bit, and says which texts differ.
#[track_caller]
fn assert_score(what: &str, got: f64, want: f64, prediction: &str, answer: &str) {
    assert_eq!(got.to_bits(), want.to_bits(), "{what} {got} {want}\n{prediction:?}\n{answer:?}");
}

#[track_caller]
fn assert_near(what: &str, got: f64, want: f64) {
    assert!((got - want).abs() <= 1e-12 * want.abs().max(1.0), "{what}: {got} {want}");
}

#[test]
fn prose() {
    for Text { prediction, answer, qa_f1: f1, rouge_l: rouge, code_sim: code, exact_match, string_match } in
        &GOLDENS.texts
    {
        let check = |what, got, want| assert_score(what, got, want, prediction, answer);
        check("qa_f1", qa_f1(prediction, answer), *f1);
        check("squad f1", squad::f1(prediction, answer), *f1);
        check("exact_match", squad::exact_match(prediction, answer), *exact_match);
        check("rouge_l", rouge_l(prediction, answer), *rouge);
        check("code_sim", code_sim(prediction, answer), *code);
        check("string_match_all", string_match_all(prediction, &[answer]), *string_match);
    }
}

#[test]
fn rouge_breaks_off_where_pythons_recursion_does() {
    let longest = GOLDENS.longest_walk;
    let score = |words: usize| rouge_l(&format!("x{}", " y".repeat(words - 1)), "x");
    assert!(score(longest) > 0.6);
    assert_eq!(score(longest + 1), 0.0);
}

#[test]
fn code() {
    let long = GOLDENS.code.iter().filter(|row| row.answer.chars().count() >= 200).count();
    assert!(long > 20, "difflib treats texts of 200 characters and more in its own way");
    for Code { prediction, answer, code_sim: want } in &GOLDENS.code {
        assert_score("code_sim", code_sim(prediction, answer), *want, prediction, answer);
    }
}

#[test]
fn classes() {
    for Classification { prediction, answer, classes, score } in &GOLDENS.classifications {
        assert_score("classification", classification(prediction, answer, classes), *score, prediction, answer);
    }
}

#[test]
fn numbers() {
    for Number { prediction, number, count: counted, retrieval: retrieved } in &GOLDENS.numbers {
        assert_score("count", count(prediction, number), *counted, prediction, number);
        let answer = format!("Paragraph {number}");
        assert_score("retrieval", retrieval(prediction, &answer), *retrieved, prediction, &answer);
    }
}

#[test]
fn ruler() {
    for Ruler { prediction, answers, clean, all, part } in &GOLDENS.ruler {
        assert_eq!(&clean_prediction(prediction), clean);
        assert_score("all", string_match_all(prediction, answers), *all, prediction, &answers.join("|"));
        assert_score("part", string_match_part(prediction, answers), *part, prediction, &answers.join("|"));
    }
}

#[test]
fn needles() {
    for Needle { prediction, needle, keyword, v1, v2 } in &GOLDENS.needles {
        // OpenCompass gives 0 to 100.
        assert_score("v1", needlebench::v1(prediction, needle, keyword), v1 / 100.0, prediction, needle);
        assert_score("v2", needlebench::v2(prediction, keyword), v2 / 100.0, prediction, keyword);
    }
}

#[test]
fn labels() {
    for Label { prediction, answer, score } in &GOLDENS.labels {
        assert_score("accuracy", accuracy(prediction, answer, &["negative", "positive"]), *score, prediction, answer);
    }
}

#[test]
fn first_lines() {
    for FirstLine { prediction, line } in &GOLDENS.first_lines {
        assert_eq!(first_line(prediction), line, "{prediction:?}");
    }
}

#[test]
fn distributions() {
    for row in &GOLDENS.distributions {
        let exact: Vec<f32> = row.exact.iter().map(|logit| logit.unwrap_or(f32::NEG_INFINITY)).collect();
        assert_near("kl", kl(&exact, &row.other).unwrap(), row.kl);
        assert_near("nll", negative_log_likelihood(&exact, row.token).unwrap(), row.nll);
        assert_eq!(top1(&exact), Ok(row.top1));
        assert_eq!(top1_agrees(&exact, &row.other), Ok(row.agrees));
    }
}

#[test]
fn percents() {
    for Percent { ones, count, longbench, ruler } in &GOLDENS.percents {
        let scores: Vec<f64> = (0..*count).map(|i| f64::from(i < *ones)).collect();
        assert_eq!(longbench_percent(&scores), Some(*longbench), "{ones} of {count}");
        assert_eq!(ruler_percent(&scores), Some(*ruler), "{ones} of {count}");
    }
}
