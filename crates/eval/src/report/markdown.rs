//! The report's tables as Markdown.

use super::escape::markdown_cell;
use super::table::{Table, TableGroup};
use super::{Failure, Report};

/// `tables.md`: what was run, every table, what is missing and what failed.
pub fn document(report: &Report) -> String {
    let mut out = "# Quality against bytes\n\n".to_owned();
    for (heading, text) in report.run.lines() {
        out += &format!("- {heading}: {}\n", markdown_cell(&text));
    }
    if report.tables.is_empty() {
        out += "\nThere are no predictions.\n";
    }
    for table in &report.tables {
        out += &format!("\n{}", table.to_markdown());
    }
    if !report.gaps.is_empty() {
        out += "\n## Missing\n\n";
        report.gaps.iter().for_each(|gap| out += &format!("- {}\n", markdown_cell(&gap.to_string())));
    }
    if !report.failures.is_empty() {
        out += &format!("\n## Failed\n\n{}", failures(&report.failures).to_markdown());
    }
    out
}

/// The table of what failed.
pub(super) fn failures(failures: &[Failure]) -> Table {
    let row =
        |f: &Failure| vec![&f.task, &f.document, &f.question, &f.method, &f.reason].into_iter().cloned().collect();
    Table {
        caption: format!("{} without a prediction", failures.len()),
        columns: ["task", "document", "question", "method", "reason"].map(str::to_owned).to_vec(),
        groups: vec![TableGroup { heading: None, rows: failures.iter().map(row).collect() }],
    }
}
