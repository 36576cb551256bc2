//! Tasks by their names, as a command line gives them.

use std::path::{Path, PathBuf};

use crate::report::Failure;
use crate::tasks::{
    Haystack, LongBench, LongBenchTask, MultiKey, NeedleGrid, Padding, Ppl, Ruler, RulerTask, Squad, Sst2, Task,
    TaskError, WordLists,
};

/// The names of tasks, with one line each.
pub const TASKS: [(&str, &str); 7] = [
    ("ppl", "continue texts: perplexity, and divergence from exact attention"),
    ("needle", "one fact in a haystack, over a grid of lengths and depths"),
    ("needle:multi-key", "many numbers in one haystack, each asked for alone"),
    ("ruler", "RULER's eleven synthetic tasks, or one of them: ruler:vt"),
    ("longbench", "LongBench's English and code tasks, or one of them: longbench:qasper"),
    ("squad", "SQuAD's questions behind a long context"),
    ("sst2", "SST-2's sentiments behind a long context"),
];

/// What tasks are made of.
#[derive(Clone, Debug, PartialEq)]
pub struct SuiteOptions {
    /// A folder with `ppl`, `niah`, `ruler`, `longbench`, `squad` and `glue`, as far as they are wanted.
    pub data: Option<PathBuf>,
    /// Texts for `ppl`; none: those of the data folder.
    pub texts: Vec<PathBuf>,
    /// Texts that needles are hidden in; `None`: those of the data folder, or else generated ones.
    pub haystack: Option<PathBuf>,
    /// Tokens of a prompt and its answer at most, the most of several where a task has a grid.
    pub lengths: Vec<usize>,
    /// Documents, or rows, a task.
    pub items: usize,
    /// Depths of a needle grid.
    pub depths: usize,
    /// Needles in one haystack.
    pub needles: usize,
    /// Tokens that `ppl` reads before it compresses.
    pub prefix: usize,
    /// Tokens that it continues them by.
    pub continuation: usize,
    /// The seed of everything that is drawn.
    pub seed: u64,
}

impl Default for SuiteOptions {
    fn default() -> Self {
        SuiteOptions {
            data: None,
            texts: Vec::new(),
            haystack: None,
            lengths: vec![4096],
            items: 5,
            depths: 11,
            needles: 10,
            prefix: 7168,
            continuation: 768,
            seed: 42,
        }
    }
}

/// Tasks, ready to be asked.
#[derive(Default)]
pub struct Suite {
    /// Tasks with questions.
    pub tasks: Vec<Box<dyn Task>>,
    /// Texts to be continued.
    pub passages: Option<Ppl>,
}

impl std::fmt::Debug for Suite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Suite").field("names", &self.names()).finish()
    }
}

/// No such task.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a task among {known}, got `{got}`")]
pub struct UnknownTask {
    /// The tasks there are.
    pub known: String,
    /// What came.
    pub got: String,
}

impl Suite {
    /// The tasks of `names`. What a task needs and is not there is named among `failures`; the others go on.
    ///
    /// # Errors
    /// If a name is not known.
    pub fn open(names: &[String], options: &SuiteOptions, failures: &mut Vec<Failure>) -> Result<Self, UnknownTask> {
        let mut suite = Suite::default();
        for name in names {
            let opened = match name.split_once(':').unwrap_or((name, "")) {
                ("ppl", "") => suite.ppl(options),
                ("needle", "") => suite.needle(options),
                ("needle", "multi-key") => suite.needles(options),
                ("ruler", "") => RulerTask::ALL.iter().try_for_each(|&task| suite.ruler(task, options)),
                ("ruler", one) => suite.ruler(RulerTask::parse(one).ok_or_else(|| unknown(name))?, options),
                ("longbench", one) => {
                    let tasks = match one {
                        "" => LongBenchTask::ALL.to_vec(),
                        _ => vec![LongBenchTask::parse(one).ok_or_else(|| unknown(name))?],
                    };
                    for task in tasks {
                        let opened = suite.longbench(task, options);
                        note(&format!("longbench:{}", task.name()), opened, failures);
                    }
                    Ok(())
                }
                ("squad", "") => suite.squad(options),
                ("sst2", "") => suite.sst2(options),
                _ => return Err(unknown(name)),
            };
            note(name, opened, failures);
        }
        Ok(suite)
    }

    /// The names of all tasks.
    pub fn names(&self) -> Vec<String> {
        let texts = self.passages.iter().flat_map(|ppl| ppl.files.iter().map(|file| ppl_name(file)));
        texts.chain(self.tasks.iter().map(|task| task.name())).collect()
    }

