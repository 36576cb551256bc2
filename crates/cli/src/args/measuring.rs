//! What commands that measure speed take.

use clap::Args;

use super::options::{DeviceArgs, ModelArgs};

/// `fourier-kv bench`.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Which model.
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    /// How the past is kept: KIND, or KIND:key=value,... (may be repeated)
    #[arg(long, value_name = "KIND", default_value = "exact")]
    pub(crate) cache: Vec<String>,

    /// Tokens of the prompt, such as 2k,8k,32k; beyond the model's context, too
    #[arg(long, value_name = "TOKENS", value_delimiter = ',', default_value = "2k")]
    pub(crate) context: Vec<String>,

    /// Tokens that are read one by one after it
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub(crate) tokens: usize,

    /// What computes.
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}
