//! What a report says of the run besides its results.

use serde::{Deserialize, Serialize};

/// What was run: texts for people, as the runner found them. Empty ones are left out of pages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunInfo {
    /// The model and its file.
    pub model: String,
    /// The tasks that were asked for: one without a prediction is reported.
    pub tasks: Vec<String>,
    /// The methods that were asked for, likewise.
    pub methods: Vec<String>,
    /// Context, items and tokens at most.
    pub limits: String,
    /// At which moments caches were compressed.
    pub when: String,
    /// The seed, or seeds.
    pub seeds: String,
    /// Processor, memory, threads.
    pub machine: String,
    /// Versions: program, libraries, data.
    pub versions: String,
    /// The command that was given.
    pub command: String,
    /// When it was run.
    pub date: String,
}

impl RunInfo {
    /// Heading and text of everything that was said.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let all = [
            ("Model", self.model.clone()),
            ("Tasks", self.tasks.join(", ")),
            ("Methods", self.methods.join(", ")),
            ("Limits", self.limits.clone()),
            ("Compressed", self.when.clone()),
            ("Seeds", self.seeds.clone()),
            ("Machine", self.machine.clone()),
            ("Versions", self.versions.clone()),
            ("Command", self.command.clone()),
            ("Date", self.date.clone()),
        ];
        all.into_iter().filter(|(_, text)| !text.is_empty()).collect()
    }
}

/// A question that got no prediction, and why. Fields that do not apply are empty: a file that could not be read has
/// no question.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The task.
    pub task: String,
    /// The document's id.
    pub document: String,
    /// The question's id.
    pub question: String,
    /// The cache with its settings.
    pub method: String,
    /// What went wrong.
    pub reason: String,
}
