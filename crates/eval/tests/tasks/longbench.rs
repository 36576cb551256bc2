//! LongBench: prompts as the official runner makes them.

use std::fs;
use std::path::PathBuf;

use fourier_kv_eval::item::TokenCount;
use fourier_kv_eval::tasks::{LongBench, LongBenchTask, Task, TaskError};
use serde_json::{Value, json};

use crate::support::{Bytes, Words, data, folder, prompt};

/// A folder with a task's rows and templates.
fn made(name: &str, task: LongBenchTask, template: &str, lines: &[String]) -> PathBuf {
    let folder = folder(name);
    fs::create_dir(folder.join("config")).unwrap();
    fs::write(folder.join("config/dataset2prompt.json"), json!({ task.name(): template }).to_string()).unwrap();
    fs::write(folder.join(format!("{}.jsonl", task.name())), lines.join("\n")).unwrap();
    folder
}

fn row(input: &str, context: &str) -> String {
    json!({
        "input": input, "context": context, "answers": ["a", "b"], "length": 12, "dataset": "x", "language": "en",
        "all_classes": null, "_id": "row-1"
    })
    .to_string()
}

/// What Python's `template.format(context=..., input=...)` gives for templates without doubled braces.
fn formatted(template: &str, row: &Value) -> String {
    let (before, after) = template.split_once("{context}").unwrap();
    let fill = |part: &str| part.replace("{input}", row["input"].as_str().unwrap());
    fill(before) + row["context"].as_str().unwrap() + &fill(after)
}

#[test]
fn prompts_are_put_together_and_split_after_the_context() {
    let lines = [row("why?", "some {input} text"), row("", "other")];
    let folder = made("together", LongBenchTask::Qasper, "Read: {context}\nQ: {input}\nA:", &lines);
    let task = LongBench::open(&folder, LongBenchTask::Qasper, None).unwrap();
    assert_eq!((task.count(), task.name().as_str()), (2, "longbench:qasper"));
    let document = task.document(0, &Bytes).unwrap();
    assert_eq!((document.context.as_str(), document.chat), ("Read: some {input} text", true));
    let question = &document.questions[0];
    assert_eq!((question.text.as_str(), question.max_tokens), ("\nQ: why?\nA:", 128));
    assert_eq!((question.answers.len(), question.labels["length"]), (2, 12.0));
    assert_eq!(LongBench::open(&folder, LongBenchTask::Qasper, Some(1)).unwrap().count(), 1);
}

#[test]
fn long_prompts_lose_their_middle() {
    let context: String = (0..400).map(|i| format!("word{i} ")).collect();
    let template = "Text: {context}\nQuestion: {input}\nAnswer:";
    let folder = made("middle", LongBenchTask::Qasper, template, &[row("what is it?", &context)]);
    let whole = formatted(template, &json!({"input": "what is it?", "context": context}));
    let tokens = whole.len().div_ceil(4);
    for limit in [2, 7, 100, 101, 500, tokens - 1, tokens, tokens + 1] {
        for bos in [false, true] {
            if limit == 2 && bos {
                continue;
            }
            let mut task = LongBench::open(&folder, LongBenchTask::Qasper, None).unwrap();
            (task.limit, task.bos) = (Some(limit), bos);
            let document = task.document(0, &Bytes).unwrap();
            let got = prompt(&document, &document.questions[0]);
            // By bytes, four a token, and by the official rule: half and half of the limit, rounded down.
            let first = 4 * (limit / 2 - usize::from(bos));
            let last = 4 * (tokens - limit / 2);
            let cut = format!("{}{}", &whole[..first.min(whole.len())], &whole[last.min(whole.len())..]);
            let fits = tokens + usize::from(bos) <= limit;
            assert_eq!(got, if fits { whole.clone() } else { cut }, "{limit} {bos}");
            if limit >= 100 {
                assert_eq!(document.questions[0].text, "\nQuestion: what is it?\nAnswer:");
            }
        }
    }
    let mut task = LongBench::open(&folder, LongBenchTask::Qasper, None).unwrap();
    task.limit = Some(1);
    assert!(matches!(task.document(0, &Bytes), Err(TaskError::TooShort { .. })));
}

