//! A whole evaluation: tasks by methods into a folder, begun or gone on with.

use std::path::{Path, PathBuf};

use fourier_kv_engine::Engine;

use crate::prediction::Prediction;
use crate::report::{EXACT, Failure, Report, RunInfo, files};
use crate::runner::{EngineTokens, Journal, Method, RunError, Runner, Watch, When};
use crate::suite::{Suite, ppl_name};

/// The file that predictions are written to.
pub const PREDICTIONS_FILE: &str = "predictions.jsonl";
/// The file that says what a folder's run is.
pub const RUN_FILE: &str = "run.json";

/// What is run, and where it goes.
#[derive(Debug)]
pub struct Evaluation<'a> {
    /// The model.
    pub engine: &'a Engine,
    /// What is compared, besides exact attention.
    pub methods: &'a [Method],
    /// When methods compress.
    pub when: When,
    /// Where everything is written.
    pub folder: &'a Path,
    /// What is said of the run.
    pub info: RunInfo,
    /// What everything drawn depends on: a folder with another one holds another run.
    pub settings: serde_json::Value,
}

/// Why an evaluation came to no end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluationError {
    /// A pass over the model was stopped, or nothing can be written.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The report cannot be written.
    #[error(transparent)]
    Report(#[from] files::WriteError),
    /// The folder holds the predictions of a run that differs.
    #[error("expected {} to hold a run with the same model and settings, or none; `{what}` differs", folder.display())]
    OtherRun {
        /// The folder.
        folder: PathBuf,
        /// The setting that differs.
        what: String,
    },
}

/// What came of an evaluation.
#[derive(Debug)]
pub struct Evaluated {
    /// The report that was written.
    pub report: Report,
    /// Whether it was stopped before its end.
    pub stopped: bool,
}

impl Evaluation<'_> {
    /// Runs what is missing, and writes the report of all that there is, also when the run is stopped.
    ///
    /// # Errors
    /// If the folder holds another run, or cannot be written.
    pub fn run(
        self,
        suite: &Suite,
        mut failures: Vec<Failure>,
        watch: &mut Watch<'_>,
    ) -> Result<Evaluated, EvaluationError> {
        std::fs::create_dir_all(self.folder).map_err(io(self.folder))?;
        self.claim()?;
        let mut journal = Journal::open(&self.folder.join(PREDICTIONS_FILE))?;
        let mut runner = Runner::new(self.engine, self.methods, self.when, &mut journal, &mut failures);
        let stopped = match all(&mut runner, self.engine, suite, watch) {
            Err(error) if error.is_stop() => true,
            result => {
                result?;
                false
            }
        };
        let asked = self.asked(journal.predictions());
        let report = Report::new(self.info, &asked, failures);
        files::write(&report, self.folder)?;
        Ok(Evaluated { report, stopped })
    }

    /// The predictions of the tasks and methods of this run: the folder may hold more of them.
    fn asked(&self, predictions: &[Prediction]) -> Vec<Prediction> {
        let wanted = |p: &&Prediction| {
            let method = p.method == EXACT || self.methods.iter().any(|m| m.name == p.method);
            method && p.when == self.when.name() && self.info.tasks.contains(&p.task)
        };
        predictions.iter().filter(wanted).cloned().collect()
    }

    /// Makes the folder this run's, or finds that it is.
    fn claim(&self) -> Result<(), EvaluationError> {
        let path = self.folder.join(RUN_FILE);
        let Ok(text) = std::fs::read_to_string(&path) else {
            let text = serde_json::to_string_pretty(&self.settings).expect("a value can be written") + "\n";
            return Ok(files::write_whole(&path, &text)?);
        };
        let there: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        match differing(&there, &self.settings) {
            None => Ok(()),
            Some(what) => Err(EvaluationError::OtherRun { folder: self.folder.to_owned(), what }),
        }
    }
}

/// Every text, then every task.
fn all(runner: &mut Runner<'_>, engine: &Engine, suite: &Suite, watch: &mut Watch<'_>) -> Result<(), RunError> {
    for (i, file) in suite.passages.iter().flat_map(|ppl| ppl.files.iter().enumerate()) {
        let passages = suite.passages.as_ref().map(|ppl| ppl.passages(i, &EngineTokens(engine)));
        passages.map_or(Ok(()), |passages| runner.passages(&ppl_name(file), passages, watch))?;
    }
    suite.tasks.iter().try_for_each(|task| runner.task(task.as_ref(), watch))
}

/// The first setting that two runs do not have in common.
fn differing(a: &serde_json::Value, b: &serde_json::Value) -> Option<String> {
    let (Some(left), Some(right)) = (a.as_object(), b.as_object()) else {
        return (a != b).then(|| RUN_FILE.to_owned());
    };
    left.keys().chain(right.keys()).find(|key| left.get(*key) != right.get(*key)).cloned()
}

fn io(path: &Path) -> impl Fn(std::io::Error) -> RunError {
    let path = path.to_owned();
    move |source| RunError::Io { path: path.clone(), source }
}
