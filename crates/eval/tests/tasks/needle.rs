//! Needles: where they are, that they are there once, and that lengths are met from below.

use std::fs;

use fourier_kv_eval::item::Document;
use fourier_kv_eval::tasks::{Haystack, Metric, MultiKey, NeedleGrid, NeedleScore, Task, TaskError};

use crate::support::{Bytes, Words, data, folder, used};

/// The haystacks at hand.
fn haystacks() -> Vec<Haystack> {
    let essays = data("niah").map(|path| Haystack::folder(&path).unwrap());
    [Haystack::filler()].into_iter().chain(essays).collect()
}

/// Percent of a document's text before a sentence that stands in it once, on a line of its own.
fn depth_of(document: &Document, sentence: &str) -> f64 {
    assert_eq!(document.context.matches(sentence).count(), 1, "{sentence}");
    let (_, hay) = document.context.split_once("This is the document:\n\n").unwrap();
    let at = hay.find(sentence).unwrap();
    let before = hay[..at].trim_end();
    assert!(at == 0 || hay[..at].ends_with('\n'));
    assert!(before.is_empty() || before.ends_with(['.', '?', '!', '"', ')', '\'', ']', '”', '’']), "{before}");
    100.0 * at as f64 / (hay.len() - sentence.len()) as f64
}

#[test]
fn a_cell_has_its_needle_at_its_depth_and_fills_its_length() {
    for haystack in haystacks() {
        let grid = NeedleGrid { haystack, ..NeedleGrid::new(vec![1000, 5000], 2) };
        assert_eq!(grid.count(), 2 * 11 * 2);
        for index in 0..grid.count() {
            let document = grid.document(index, &Bytes).unwrap();
            let question = &document.questions[0];
            let [keyword, sentence] = &question.answers[..] else { panic!("two answers") };
            assert!(sentence.contains(keyword.as_str()) && document.context.matches(keyword.as_str()).count() == 1);
            // A sentence, or in essays a heading and a list without full stops, may be between.
            let (depth, length) = (question.labels["depth"], question.labels["length"] as usize);
            let found = depth_of(&document, sentence);
            assert!(found <= depth + 1.0 && found > depth - 15.0 * 1000.0 / length as f64, "{found} for {depth}");
            // One word more would not fit: what is left is shorter than a long word.
            let used = used(&document, question, &Bytes);
            assert!(used <= length && used + 6 > length, "{used} of {length}");
        }
    }
}

#[test]
fn by_words_the_length_is_met_to_the_word() {
    let tokens = Words::default();
    let grid = NeedleGrid::new(vec![700, 701, 702, 1403], 1);
    for index in 0..grid.count() {
        let document = grid.document(index, &tokens).unwrap();
        let question = &document.questions[0];
        assert_eq!(used(&document, question, &tokens) as f64, question.labels["length"]);
    }
}

#[test]
fn depths_of_a_repeat_share_the_haystack() {
    let grid = NeedleGrid::new(vec![2000], 2);
    let documents: Vec<Document> = (0..grid.count()).map(|i| grid.document(i, &Words::default()).unwrap()).collect();
    let hay = |d: &Document| d.context.replace(&d.questions[0].answers[1], "").split_whitespace().collect::<String>();
    for repeat in [0, 11] {
        let first = hay(&documents[repeat]);
        assert!(documents[repeat..repeat + 11].iter().all(|d| hay(d) == first));
    }
    assert_ne!(hay(&documents[0]), hay(&documents[11]));
}

#[test]
fn the_score_and_the_lead_are_settings() {
    let grid = NeedleGrid::new(vec![800], 1);
    assert_eq!(grid.metric(), Metric::NeedleV2);
    assert_eq!(NeedleGrid { score: NeedleScore::V1, ..grid.clone() }.metric(), Metric::NeedleV1);
    let question = grid.document(3, &Bytes).unwrap().questions.remove(0);
    let whole = format!("{} {}.", question.answer_prefix, question.answers[0]);
    assert!(whole.ends_with(&question.answers[1]));
    let plain = NeedleGrid { lead: false, ..grid }.document(3, &Bytes).unwrap();
    assert_eq!(plain.questions[0].answer_prefix, "");
}