#[test]
fn bad_rows_are_named_and_the_others_go_on() {
    let lines = [
        row("", "fine"),
        "{\"input\": ".into(),
        String::new(),
        json!({"input": "", "context": "x", "answers": []}).to_string(),
        json!({"context": "x", "answers": ["a"]}).to_string(),
        row("", "fine too"),
    ];
    let folder = made("bad-rows", LongBenchTask::Lcc, "{context}Next:\n", &lines);
    let task = LongBench::open(&folder, LongBenchTask::Lcc, None).unwrap();
    assert_eq!(task.count(), 5);
    let results: Vec<Result<_, String>> = (0..5).map(|i| task.document(i, &Bytes).map_err(|e| e.to_string())).collect();
    assert_eq!(results[0].as_ref().unwrap().context, "fine");
    assert!(results[1].as_ref().unwrap_err().contains("lcc.jsonl, row 2: "));
    assert!(results[2].as_ref().unwrap_err().ends_with("lcc.jsonl, row 4: `answers` is empty"));
    assert!(results[3].as_ref().unwrap_err().contains("lcc.jsonl, row 5: missing field `input`"));
    assert!(!results[4].as_ref().unwrap().chat);
}

#[test]
fn tasks_have_their_own_ways() {
    let classes = json!({"input": "i", "context": "c", "answers": ["x"], "all_classes": ["x", "y"]}).to_string();
    let lines = [classes, row("i", "c")];
    let folder = made("trec", LongBenchTask::Trec, "{context}\n{input}", &lines);
    fs::write(folder.join("config/dataset2maxlen.json"), "{\"trec\": 9}").unwrap();
    let trec = LongBench::open(&folder, LongBenchTask::Trec, None).unwrap();
    let question = trec.document(0, &Bytes).unwrap().questions.remove(0);
    assert_eq!((question.classes, question.max_tokens), (vec!["x".to_owned(), "y".to_owned()], 9));
    assert!(trec.document(1, &Bytes).unwrap_err().to_string().contains("row 2: `all_classes` is empty"));
    assert!(trec.first_line());

    let folder = made("samsum", LongBenchTask::SamSum, "{context}\n\n{input}", &[row("i", "c")]);
    let samsum = LongBench::open(&folder, LongBenchTask::SamSum, None).unwrap();
    let document = samsum.document(0, &Bytes).unwrap();
    assert_eq!((document.questions[0].stop.join("|").as_str(), document.chat), ("\n", false));
}

#[test]
fn missing_and_odd_files_are_named() {
    let folder = made("odd", LongBenchTask::Qasper, "no place", &[row("", "c")]);
    let failure = |task| LongBench::open(&folder, task, None).unwrap_err().to_string();
    assert!(failure(LongBenchTask::Qasper).contains("`{context}` was expected once"));
    assert!(failure(LongBenchTask::Lcc).contains("lcc.jsonl"));
    fs::write(folder.join("lcc.jsonl"), row("", "c")).unwrap();
    assert!(failure(LongBenchTask::Lcc).contains("dataset2prompt.json has no template for `lcc`"));
    fs::write(folder.join("config/dataset2prompt.json"), "[]").unwrap();
    assert!(failure(LongBenchTask::Lcc).contains("dataset2prompt.json: "));
    fs::write(folder.join("lcc.jsonl"), "\n\n").unwrap();
    assert!(failure(LongBenchTask::Lcc).contains("lcc.jsonl has no rows"));
}

#[test]
fn the_rows_at_hand_give_their_official_prompts() {
    let Some(folder) = data("longbench") else { return };
    let text = fs::read_to_string(folder.join("config/dataset2prompt.json")).unwrap();
    let templates: Value = serde_json::from_str(&text).unwrap();
    let words = Words::default();
    for kind in LongBenchTask::ALL {
        let mut task = LongBench::open(&folder, kind, None).unwrap();
        let lines = fs::read_to_string(folder.join(format!("{}.jsonl", kind.name()))).unwrap();
        let rows: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(task.count(), rows.len());
        for (i, row) in rows.iter().enumerate() {
            let whole = formatted(templates[kind.name()].as_str().unwrap(), row);
            task.limit = None;
            let document = task.document(i, &words).unwrap();
            assert_eq!(prompt(&document, &document.questions[0]), whole);
            assert!(document.context.ends_with(row["context"].as_str().unwrap()));

            task.limit = Some(3000);
            let cut = task.document(i, &words).unwrap();
            let cut = prompt(&cut, &cut.questions[0]);
            let all = words.encode(&whole).unwrap();
            let want = match all.len() {
                ..=3000 => whole,
                n => words.decode(&all[..1500]) + &words.decode(&all[n - 1500..]),
            };
            assert_eq!(cut, want);
        }
    }
}
