//! What `serve` takes.

use std::path::PathBuf;

use clap::Args;

use super::options::{CacheArgs, DeviceArgs, ModelArgs};

/// `fourier-kv serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Which model.
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    /// The model's name in requests and answers [default: the one given with --model, without folder and ending]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// Address to listen on; 0.0.0.0 lets other machines ask
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1", help_heading = "Network")]
    pub(crate) host: String,

    /// Port to listen on; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 8080, help_heading = "Network")]
    pub(crate) port: u16,

    /// File of API keys, one a line; then nothing but /health answers without one (also FOURIER_KV_API_KEY)
    #[arg(long, value_name = "FILE", help_heading = "Network")]
    pub(crate) api_key_file: Option<PathBuf>,

    /// Origin whose pages may ask, such as `https://example.org`; `*` for all (may be repeated)
    #[arg(long, value_name = "ORIGIN", help_heading = "Network")]
    pub(crate) cors: Vec<String>,

    /// Bytes that all pasts may hold, such as 512MB or 2GiB [default: half of the free memory]
    #[arg(long, value_name = "SIZE", help_heading = "Capacity")]
    pub(crate) cache_memory: Option<String>,

    /// Answers that are computed together at most
    #[arg(long, value_name = "N", default_value_t = 32, help_heading = "Capacity")]
    pub(crate) parallel: usize,

    /// Requests that wait at most; further ones are told to come back
    #[arg(long, value_name = "N", default_value_t = 128, help_heading = "Capacity")]
    pub(crate) queue: usize,

    /// Shortest past, in tokens, that is kept for later requests; 0 keeps none
    #[arg(long, value_name = "TOKENS", default_value_t = 256, help_heading = "Capacity")]
    pub(crate) keep: usize,

    /// Folder that idle sessions are parked in [default: none is]
    #[arg(long, value_name = "DIR", help_heading = "Sessions")]
    pub(crate) session_dir: Option<PathBuf>,

    /// Seconds after which an idle session is parked
    #[arg(long, value_name = "SECONDS", default_value_t = 600, help_heading = "Sessions")]
    pub(crate) park_after: u64,

    /// Longest answer, in tokens
    #[arg(long, value_name = "N", default_value_t = 2048, help_heading = "Limits")]
    pub(crate) max_tokens: usize,

    /// Most answers to one prompt
    #[arg(long, value_name = "N", default_value_t = 8, help_heading = "Limits")]
    pub(crate) max_answers: usize,

    /// Longest body of a request, such as 16MB
    #[arg(long, value_name = "SIZE", default_value = "16MiB", help_heading = "Limits")]
    pub(crate) max_body: String,

    /// Seconds from a request's arrival to its end
    #[arg(long, value_name = "SECONDS", default_value_t = 600, help_heading = "Limits")]
    pub(crate) timeout: u64,

    /// Connections at a time; further ones wait
    #[arg(long, value_name = "N", default_value_t = 512, help_heading = "Limits")]
    pub(crate) max_connections: usize,

    /// Seconds that running answers may take after Ctrl-C or SIGTERM
    #[arg(long, value_name = "SECONDS", default_value_t = 30, help_heading = "Limits")]
    pub(crate) grace: u64,

    /// How the past is kept.
    #[command(flatten)]
    pub(crate) cache: CacheArgs,

    /// What computes.
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}