    fn ppl(&mut self, options: &SuiteOptions) -> Result<(), TaskError> {
        let files = match options.texts.is_empty() {
            true => texts_of(&data(options, "ppl", "ppl")?)?,
            false => options.texts.clone(),
        };
        let SuiteOptions { prefix, continuation, items, .. } = *options;
        self.passages = Some(Ppl { prefix, continuation, windows: items, ..Ppl::new(files) });
        Ok(())
    }

    fn needle(&mut self, options: &SuiteOptions) -> Result<(), TaskError> {
        let steps = options.depths.max(2) - 1;
        let depths = match options.depths {
            1 => vec![50.0],
            count => (0..count).map(|i| 100.0 * i as f64 / steps as f64).collect(),
        };
        let (haystack, seed) = (haystack(options)?, options.seed);
        let grid = NeedleGrid::new(options.lengths.clone(), options.items);
        self.tasks.push(Box::new(NeedleGrid { depths, haystack, seed, ..grid }));
        Ok(())
    }

    fn needles(&mut self, options: &SuiteOptions) -> Result<(), TaskError> {
        let (haystack, seed, keys) = (haystack(options)?, options.seed, options.needles);
        let task = MultiKey::new(options.lengths.clone(), options.items);
        self.tasks.push(Box::new(MultiKey { keys, haystack, seed, ..task }));
        Ok(())
    }

    fn ruler(&mut self, task: RulerTask, options: &SuiteOptions) -> Result<(), TaskError> {
        let folder = options.data.as_ref().map(|data| data.join("ruler")).filter(|folder| folder.is_dir());
        let words = folder.map_or_else(|| Ok(WordLists::built_in()), |folder| WordLists::folder(&folder))?;
        let (haystack, seed) = (haystack(options)?, options.seed);
        let task = Ruler { words, haystack, seed, ..Ruler::new(task, longest(options), options.items) };
        self.tasks.push(Box::new(task));
        Ok(())
    }

    fn longbench(&mut self, task: LongBenchTask, options: &SuiteOptions) -> Result<(), TaskError> {
        let folder = data(options, "longbench", "longbench")?;
        let mut task = LongBench::open(&folder, task, Some(options.items))?;
        task.limit = Some(longest(options));
        self.tasks.push(Box::new(task));
        Ok(())
    }

    fn squad(&mut self, options: &SuiteOptions) -> Result<(), TaskError> {
        let file = data(options, "squad", "squad/squad_v1_200.jsonl")?;
        self.tasks.push(Box::new(Squad::open(&file, padding(options)?, Some(options.items))?));
        Ok(())
    }

    fn sst2(&mut self, options: &SuiteOptions) -> Result<(), TaskError> {
        let file = data(options, "sst2", "glue/sst2_dev.tsv")?;
        self.tasks.push(Box::new(Sst2::open(&file, padding(options)?, Some(options.items))?));
        Ok(())
    }
}

/// The name that predictions about a text bear: `ppl:` and the file's name without its ending.
pub fn ppl_name(file: &Path) -> String {
    format!("ppl:{}", file.file_stem().unwrap_or_default().to_string_lossy())
}

fn note(task: &str, opened: Result<(), TaskError>, failures: &mut Vec<Failure>) {
    if let Err(error) = opened {
        failures.push(Failure { task: task.to_owned(), reason: error.to_string(), ..Failure::default() });
    }
}

fn unknown(got: &str) -> UnknownTask {
    UnknownTask { known: TASKS.map(|(name, _)| name).join(", "), got: got.to_owned() }
}

fn longest(options: &SuiteOptions) -> usize {
    options.lengths.iter().copied().max().unwrap_or_default()
}

/// A part of the data folder.
fn data(options: &SuiteOptions, task: &str, part: &str) -> Result<PathBuf, TaskError> {
    let reason = || "a folder of data was expected, and none was given".to_owned();
    let folder = options.data.as_ref().ok_or_else(|| TaskError::Setting { task: task.to_owned(), reason: reason() })?;
    Ok(folder.join(part))
}

fn haystack(options: &SuiteOptions) -> Result<Haystack, TaskError> {
    let own = options.data.as_ref().map(|data| data.join("niah")).filter(|folder| folder.is_dir());
    match options.haystack.as_ref().or(own.as_ref()) {
        Some(folder) => Haystack::folder(folder),
        None => Ok(Haystack::filler()),
    }
}

fn padding(options: &SuiteOptions) -> Result<Padding, TaskError> {
    Ok(Padding { haystack: haystack(options)?, seed: options.seed, ..Padding::new(longest(options)) })
}

/// The `.txt` files of a folder, by name.
fn texts_of(folder: &Path) -> Result<Vec<PathBuf>, TaskError> {
    let io = |source| TaskError::Io { path: folder.to_owned(), source };
    let entries = std::fs::read_dir(folder).map_err(io)?.collect::<Result<Vec<_>, _>>().map_err(io)?;
    let mut files: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "txt"));
    files.sort();
    Ok(files)
}
