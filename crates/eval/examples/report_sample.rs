//! Writes a report of invented predictions, to look at its pages: `cargo run -p fourier-kv-eval --example
//! report_sample [FOLDER]`; the folder is `target/report-sample` unless one is given.

use std::path::PathBuf;

use fourier_kv_eval::prediction::Prediction;
use fourier_kv_eval::report::{Failure, Report, RunInfo, files};

/// A method, its quality lost at a ratio of one (invented), and whether it takes a budget.
const METHODS: [(&str, f64, bool); 9] = [
    ("exact", 0.0, false),
    ("int8", 0.001, false),
    ("int4:key_axis=channel", 0.01, false),
    ("spectral", 0.004, true),
    ("fourier:band=carrier,dims=query", 0.03, true),
    ("snapkv:window=32", 0.06, true),
    ("pyramidkv:window=32", 0.055, true),
    ("streaming", 0.11, true),
    ("lowrank", 0.09, true),
];

const LONGBENCH: [&str; 9] = [
    "qasper",
    "multifieldqa_en",
    "hotpotqa",
    "2wikimqa",
    "gov_report",
    "trec",
    "samsum",
    "passage_retrieval_en",
    "lcc",
];
const RULER: [&str; 5] = ["niah_single_1", "niah_multikey_1", "vt", "cwe", "fwe"];

fn main() -> Result<(), files::WriteError> {
    let folder = std::env::args_os().nth(1).map_or(PathBuf::from("target/report-sample"), PathBuf::from);
    let predictions: Vec<Prediction> = methods().iter().flat_map(of_method).collect();
    files::write(&Report::new(run_info(), &predictions, failures()), &folder).map(|_| ())
}

struct Method {
    name: &'static str,
    budget: Option<f64>,
    ratio: f64,
    loss: f64,
}

fn methods() -> Vec<Method> {
    let mut all = Vec::new();
    for (name, loss, budgeted) in METHODS {
        if budgeted {
            for budget in [2.0_f64, 4.0, 6.0, 8.0] {
                let ratio = if name == "lowrank" { budget.min(5.1) } else { budget * 0.985 };
                all.push(Method { name, budget: Some(budget), ratio, loss: loss * ratio });
            }
        } else {
            let ratio = [("int8", 1.94), ("int4:key_axis=channel", 3.6)].iter().find(|known| known.0 == name);
            all.push(Method { name, budget: None, ratio: ratio.map_or(1.0, |known| known.1), loss });
        }
    }
    all
}

fn of_method(method: &Method) -> Vec<Prediction> {
    let mut all = Vec::new();
    for (task, base) in [("ppl:prose", 2.4), ("ppl:code", 1.1)] {
        all.extend((0..4).map(|at| passage(method, task, at, base)));
    }
    for length in [1024, 2048, 4096, 8192, 16384] {
        all.extend((0..=10).map(|at| needle(method, length, f64::from(at) * 10.0)));
    }
    for length in [4096, 8192] {
        all.extend(RULER.iter().flat_map(|task| (0..3).map(move |at| ruler(method, task, length, at))));
    }
    for (number, task) in LONGBENCH.iter().enumerate() {
        all.extend((0..4).map(|at| longbench(method, task, number, at)));
    }
    all
}

fn prediction(method: &Method, task: String, item: u32, tokens: usize) -> Prediction {
    let exact_bytes = tokens * 23_040;
    let overhead = if method.name == "exact" { 0.0 } else { 40_000.0 };
    Prediction {
        task,
        document: format!("document-{item}"),
        question: "0".to_owned(),
        method: method.name.to_owned(),
        budget: method.budget,
        when: "after-context".to_owned(),
        tokens,
        bytes: (exact_bytes as f64 / method.ratio + overhead) as usize,
        exact_bytes,
        ..Prediction::default()
    }
}

fn with(mut prediction: Prediction, values: &[(&str, f64)]) -> Prediction {
    prediction.values.extend(values.iter().map(|(name, value)| ((*name).to_owned(), *value)));
    prediction
}

fn labelled(mut prediction: Prediction, length: usize, depth: Option<f64>) -> Prediction {
    prediction.labels.insert("length".to_owned(), length as f64);
    prediction.labels.extend(depth.map(|depth| ("depth".to_owned(), depth)));
    prediction
}

fn passage(method: &Method, task: &str, item: u32, base: f64) -> Prediction {
    let loss = method.loss * (1.0 + 0.1 * f64::from(item));
    let nll = ("nll", base + 0.1 * f64::from(item) + loss * 0.3);
    let prediction = prediction(method, task.to_owned(), item, 7168);
    match method.name {
        "exact" => with(prediction, &[nll, ("continuation", 768.0)]),
        _ => with(prediction, &[nll, ("continuation", 768.0), ("kl", loss * loss), ("top1", (-loss).exp())]),
    }
}

fn needle(method: &Method, length: usize, depth: f64) -> Prediction {
    let far = (length as f64 / 1024.0).log2() * (1.0 - (depth / 100.0 - 0.4).abs());
    let score = (1.15 - method.loss * far * 0.9).clamp(0.0, 1.0);
    let item = length as u32 + depth as u32;
    let prediction = with(prediction(method, "needle".to_owned(), item, length - 128), &[("score", score)]);
    labelled(with(prediction, &[("log_probability", (score + 0.01).ln() * 3.0)]), length, Some(depth))
}

fn ruler(method: &Method, task: &str, length: usize, item: u32) -> Prediction {
    let score = (0.95 - method.loss * (1.0 + item as f64 * 0.3) * (length as f64 / 8192.0)).clamp(0.0, 1.0);
    let item = item + length as u32;
    labelled(with(prediction(method, format!("ruler:{task}"), item, length - 128), &[("score", score)]), length, None)
}

fn longbench(method: &Method, task: &str, number: usize, item: u32) -> Prediction {
    let score = (0.25 + 0.05 * number as f64 - method.loss * 0.3 + 0.02 * f64::from(item)).clamp(0.0, 1.0);
    let tokens = 3000 + 700 * number + 311 * item as usize;
    with(prediction(method, format!("longbench:{task}"), item, tokens), &[("score", score)])
}

fn run_info() -> RunInfo {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    RunInfo {
        model: "invented-135m (these figures are made up)".to_owned(),
        tasks: owned(&["ppl:prose", "ppl:code", "needle", "longbench:qmsum"]),
        methods: owned(&METHODS.map(|method| method.0)),
        limits: "16384 tokens of context, 4 items a task".to_owned(),
        when: "after-context".to_owned(),
        seeds: "42".to_owned(),
        machine: "2 cores, 8 GB".to_owned(),
        versions: "fourier-kv 0.1.0".to_owned(),
        command: "fourier-kv eval all -m invented --budget 2,4,6,8".to_owned(),
        date: "2026-11-22".to_owned(),
    }
}

fn failures() -> Vec<Failure> {
    let failure = |document: &str, question: &str, reason: &str| Failure {
        task: "longbench:qmsum".to_owned(),
        document: document.to_owned(),
        question: question.to_owned(),
        method: String::new(),
        reason: reason.to_owned(),
    };
    vec![
        failure("", "", "qmsum.jsonl: no such file"),
        failure("row 17", "0", "expected `answers` to be a list, got a number"),
    ]
}
