//! What was typed. What it means, and whether it goes together, is for [`crate::requests`].

mod chatting;
mod measuring;
mod options;
mod serving;
mod subcommands;

use clap::{Parser, Subcommand};

pub(crate) use chatting::ChatArgs;
pub(crate) use measuring::BenchArgs;
pub(crate) use options::{CacheArgs, DeviceArgs, GenerationArgs, MemoryArgs, SessionArgs, SourceArgs};
pub(crate) use serving::ServeArgs;
pub(crate) use subcommands::{CalibrateArgs, Compress, DoctorArgs, EvalArgs, InspectArgs, PullArgs, RunArgs};

/// Runs language models over long texts with a small key/value cache.
#[derive(Debug, Parser)]
#[command(name = "fourier-kv", version, max_term_width = 100, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Options of every command.
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// Options that every command takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct CommonArgs {
    /// Print one JSON object on standard output, also for errors
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) json: bool,

    /// Say nothing but results and errors
    #[arg(long, short, global = true, help_heading = "Output", conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    /// Log more; twice and three times more still (FOURIER_KV_LOG chooses finely)
    #[arg(long, short, global = true, help_heading = "Output", action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Answer over a long text
    Run(RunArgs),
    /// Talk with the model in the terminal, one message a line
    Chat(ChatArgs),
    /// Show a model, and what its past takes in every cache
    Inspect(InspectArgs),
    /// Make a plan: which parts of the past a model needs exactly
    Calibrate(CalibrateArgs),
    /// Measure quality against bytes: caches, by tasks
    Eval(EvalArgs),
    /// Measure speed: how fast prompts are read and tokens made
    Bench(BenchArgs),
    /// Serve the model over HTTP: OpenAI's API, and a page
    Serve(ServeArgs),
    /// Fetch a model and check it
    Pull(PullArgs),
    /// Show what this machine has and what would be used
    Doctor(DoctorArgs),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn common_options_stand_before_or_after_the_command() {
        for words in ["fourier-kv --json -vv doctor", "fourier-kv doctor -v --json -v"] {
            let cli = Cli::try_parse_from(words.split(' ')).unwrap();
            assert!(cli.common.json && cli.common.verbose == 2, "{words}");
        }
    }
}
