//! A request for an answer over a text.

use std::path::PathBuf;

use fourier_kv_engine::cache::CacheKind;

use super::calibrate_request::check_output;
use super::size::bytes;
use super::{Generation, Machine, Prompt, RequestError};
use crate::args::{CacheArgs, MemoryArgs, RunArgs, SessionArgs, SourceArgs};

/// How the past is kept.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CacheRequest {
    /// The method, with its settings.
    pub(crate) kind: CacheKind,
    /// Plan file, which is there.
    pub(crate) plan: Option<PathBuf>,
    /// Bytes that it may hold, if the kind is one whose size they choose.
    pub(crate) memory: Option<usize>,
}

impl CacheRequest {
    /// With a budget of memory, if one was given.
    pub(super) fn within(args: &CacheArgs, memory: &MemoryArgs) -> Result<Self, RequestError> {
        let request = Self::new(args)?;
        let memory = cache_memory(memory.cache_memory.as_deref(), [&request.kind])?;
        Ok(Self { memory, ..request })
    }

    pub(super) fn new(args: &CacheArgs) -> Result<Self, RequestError> {
        let kind = cache_kind(&args.cache)?;
        if let Some(plan) = &args.plan {
            check_plan(&kind, plan)?;
        }
        Ok(Self { kind, plan: args.plan.clone(), memory: None })
    }
}

fn check_plan(kind: &CacheKind, plan: &std::path::Path) -> Result<(), RequestError> {
    if !kind.takes_plan() {
        let without = "with a cache of this kind, which has nothing to plan";
        return Err(RequestError::NoEffect { option: "--plan", without });
    }
    existing_file("--plan", plan)
}

/// The bytes of `--cache-memory`, which are for the rate of one of `kinds` at least.
pub(super) fn cache_memory<'a>(
    text: Option<&str>,
    kinds: impl IntoIterator<Item = &'a CacheKind>,
) -> Result<Option<usize>, RequestError> {
    const OPTION: &str = "--cache-memory";
    let memory = text.map(|text| bytes(OPTION, text)).transpose()?;
    match memory.is_some() && !kinds.into_iter().any(CacheKind::is_free) {
        true => Err(RequestError::NoEffect { option: OPTION, without: "without --cache spectral, its bits left out" }),
        false => Ok(memory),
    }
}

/// The text of `--cache`.
pub(super) fn cache_kind(text: &str) -> Result<CacheKind, RequestError> {
    Ok(text.trim().parse::<CacheKind>()?)
}

/// A file that an option names must be there before hours are spent.
pub(super) fn existing_file(option: &'static str, path: &std::path::Path) -> Result<(), RequestError> {
    match path.is_file() {
        true => Ok(()),
        false => Err(RequestError::NoSuchFile { option, path: path.to_owned() }),
    }
}

/// Sessions on disk. Both may be one file.
#[derive(Debug, Clone)]
pub(crate) struct SessionRequest {
    /// The one to go on with, which is there.
    pub(crate) open: Option<PathBuf>,
    /// Where it is to be written after the answer; its folder is there.
    pub(crate) save: Option<PathBuf>,
}

impl SessionRequest {
    pub(super) fn new(args: &SessionArgs) -> Result<Self, RequestError> {
        args.session.as_deref().map_or(Ok(()), |path| existing_file("--session", path))?;
        args.save_session.as_deref().map_or(Ok(()), |path| check_output("--save-session", path))?;
        Ok(Self { open: args.session.clone(), save: args.save_session.clone() })
    }
}

/// An answer over a text.
#[derive(Debug, Clone)]
pub(crate) struct RunRequest {
    /// The model, as it was typed.
    pub(crate) model: String,
    /// Where the model may come from.
    pub(crate) sources: SourceArgs,
    /// What the model is given.
    pub(crate) prompt: Prompt,
    /// System message.
    pub(crate) system: Option<String>,
    /// Whether the model's chat template is used.
    pub(crate) chat_template: bool,
    /// How the past is kept, unless a session is gone on with.
    pub(crate) cache: CacheRequest,
    /// Files of sessions.
    pub(crate) session: SessionRequest,
    /// How the answer is chosen.
    pub(crate) generation: Generation,
    /// What computes.
    pub(crate) machine: Machine,
}

