//! What each command takes.

use std::path::PathBuf;

use clap::Args;

use super::options::{CacheArgs, DeviceArgs, GenerationArgs, ModelArgs, SourceArgs};

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
    #[arg(long, value_name = "KIND", default_value = "fourier")]
    pub(crate) cache: String,

    /// Tokens of text to look at
    #[arg(long, value_name = "N", default_value_t = 16_384)]
    pub(crate) tokens: usize,

    /// Tokens of text to look at together; no more than the model's context
    #[arg(long, value_name = "N", default_value_t = 4_096)]
    pub(crate) sequence: usize,

    /// What computes.
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}
