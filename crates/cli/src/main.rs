//! `fourier-kv`: long contexts with a small key/value cache, from the command line.
//!
//! The one crate that prints, reads the environment, or exits. A command goes through three
//! steps: what was typed ([`args`]), what it means ([`requests`]), and the work. A failure comes
//! back as a [`failure::Failure`] and is printed with its hint ([`hints`]) here.

#![deny(unsafe_code)]

mod args;
mod bench;
mod calibrate;
mod cancel;
mod chat;
mod computer;
mod doctor;
mod environment;
mod evaluate;
mod failure;
mod hints;
mod input;
mod inspect;
mod loading;
mod logging;
mod models;
mod output;
mod plan_shares;
mod progress;
mod pull;
mod requests;
mod resident;
mod run;
mod serve;
mod session;
mod usage;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command, DoctorArgs, PullArgs};
use cancel::{Cancel, EXIT_INTERRUPTED};
use environment::Environment;
use failure::Failure;
use output::Output;
use progress::Progress;
use requests::{PullRequest, RequestError};
use session::{Ending, Session};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return not_parsed(&error),
    };
    let output = Output { json: cli.common.json, quiet: cli.common.quiet };
    match start(&cli, output).and_then(|session| run(&cli.command, &session)) {
        Ok(Ending::Done) => ExitCode::SUCCESS,
        Ok(Ending::Interrupted) => ExitCode::from(EXIT_INTERRUPTED),
        Err(failure) => fail(output, &failure),
    }
}

fn start(cli: &Cli, output: Output) -> Result<Session, Failure> {
    let environment = Environment::read();
    let verbosity = logging::Verbosity { verbose: cli.common.verbose, quiet: output.quiet };
    logging::start(verbosity, environment.log.as_deref()).map_err(RequestError::LogFilter)?;
    let visible = environment.stderr_is_terminal && !output.quiet && !output.json;
    let cancel = Cancel::on_ctrl_c()?;
    Ok(Session { environment, output, progress: Progress::new(visible), cancel })
}

fn run(command: &Command, session: &Session) -> Result<Ending, Failure> {
    match command {
        Command::Run(args) => return run::run(args, session),
        Command::Chat(args) => return chat::chat(args, session),
        Command::Inspect(args) => inspect::inspect(args, session)?,
        Command::Calibrate(args) => calibrate::calibrate(args, session)?,
        Command::Eval(args) => return evaluate::evaluate(args, session),
        Command::Bench(args) => bench::bench(args, session)?,
        Command::Serve(args) => serve::serve(args, session)?,
        Command::Pull(args) => pull(args, session)?,
        Command::Doctor(args) => doctor(args, session)?,
    }
    Ok(Ending::Done)
}

fn pull(args: &PullArgs, session: &Session) -> Result<(), Failure> {
    let Session { environment, output, progress, cancel } = session;
    let helpers = (*progress, cancel);
    let request = PullRequest::new(&args.model, &args.sources, environment, helpers)?;
    let pulled = pull::resolve(&request.model, &request.settings)?;
    output.remark(&pulled_remark(&pulled));
    output.result(&pulled.path.display().to_string(), &pulled).map_err(Failure::Output)
}

fn pulled_remark(pulled: &pull::Pulled) -> String {
    let mut remark = format!("{}: {}, from {}", pulled.model, output::megabytes(pulled.bytes), pulled.source);
    if let Some(sha256) = &pulled.sha256 {
        remark += &format!(", SHA-256 {sha256}");
    }
    if let Some(known) = models::by_alias(&pulled.model) {
        remark += &format!(" (checked), licence {}", known.licence);
    }
    remark
}

fn doctor(args: &DoctorArgs, session: &Session) -> Result<(), Failure> {
    let threads = requests::threads(args.threads)?;
    let report = doctor::examine(threads, &session.environment, &session.cancel)?;
    session.output.result(&report.to_string(), &report).map_err(Failure::Output)
}

fn fail(output: Output, failure: &Failure) -> ExitCode {
    if !failure.is_closed_pipe() {
        output.failure(&failure.message(), hints::hint(failure).as_deref());
    }
    ExitCode::from(failure.exit_code())
}

/// Help, a version, or a usage error: the options are not known yet, so `--json` is looked for by
/// hand.
fn not_parsed(error: &clap::Error) -> ExitCode {
    let json = std::env::args_os().any(|argument| argument == "--json");
    let output = Output { json, quiet: false };
    match usage::explain(error) {
        usage::NotParsed::Wrong(failure) => fail(output, &failure),
        usage::NotParsed::Asked(text) => {
            let plain = Output { json: false, quiet: false };
            match plain.result(&text, &()).map_err(Failure::Output) {
                Ok(()) => ExitCode::SUCCESS,
                Err(failure) => fail(plain, &failure),
            }
        }
    }
}