#[test]
fn every_number_is_there_once_at_its_place_and_can_be_asked_for() {
    for haystack in haystacks() {
        let task = MultiKey { haystack, ..MultiKey::new(vec![3000, 8000], 2) };
        assert_eq!(task.count(), 4);
        for index in 0..task.count() {
            let document = task.document(index, &Bytes).unwrap();
            assert_eq!(document.questions.len(), 10);
            let mut longest = 0;
            for (place, question) in document.questions.iter().enumerate() {
                let name = question.answer_prefix.strip_prefix("The access code of the ").unwrap();
                let name = name.strip_suffix(" is").unwrap();
                assert!(question.text.contains(&format!("access code of the {name}?")));
                // Reads the code by the name alone.
                let (_, rest) = document.context.split_once(&format!("code of the {name} is ")).unwrap();
                let code = rest.split('.').next().unwrap();
                assert_eq!([code], question.answers[..]);
                assert!(code.len() == 7 && !code.starts_with('0'));
                let depth = depth_of(&document, &format!("The access code of the {name} is {code}."));
                assert!((depth - (place as f64 * 10.0 + 5.0)).abs() < 8.0, "{depth} {place}");
                longest = longest.max(used(&document, question, &Bytes));
            }
            let length = document.questions[0].labels["length"] as usize;
            assert!(longest <= length && longest + 6 > length, "{longest} of {length}");
        }
    }
}

#[test]
fn seeds_fix_and_change_the_documents() {
    let grid = |seed| NeedleGrid { seed, ..NeedleGrid::new(vec![900], 1) }.document(5, &Bytes).unwrap();
    let keys = |seed| MultiKey { seed, ..MultiKey::new(vec![1500], 1) }.document(0, &Bytes).unwrap();
    assert_eq!((grid(1), keys(1)), (grid(1), keys(1)));
    assert_ne!(grid(1).context, grid(2).context);
    assert_ne!(keys(1).context, keys(2).context);
    assert_ne!(keys(1).questions[0].answers, keys(2).questions[0].answers);
}

#[test]
fn what_cannot_be_made_is_told() {
    let grid = NeedleGrid::new(vec![100, 2000], 1);
    assert!(matches!(grid.document(0, &Bytes), Err(TaskError::TooShort { length: 100, needed: 101.., .. })));
    assert!(grid.document(11, &Bytes).is_ok());
    assert!(matches!(grid.document(22, &Bytes), Err(TaskError::NoSuchDocument { .. })));
    let many = MultiKey { keys: 100_000, ..MultiKey::new(vec![1000], 1) };
    assert!(matches!(many.document(0, &Bytes), Err(TaskError::Setting { .. })));
    let none = MultiKey { repeats: 0, ..MultiKey::new(vec![1000], 1) };
    assert!(matches!(none.document(0, &Bytes), Err(TaskError::NoSuchDocument { .. })));
}

#[test]
fn a_folder_of_texts_is_read_by_name_and_repeated() {
    let folder = folder("haystack");
    assert!(Haystack::folder(&folder).unwrap_err().to_string().contains("has no .txt file"));
    for (name, text) in [("b.txt", "Second text. "), ("a.txt", "\nFirst text."), ("c.txt", " "), ("d.md", "Not this.")]
    {
        fs::write(folder.join(name), text).unwrap();
    }
    let haystack = Haystack::folder(&folder).unwrap();
    assert_eq!(haystack.fixed(1, 5), "First text.\n\nSecond text.\n\nFirst text.");
    let grid = NeedleGrid { haystack, ..NeedleGrid::new(vec![600], 1) };
    let document = grid.document(5, &Bytes).unwrap();
    assert!(document.context.matches("First text.").count() > 20);
}
