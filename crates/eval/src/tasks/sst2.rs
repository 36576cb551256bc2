//! GLUE's SST-2: is a sentence of a film review positive or negative? What the labels are called is told by a few
//! examples that are hidden in a long text.

use std::collections::BTreeMap;
use std::path::Path;

use super::padded::{Group, Padding, groups};
use super::place::Needle;
use super::rng::Rng;
use super::rows::Rows;
use super::{Metric, Task, TaskError, check_index};
use crate::item::{Document, Question, TokenCount};

/// The labels 0 and 1.
const CLASSES: [&str; 2] = ["negative", "positive"];

/// The examples, made up, with their labels.
const EXAMPLES: [(&str, usize); 6] = [
    ("a tender, funny film that stays with you for days", 1),
    ("two hours of shouting in search of a plot", 0),
    ("the jokes were stale before the titles had ended", 0),
    ("every scene glows with quiet intelligence", 1),
    ("a joy from the first frame to the last", 1),
    ("so dull that even the explosions seem tired", 0),
];

/// A line of the file.
#[derive(Clone, Debug)]
struct Row {
    sentence: String,
    label: usize,
}

/// Sentences to be judged after a long context in which the labelled examples stand.
#[derive(Clone, Debug)]
pub struct Sst2 {
    rows: Rows<Row>,
    padding: Padding,
    groups: Vec<Group>,
}

impl Sst2 {
    /// The rows of a TSV file with a header: sentence, tab, 0 or 1; at most `limit` of them where it is given.
    ///
    /// # Errors
    /// If the file cannot be read or has no rows. Malformed rows are errors of their own documents, which come last.
    pub fn open(path: &Path, padding: Padding, limit: Option<usize>) -> Result<Self, TaskError> {
        let mut rows = Rows::read(path, 1, parse)?;
        rows.truncate(limit.unwrap_or(usize::MAX));
        let groups = groups(&rows, padding.per_document);
        Ok(Self { rows, padding, groups })
    }

    /// Rows that share a context.
    fn shared(&self, index: usize, numbers: &[usize], tokens: &dyn TokenCount) -> Result<Document, TaskError> {
        let mut rng = Rng::for_item(self.padding.seed, "sst2", index as u64);
        let depth = Padding::depth(&mut rng);
        let mut questions = Vec::new();
        for &number in numbers {
            let id = self.rows.line(number).to_string();
            questions.push(question(self.rows.get(number)?, id, self.padding.length, depth));
        }
        let inserts = [Needle { depth, text: examples(&mut rng) }];
        let context = self.padding.context("sst2", &mut rng, &inserts, &questions, tokens)?;
        Ok(Document { id: format!("{}-{index}", self.padding.length), context, chat: true, questions })
    }
}

/// A row, if it is one.
fn parse(line: &str) -> Result<Row, String> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [sentence, label] = fields[..] else {
        return Err(format!("2 fields were expected, not {}", fields.len()));
    };
    let sentence = sentence.trim().to_owned();
    match (label.trim(), sentence.is_empty()) {
        (_, true) => Err("the sentence is empty".into()),
        ("0", _) => Ok(Row { sentence, label: 0 }),
        ("1", _) => Ok(Row { sentence, label: 1 }),
        (other, _) => Err(format!("a label of 0 or 1 was expected, not `{other}`")),
    }
}

/// The examples in a drawn order, a line each.
fn examples(rng: &mut Rng) -> String {
    let mut examples = EXAMPLES;
    rng.shuffle(&mut examples);
    let lines = examples.map(|(review, label)| format!("Review: {review}\nSentiment: {}", CLASSES[label]));
    lines.join("\n")
}

/// What is asked about a row.
fn question(row: &Row, id: String, length: usize, depth: f64) -> Question {
    Question {
        id,
        text: format!(
            "\n\nThe text ends here. Label one more review as those in the text are labelled, with one word.\n\
             Review: {}\n",
            row.sentence
        ),
        answer_prefix: "Sentiment:".into(),
        answers: vec![CLASSES[row.label].into()],
        classes: CLASSES.map(String::from).to_vec(),
        max_tokens: 4,
        stop: vec!["\n".into()],
        labels: BTreeMap::from([("length".into(), length as f64), ("depth".into(), depth)]),
    }
}

impl Task for Sst2 {
    fn name(&self) -> String {
        "sst2".into()
    }

    fn metric(&self) -> Metric {
        Metric::Accuracy
    }

    fn count(&self) -> usize {
        self.groups.len()
    }

    fn document(&self, index: usize, tokens: &dyn TokenCount) -> Result<Document, TaskError> {
        check_index(self, index)?;
        match &self.groups[index] {
            Group::Rows(numbers) => self.shared(index, numbers, tokens),
            Group::Bad(number) => Err(self.rows.failure(*number)),
        }
    }
}
