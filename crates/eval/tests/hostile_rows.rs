//! Files of rows from strangers: whatever they hold, rows are errors or documents, and nothing panics.

use std::path::Path;

use fourier_kv_eval::item::TokenCount;
use fourier_kv_eval::runner::{Journal, methods};
use fourier_kv_eval::tasks::{LongBench, LongBenchTask, Padding, Squad, Sst2, Task, WordLists};
use proptest::prelude::*;

/// Four bytes a token.
struct Bytes;

impl TokenCount for Bytes {
    fn encode(&self, text: &str) -> Result<Vec<u32>, String> {
        Ok(text.as_bytes().chunks(4).map(|c| c.iter().fold(0, |n, &b| n << 8 | u32::from(b))).collect())
    }

    fn decode(&self, tokens: &[u32]) -> String {
        let bytes: Vec<u8> = tokens.iter().flat_map(|t| t.to_be_bytes()).filter(|&b| b != 0).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Valid rows of all kinds, to be damaged.
const ROWS: &str = "{\"id\": \"a\", \"context\": \"The mill is red.\", \"question\": \"What?\", \"answers\": [\"The mill\"]}\n\
    {\"input\": \"q\", \"context\": \"c\", \"answers\": [\"a\"], \"length\": 3, \"all_classes\": null, \"_id\": \"x\"}\n\
    sentence\tlabel\na fine film\t1\n\
    {\"task\": \"t\", \"document\": \"d\", \"question\": \"q\", \"method\": \"exact\", \"when\": \"w\", \"tokens\": 1, \"bytes\": 2, \"exact_bytes\": 2, \"values\": {\"score\": 1.0}}\n";

fn all_documents(task: &dyn Task) {
    for index in 0..task.count() {
        // Either is fine: what matters is that it comes back.
        let _ = task.document(index, &Bytes).map(|document| document.questions.len());
    }
}

fn read_everything(folder: &Path, content: &[u8]) {
    let file = |name: &str| {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    };
    let rows = file("rows");
    let _ = Squad::open(&rows, Padding::new(600), Some(3)).map(|task| all_documents(&task));
    let _ = Sst2::open(&rows, Padding::new(600), Some(3)).map(|task| all_documents(&task));
    let _ = Journal::open(&rows).map(|journal| journal.predictions().len());
    file("qasper.jsonl");
    std::fs::create_dir_all(folder.join("config")).unwrap();
    std::fs::write(folder.join("config/dataset2prompt.json"), "{\"qasper\": \"{context} and {input}\"}").unwrap();
    std::fs::remove_file(folder.join("config/dataset2maxlen.json")).ok();
    let _ = LongBench::open(folder, LongBenchTask::Qasper, Some(3)).map(|task| all_documents(&task));
    file("config/dataset2prompt.json");
    file("config/dataset2maxlen.json");
    let _ = LongBench::open(folder, LongBenchTask::Qasper, Some(3)).map(|task| all_documents(&task));
    for list in ["noun", "adjective", "verb"] {
        file(&format!("wonderwords_{list}list.txt"));
    }
    let _ = WordLists::folder(folder);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn bytes_of_any_kind(content in proptest::collection::vec(any::<u8>(), 0..300)) {
        read_everything(tempfile::tempdir().unwrap().path(), &content);
    }

    #[test]
    fn rows_that_were_damaged(at in 0..ROWS.len(), byte in any::<u8>(), cut in 0..ROWS.len()) {
        let mut content = ROWS.as_bytes().to_vec();
        content[at] = byte;
        read_everything(tempfile::tempdir().unwrap().path(), &content);
        read_everything(tempfile::tempdir().unwrap().path(), &content[cut..]);
    }

    #[test]
    fn lists_of_methods(text in "[a-z0-9_:=,. ]{0,60}", ratio in 1.0..100.0f64) {
        if let Ok(methods) = methods::parse(&text, &[ratio]) {
            for method in methods {
                prop_assert_eq!(method.name.parse().ok(), Some(method.kind));
            }
        }
    }
}
