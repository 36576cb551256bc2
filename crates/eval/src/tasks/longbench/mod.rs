//! LongBench v1: rows and templates from a folder, asked as the official `pred.py` asks them.
//!
//! # Departures
//!
//! - A prompt is split where its context ends, so that a cache can be compressed before the question is known. Put
//!   together again it is the official prompt.
//! - The official limit counts a token that marks the beginning where the tokenizer adds one; so does this one if
//!   [`LongBench::bos`] is set.
//! - `samsum` ends at a newline, but the official runner forces one other token first: a stop text must not count
//!   before the prediction has begun.

mod table;
mod template;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

pub use table::{Category, LongBenchTask};
use template::Template;

use super::rows::Rows;
use super::{Metric, Task, TaskError, check_index, io};
use crate::item::{Document, Question, TokenCount};

/// A line of a task's file.
#[derive(Clone, Debug, Deserialize)]
struct Row {
    input: String,
    context: String,
    answers: Vec<String>,
    #[serde(default)]
    length: Option<f64>,
    #[serde(default)]
    all_classes: Option<Vec<String>>,
    #[serde(default, rename = "_id")]
    id: Option<String>,
}

/// One task's rows.
#[derive(Clone, Debug)]
pub struct LongBench {
    task: LongBenchTask,
    rows: Rows<Row>,
    template: Template,
    max_tokens: usize,
    /// Tokens of a prompt at most; longer ones are cut in the middle.
    pub limit: Option<usize>,
    /// Whether the model's tokenizer puts a token before every text, which counts in the limit.
    pub bos: bool,
}

impl LongBench {
    /// A task of a folder: `NAME.jsonl`, `config/dataset2prompt.json` with the templates and, if it is there,
    /// `config/dataset2maxlen.json` with the answers' lengths; at most `rows` rows where it is given.
    ///
    /// # Errors
    /// If a file is missing or unreadable, the template is missing or odd, or there are no rows. Malformed rows are
    /// errors of their own documents.
    pub fn open(folder: &Path, task: LongBenchTask, rows: Option<usize>) -> Result<Self, TaskError> {
        let limit = rows.unwrap_or(usize::MAX);
        let mut rows = Rows::read(&folder.join(format!("{}.jsonl", task.name())), 0, |line| parse(task, line))?;
        rows.truncate(limit);
        let config = folder.join("config");
        let template = template(&config.join("dataset2prompt.json"), task)?;
        let max_tokens = max_tokens(&config.join("dataset2maxlen.json"), task)?;
        Ok(Self { task, rows, template, max_tokens, limit: None, bos: false })
    }

    /// The task.
    pub fn task(&self) -> LongBenchTask {
        self.task
    }

    /// The parts of a row's prompt, cut in the middle if it is too long.
    fn prompt(&self, row: &Row, tokens: &dyn TokenCount) -> Result<(String, String), TaskError> {
        let (before, after) = self.template.around(&row.input);
        let context = before + &row.context;
        let Some(limit) = self.limit else { return Ok((context, after)) };
        let bos = usize::from(self.bos);
        let prompt = format!("{context}{after}");
        let all = tokens.encode(&prompt).map_err(TaskError::Tokens)?;
        if all.len() + bos <= limit {
            return Ok((context, after));
        }
        let half = limit / 2;
        if half <= bos {
            return Err(TaskError::TooShort { task: self.name(), length: limit, needed: 2 * (bos + 1) });
        }
        let first = tokens.decode(&all[..half - bos]);
        let last = tokens.decode(&all[all.len() - half..]);
        Ok(match last.strip_suffix(after.as_str()) {
            Some(rest) => (first + rest, after),
            // The question alone is longer than half of the limit: it is what is cut.
            None => (first, last),
        })
    }
}

/// A row, if it has all that its task needs.
fn parse(task: LongBenchTask, line: &str) -> Result<Row, String> {
    let row: Row = serde_json::from_str(line).map_err(|e| e.to_string())?;
    if row.answers.is_empty() {
        return Err("`answers` is empty".into());
    }
    if row.context.is_empty() {
        return Err("`context` is empty".into());
    }
    if task.metric() == Metric::Classification && row.all_classes.as_ref().is_none_or(Vec::is_empty) {
        return Err("`all_classes` is empty".into());
    }
    Ok(row)
}

/// The entry of a task in a JSON file of entries by task name.
fn entry<T: serde::de::DeserializeOwned>(path: &Path, task: LongBenchTask) -> Result<Option<T>, TaskError> {
    let text = fs::read_to_string(path).map_err(|e| io(path, e))?;
    let wrong = |e: serde_json::Error| TaskError::Config { path: path.to_owned(), reason: e.to_string() };
    let mut all: BTreeMap<String, serde_json::Value> = serde_json::from_str(&text).map_err(wrong)?;
    all.remove(task.name()).map(serde_json::from_value).transpose().map_err(wrong)
}

/// The task's template.
fn template(path: &Path, task: LongBenchTask) -> Result<Template, TaskError> {
    let expected = || format!("template for `{}`", task.name());
    let missing = || TaskError::Empty { path: path.to_owned(), expected: expected() };
    let text: String = entry(path, task)?.ok_or_else(missing)?;
    let odd = |reason| TaskError::Config { path: path.to_owned(), reason: format!("{}: {reason}", expected()) };
    Template::parse(&text).map_err(odd)
}

/// The task's answer length: the configuration's, or LongBench's own where that has none.
fn max_tokens(path: &Path, task: LongBenchTask) -> Result<usize, TaskError> {
    let configured = if path.exists() { entry(path, task)? } else { None };
    Ok(configured.unwrap_or_else(|| task.max_tokens()))
}

impl Task for LongBench {
    fn name(&self) -> String {
        format!("longbench:{}", self.task.name())
    }

    fn metric(&self) -> Metric {
        self.task.metric()
    }

    fn first_line(&self) -> bool {
        self.task.first_line()
    }

    fn count(&self) -> usize {
        self.rows.len()
    }

    fn document(&self, index: usize, tokens: &dyn TokenCount) -> Result<Document, TaskError> {
        check_index(self, index)?;
        let row = self.rows.get(index)?;
        let (context, text) = self.prompt(row, tokens)?;
        let stop = if self.task == LongBenchTask::SamSum { vec!["\n".into()] } else { Vec::new() };
        let question = Question {
            id: "0".into(),
            text,
            answer_prefix: String::new(),
            answers: row.answers.clone(),
            classes: row.all_classes.clone().unwrap_or_default(),
            max_tokens: self.max_tokens,
            stop,
            labels: row.length.map(|words| ("length".into(), words)).into_iter().collect(),
        };
        // Ids come from a file and might be there twice.
        let id = format!("{}:{}", self.rows.line(index), row.id.as_deref().unwrap_or(""));
        Ok(Document { id, context, chat: self.task.chat(), questions: vec![question] })
    }
}
