//! What each command takes.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::options::{CacheArgs, DeviceArgs, GenerationArgs, MemoryArgs, ModelArgs, SessionArgs, SourceArgs};

/// `fourier-kv pull`.
#[derive(Debug, Args)]
pub(crate) struct PullArgs {
    /// Short name, hub id (owner/name[/file.gguf]), .gguf file, or folder with safetensors
    ///
    /// Short names: smollm2, qwen2.5-coder-0.5b, qwen2.5-coder-1.5b.
    #[arg(value_name = "MODEL")]
    pub(crate) model: String,

    /// Where the model comes from.
    #[command(flatten)]
    pub(crate) sources: SourceArgs,
}

/// `fourier-kv doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Threads to measure with [default: one a core]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
}

/// `fourier-kv run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The question or task; with --file it comes after the files
    #[arg(value_name = "PROMPT")]
    pub(crate) prompt: Vec<String>,

    /// Text to read before the prompt; `-` is standard input (may be repeated)
    #[arg(long, short, value_name = "FILE")]
    pub(crate) file: Vec<PathBuf>,

    /// System message
    #[arg(long, value_name = "TEXT")]
    pub(crate) system: Option<String>,

    /// Give the text to the model as it is, without its chat template
    #[arg(long)]
    pub(crate) raw: bool,

    /// Which model.
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    /// How the past is kept.
    #[command(flatten)]
    pub(crate) cache: CacheArgs,

    /// How much memory the past may take.
    #[command(flatten)]
    pub(crate) memory: MemoryArgs,

    /// Sessions on disk.
    #[command(flatten)]
    pub(crate) session: SessionArgs,

    /// How the answer is chosen.
    #[command(flatten)]
    pub(crate) generation: GenerationArgs,

    /// What computes.
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

/// `fourier-kv inspect`.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// Which model.
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    /// Cache to show, KIND or KIND:key=value,... (may be repeated) [default: every kind]
    #[arg(long, value_name = "KIND")]
    pub(crate) cache: Vec<String>,

    /// Lengths of the past to show, in tokens, such as 1k,4k,16k [default: up to the model's context]
    #[arg(long, value_name = "TOKENS", value_delimiter = ',')]
    pub(crate) context: Vec<String>,

    /// Plan file to look at beside the model
    #[arg(long, value_name = "FILE")]
    pub(crate) plan: Option<PathBuf>,
}

/// `fourier-kv calibrate`.
#[derive(Debug, Args)]
pub(crate) struct CalibrateArgs {
    /// Which model.
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    /// Text file, or folder of text files, to calibrate on (may be repeated)
    #[arg(long, value_name = "PATH", required = true)]
    pub(crate) text: Vec<PathBuf>,

    /// Plan file to write; one that is there is replaced
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: PathBuf,

    /// How the past will be kept: KIND, or KIND:key=value,...
    #[arg(long, value_name = "KIND", default_value = "spectral")]
    pub(crate) cache: String,

    /// Tokens of text to look at [default: 4096 for spectral, 16384 for fourier]
    #[arg(long, value_name = "N")]
    pub(crate) tokens: Option<usize>,

    /// Tokens of text to look at together, for fourier; no more than the model's context
    #[arg(long, value_name = "N", default_value_t = 4_096)]
    pub(crate) sequence: usize,

    /// What computes.
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

/// When caches compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Compress {
    /// Before any question is known
    AfterContext,
    /// With the question
    AfterPrompt,
}

/// `fourier-kv eval`.
#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// Tasks: ppl, needle, needle:multi-key, ruler or ruler:NAME, longbench or longbench:NAME, squad, sst2
    #[arg(value_name = "TASK", required = true)]
    pub(crate) tasks: Vec<String>,

    /// Which model.
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    /// Caches to compare, with commas between; exact attention is always among them
    #[arg(
        long,
        value_name = "KINDS",
        default_value = "spectral,fourier,int4,int2,snapkv,streaming",
        help_heading = "Comparison"
    )]
    pub(crate) cache: String,

    /// Plan file that `fourier-kv calibrate` made, for the caches of its kind
    #[arg(long, value_name = "FILE", help_heading = "Comparison")]
    pub(crate) plan: Option<PathBuf>,

    /// Bytes that a compressed context may hold, such as 8MB: `spectral` takes the most bits that fit
    #[arg(long, value_name = "SIZE", help_heading = "Comparison")]
    pub(crate) cache_memory: Option<String>,

    /// How many times smaller caches are to be whose size can be chosen, such as 2,4,8
    #[arg(long, value_name = "RATIOS", value_delimiter = ',', help_heading = "Comparison")]
    pub(crate) ratio: Vec<f64>,

    /// When caches compress
    #[arg(long, value_enum, default_value = "after-context", help_heading = "Comparison")]
    pub(crate) compress: Compress,

    /// Folder of data: ppl, niah, ruler, longbench, squad and glue, as far as they are wanted
    #[arg(long, value_name = "DIR", help_heading = "Tasks")]
    pub(crate) data: Option<PathBuf>,

    /// Text to continue, for ppl (may be repeated) [default: those of the data folder]
    #[arg(long, value_name = "FILE", help_heading = "Tasks")]
    pub(crate) text: Vec<PathBuf>,

    /// Texts to hide needles in [default: those of the data folder, or generated ones]
    #[arg(long, value_name = "DIR", help_heading = "Tasks")]
    pub(crate) haystack: Option<PathBuf>,

    /// Tokens of a prompt and its answer at most, such as 4k,8k; a grid of needles has several
    #[arg(long, value_name = "TOKENS", value_delimiter = ',', default_value = "4k", help_heading = "Tasks")]
    pub(crate) length: Vec<String>,

    /// Documents, or rows, a task
    #[arg(long, value_name = "N", default_value_t = 5, help_heading = "Tasks")]
    pub(crate) items: usize,

    /// Depths of a grid of needles
    #[arg(long, value_name = "N", default_value_t = 11, help_heading = "Tasks")]
    pub(crate) depths: usize,

    /// Needles in one haystack, for needle:multi-key
    #[arg(long, value_name = "N", default_value_t = 10, help_heading = "Tasks")]
    pub(crate) needles: usize,

    /// Tokens that are read before they are compressed, for ppl
    #[arg(long, value_name = "TOKENS", default_value = "7168", help_heading = "Tasks")]
    pub(crate) prefix: String,

    /// Tokens that continue them, for ppl
    #[arg(long, value_name = "TOKENS", default_value = "768", help_heading = "Tasks")]
    pub(crate) continuation: String,

    /// Seed of all that is drawn
    #[arg(long, value_name = "N", default_value_t = 42, help_heading = "Tasks")]
    pub(crate) seed: u64,

    /// Folder for predictions and the report; a run that it holds is gone on with
    #[arg(long, short, value_name = "DIR", default_value = "evaluation")]
    pub(crate) output: PathBuf,

    /// What computes.
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}
