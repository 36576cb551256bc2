//! Tables, plots and pages from predictions.
//!
//! [`Report::new`] makes everything of a run's predictions, and [`files::write`] puts it into a folder: `metrics.json`
//! with the numbers, `tables.md`, an SVG a figure, and `report.html` with all of it. The same predictions give the same
//! files, whatever their order.

use serde::Serialize;

pub mod comparison;
pub mod escape;
pub mod family;
pub mod figures;
pub mod files;
pub mod format;
pub mod gap;
pub mod html;
pub mod markdown;
pub mod measure;
mod order;
mod perplexity;
pub mod plot;
pub mod run;
#[cfg(test)]
pub(crate) mod sample;
pub mod summary;
pub mod table;

pub use family::FamilyScore;
pub use figures::{Figure, FigureKind};
pub use gap::Gap;
pub use order::EXACT;
pub use run::{Failure, RunInfo};
pub use summary::{Mean, Summary, summarise};
pub use table::Table;

use crate::prediction::Prediction;

/// All that is said of a run. Serialised it is its numbers, without tables and figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// What was run.
    pub run: RunInfo,
    /// A row a task, method, budget and moment.
    pub summaries: Vec<Summary>,
    /// The averages of RULER and LongBench.
    pub families: Vec<FamilyScore>,
    /// What is missing.
    pub gaps: Vec<Gap>,
    /// What went wrong.
    pub failures: Vec<Failure>,
    /// The numbers, for people.
    #[serde(skip)]
    pub tables: Vec<Table>,
    /// The numbers, to look at.
    #[serde(skip)]
    pub figures: Vec<Figure>,
}

impl Report {
    /// The report of a run: whatever is missing or failed is listed, and sinks nothing else.
    pub fn new(run: RunInfo, predictions: &[Prediction], failures: Vec<Failure>) -> Report {
        let summaries = summarise(predictions);
        let families = family::families(predictions);
        Report {
            gaps: gap::gaps(&summaries, &run.tasks, &run.methods),
            tables: comparison::tables(&summaries, &families),
            figures: figures::figures(predictions, &summaries, &families),
            run,
            summaries,
            families,
            failures,
        }
    }
}
