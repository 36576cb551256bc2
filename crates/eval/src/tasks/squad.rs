//! SQuAD v1.1 rows, their paragraphs hidden in a long text.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::padded::{Group, Padding, groups};
use super::place::Needle;
use super::rng::Rng;
use super::rows::Rows;
use super::{Metric, Task, TaskError, check_index};
use crate::item::{Document, Question, TokenCount};

/// A line of the file.
#[derive(Clone, Debug, Deserialize)]
struct Row {
    id: String,
    context: String,
    question: String,
    answers: Vec<String>,
}

/// Reading comprehension. Each row's paragraph is at a depth of its own in filler that several rows share.
#[derive(Clone, Debug)]
pub struct Squad {
    rows: Rows<Row>,
    padding: Padding,
    groups: Vec<Group>,
}

impl Squad {
    /// The rows of a JSONL file: `{id, context, question, answers}`, at most `limit` of them where it is given.
    ///
    /// # Errors
    /// If the file cannot be read or has no rows. Malformed rows are errors of their own documents, which come last.
    pub fn open(path: &Path, padding: Padding, limit: Option<usize>) -> Result<Self, TaskError> {
        let mut rows = Rows::read(path, 0, parse)?;
        rows.truncate(limit.unwrap_or(usize::MAX));
        let groups = groups(&rows, padding.per_document);
        Ok(Self { rows, padding, groups })
    }

    /// Rows that share a context.
    fn shared(&self, index: usize, numbers: &[usize], tokens: &dyn TokenCount) -> Result<Document, TaskError> {
        let mut rng = Rng::for_item(self.padding.seed, "squad", index as u64);
        let (mut inserts, mut questions) = (Vec::new(), Vec::new());
        for &number in numbers {
            let (row, depth) = (self.rows.get(number)?, Padding::depth(&mut rng));
            inserts.push(Needle { depth, text: row.context.trim().to_owned() });
            let id = format!("{}:{}", self.rows.line(number), row.id);
            questions.push(question(row, id, self.padding.length, depth));
        }
        let context = self.padding.context("squad", &mut rng, &inserts, &questions, tokens)?;
        Ok(Document { id: format!("{}-{index}", self.padding.length), context, chat: true, questions })
    }
}

/// A row, if it has all that is needed.
fn parse(line: &str) -> Result<Row, String> {
    let row: Row = serde_json::from_str(line).map_err(|e| e.to_string())?;
    for (name, empty) in [
        ("context", row.context.trim().is_empty()),
        ("question", row.question.trim().is_empty()),
        ("answers", row.answers.is_empty()),
    ] {
        if empty {
            return Err(format!("`{name}` is empty"));
        }
    }
    Ok(row)
}

/// What is asked about a row.
fn question(row: &Row, id: String, length: usize, depth: f64) -> Question {
    Question {
        id,
        text: format!(
            "\n\nThe text ends here. Answer a question about it with a few words that stand in the text, and with \
             nothing else.\nQuestion: {}\n",
            row.question.trim()
        ),
        answer_prefix: "Answer:".into(),
        answers: row.answers.clone(),
        max_tokens: 32,
        stop: vec!["\n".into()],
        labels: BTreeMap::from([("length".into(), length as f64), ("depth".into(), depth)]),
        ..Question::default()
    }
}

impl Task for Squad {
    fn name(&self) -> String {
        "squad".into()
    }

    fn metric(&self) -> Metric {
        Metric::Squad
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
