//! What `chat` takes.

use std::path::PathBuf;

use clap::Args;

use super::options::{CacheArgs, DeviceArgs, GenerationArgs, MemoryArgs, ModelArgs, SessionArgs};

/// `fourier-kv chat`.
#[derive(Debug, Args)]
pub(crate) struct ChatArgs {
    /// Text to read before the first message (may be repeated)
    #[arg(long, short, value_name = "FILE")]
    pub(crate) file: Vec<PathBuf>,

    /// System message
    #[arg(long, value_name = "TEXT")]
    pub(crate) system: Option<String>,

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

    /// How answers are chosen.
    #[command(flatten)]
    pub(crate) generation: GenerationArgs,

    /// What computes.
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}
