//! SQuAD and SST-2 behind their long contexts.

use std::fs;

use fourier_kv_eval::tasks::{Metric, Padding, Squad, Sst2, Task, TaskError};
use serde_json::json;

use crate::support::{Bytes, data, folder, used};

fn squad_row(i: usize) -> String {
    json!({
        "id": format!("q{i}"), "context": format!("The river Number{i} flows into lake Answer{i}."),
        "question": format!("Where does Number{i} flow?"), "answers": [format!("Answer{i}")]
    })
    .to_string()
}

#[test]
fn paragraphs_are_hidden_and_asked_about() {
    let path = folder("squad").join("rows.jsonl");
    let mut lines: Vec<String> = (0..11).map(squad_row).collect();
    lines.insert(3, "not json".into());
    lines.insert(7, json!({"id": "x", "context": " ", "question": "q", "answers": ["a"]}).to_string());
    let mut bytes = lines.join("\n").into_bytes();
    bytes.extend(b"\n{\"id\": \"\xff\"}");
    fs::write(&path, bytes).unwrap();
    let squad = Squad::open(&path, Padding { per_document: 4, ..Padding::new(2000) }, None).unwrap();
    // Four, four and three rows; then the three that are malformed.
    assert_eq!((squad.count(), squad.metric()), (6, Metric::Squad));
    let mut asked = 0;
    for index in 0..3 {
        let document = squad.document(index, &Bytes).unwrap();
        let longest = document.questions.iter().map(|q| used(&document, q, &Bytes)).max().unwrap();
        assert!(longest <= 2000 && longest + 6 > 2000, "{longest}");
        for question in &document.questions {
            let row = question.id.split_once(":q").unwrap().1;
            assert_eq!(question.answers, [format!("Answer{row}")]);
            assert!(question.text.contains(&format!("Number{row} flow?")));
            let place = document.context.find(&format!("The river Number{row} flows into lake Answer{row}.")).unwrap();
            let depth = 100.0 * place as f64 / document.context.len() as f64;
            assert!((depth - question.labels["depth"]).abs() < 8.0, "{depth}");
            asked += 1;
        }
    }
    assert_eq!(asked, 11);
    let bad: Vec<String> = (3..6).map(|i| squad.document(i, &Bytes).unwrap_err().to_string()).collect();
    assert!(bad[0].contains("rows.jsonl, row 4: "));
    assert!(bad[1].ends_with("rows.jsonl, row 8: `context` is empty"));
    assert!(bad[2].contains("rows.jsonl, row 14: not UTF-8: "));
    assert_eq!(Squad::open(&path, Padding::new(2000), Some(2)).unwrap().count(), 1);
}

#[test]
fn sentences_are_labelled_after_examples_in_the_context() {
    let path = folder("sst2").join("dev.tsv");
    fs::write(&path, "sentence\tlabel\na fine film . \t1\r\ndreadful\t0\nno label\nodd\t2\n\t1\nnice \t1\n").unwrap();
    let sst2 = Sst2::open(&path, Padding::new(1200), None).unwrap();
    assert_eq!((sst2.count(), sst2.metric()), (4, Metric::Accuracy));
    let document = sst2.document(0, &Bytes).unwrap();
    let answers: Vec<&str> = document.questions.iter().map(|q| q.answers[0].as_str()).collect();
    assert_eq!(answers, ["positive", "negative", "positive"]);
    assert!(document.questions[0].text.ends_with("Review: a fine film .\n"));
    assert_eq!(document.context.matches("Sentiment: positive").count(), 3);
    assert_eq!(document.context.matches("Sentiment: negative").count(), 3);
    assert!(document.questions.iter().all(|q| q.classes == ["negative", "positive"]));
    assert!(document.questions.iter().all(|q| used(&document, q, &Bytes) <= 1200));
    let bad: Vec<String> = (1..4).map(|i| sst2.document(i, &Bytes).unwrap_err().to_string()).collect();
    assert!(bad[0].ends_with("dev.tsv, row 4: 2 fields were expected, not 1"));
    assert!(bad[1].ends_with("dev.tsv, row 5: a label of 0 or 1 was expected, not `2`"));
    assert!(bad[2].ends_with("dev.tsv, row 6: the sentence is empty"));
}

#[test]
fn seeds_fix_and_change_the_documents() {
    let path = folder("padded-seeds").join("rows.jsonl");
    fs::write(&path, squad_row(1)).unwrap();
    let of = |seed| Squad::open(&path, Padding { seed, ..Padding::new(900) }, None).unwrap().document(0, &Bytes);
    assert_eq!(of(1).unwrap(), of(1).unwrap());
    assert_ne!(of(1).unwrap().context, of(2).unwrap().context);
    let short = Squad::open(&path, Padding::new(60), None).unwrap().document(0, &Bytes);
    assert!(matches!(short, Err(TaskError::TooShort { length: 60, .. })));
    assert!(matches!(Sst2::open(&path.join("no"), Padding::new(900), None), Err(TaskError::Io { .. })));
}

#[test]
fn the_rows_at_hand_are_all_understood() {
    let (Some(squad), Some(glue)) = (data("squad"), data("glue")) else { return };
    let squad = Squad::open(&squad.join("squad_v1_200.jsonl"), Padding::new(4000), None).unwrap();
    let mut asked = 0;
    for index in 0..squad.count() {
        let document = squad.document(index, &Bytes).unwrap();
        for question in &document.questions {
            assert!(document.context.contains(&question.answers[0]));
            asked += 1;
        }
    }
    assert_eq!(asked, 200);
    let sst2 = Sst2::open(&glue.join("sst2_dev.tsv"), Padding::new(1000), None).unwrap();
    let documents: Vec<_> = (0..sst2.count()).map(|i| sst2.document(i, &Bytes).unwrap()).collect();
    let questions: Vec<_> = documents.iter().flat_map(|d| &d.questions).collect();
    assert_eq!(questions.len(), 872);
    assert_eq!(questions.iter().filter(|q| q.answers[0] == "positive").count(), 444);
}