impl RunRequest {
    /// Understands what was typed.
    pub(crate) fn new(args: &RunArgs) -> Result<Self, RequestError> {
        if args.raw && args.system.is_some() {
            let without = "with --raw, which leaves the chat template out";
            return Err(RequestError::NoEffect { option: "--system", without });
        }
        let request = Self {
            model: args.model.model.clone(),
            sources: args.model.sources.clone(),
            prompt: Prompt::new(&args.file, &args.prompt)?,
            system: args.system.clone(),
            chat_template: !args.raw,
            cache: CacheRequest::within(&args.cache, &args.memory)?,
            session: SessionRequest::new(&args.session)?,
            generation: Generation::new(&args.generation)?,
            machine: Machine::new(&args.device)?,
        };
        #[cfg(feature = "cuda")]
        request.check_gpu(&args.device.device)?;
        request.machine.check_cache(&args.device, &request.cache.kind)?;
        Ok(request)
    }

    /// Refuses sessions, which are of the CPU's caches, if a GPU was asked for.
    #[cfg(feature = "cuda")]
    fn check_gpu(&self, asked: &str) -> Result<(), RequestError> {
        if matches!(self.machine.device, super::Device::Cpu) {
            return Ok(());
        }
        let sessions = [("--session", &self.session.open), ("--save-session", &self.session.save)];
        if let Some((option, _)) = sessions.into_iter().find(|(_, path)| path.is_some()) {
            return Err(RequestError::GpuSession { asked: asked.to_owned(), option });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::prompt::TextSource;
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Typed {
        #[command(flatten)]
        run: RunArgs,
    }

    fn read(words: &str) -> Result<RunRequest, RequestError> {
        let words = std::iter::once("test").chain(words.split_whitespace());
        RunRequest::new(&Typed::try_parse_from(words).unwrap().run)
    }

    #[test]
    fn the_main_job() {
        let request = read("-m small.gguf --file long.txt --cache fourier:window=64 What now?");
        let request = request.unwrap();
        assert_eq!(request.model, "small.gguf");
        assert_eq!(request.prompt.texts, [TextSource::File("long.txt".into())]);
        assert_eq!(request.prompt.question, "What now?");
        assert_eq!(request.cache.kind, "fourier:window=64".parse().unwrap());
        assert!(request.chat_template);
    }

    #[test]
    fn memory_is_for_a_rate_that_is_free() {
        for words in ["--cache-memory 64MB why", "--cache spectral:auto,window=9 --cache-memory 64MB why"] {
            assert_eq!(read(words).unwrap().cache.memory, Some(64_000_000), "{words}");
        }
        for cache in ["exact", "spectral:2", "spectral:bits=1,window=9", "int4"] {
            let words = format!("--cache {cache} --cache-memory 64MB why");
            assert!(matches!(read(&words), Err(RequestError::NoEffect { option: "--cache-memory", .. })), "{words}");
        }
        assert!(matches!(read("--cache-memory lots why"), Err(RequestError::OutOfRange { .. })));
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        for words in ["--raw --system x why", "--cache exact --plan p why", "--cache full:bf16 --plan p y"] {
            assert!(matches!(read(words), Err(RequestError::NoEffect { .. })), "{words}");
        }
        assert!(matches!(read("--plan no/such why"), Err(RequestError::NoSuchFile { .. })));
        for cache in ["", "magic", "exact:f8", "fourier:colour=red"] {
            let words = format!("--cache={cache} why");
            assert!(matches!(read(&words), Err(RequestError::Cache(_))), "{cache}");
        }
        assert!(read("--device cuda why").unwrap_err().to_string().contains("--device cuda"));
        assert!(matches!(read(""), Err(RequestError::EmptyPrompt)));
    }
}
