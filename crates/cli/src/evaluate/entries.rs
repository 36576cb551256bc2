//! Results as `--json` prints them, and as people read them.

use fourier_kv_eval::report::{Failure, Report, Summary};
use serde_json::{Map, Value, json};

/// An object a task and method, with the means of what was measured.
pub(super) fn of(report: &Report) -> Vec<Value> {
    report.summaries.iter().map(entry).collect()
}

fn entry(row: &Summary) -> Value {
    let each = |sum: u64| sum as f64 / row.count.max(1) as f64;
    // Exact attention holds 16 bits an element.
    let bits = row.ratio.map(|ratio| 16.0 / ratio);
    let mut object = Map::from_iter([
        ("task".to_owned(), json!(row.task)),
        ("cache".to_owned(), json!(row.method)),
        ("when".to_owned(), json!(row.when)),
        ("items".to_owned(), json!(row.count)),
        ("bytes".to_owned(), json!(each(row.bytes))),
        ("exact_bytes".to_owned(), json!(each(row.exact_bytes))),
        ("ratio".to_owned(), json!(row.ratio)),
        ("bits_per_element".to_owned(), json!(bits)),
    ]);
    object.extend(row.values.iter().map(|(name, value)| (name.clone(), json!(value.mean))));
    Value::Object(object)
}

/// One line of what was not done.
pub(super) fn failure(failure: &Failure) -> String {
    let place = [&failure.task, &failure.document, &failure.question, &failure.method];
    let place: Vec<&str> = place.into_iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    format!("{}: {}", place.join(", "), failure.reason)
}

/// The tables, as text for a terminal: without the marks that keep Markdown from reading names as its own.
pub(super) fn text(report: &Report) -> String {
    let tables: Vec<String> = report.tables.iter().map(|table| table.to_markdown()).collect();
    tables.join("\n\n").replace("\\_", "_").replace("\\|", "|")
}
