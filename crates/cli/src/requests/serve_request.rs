//! A request to serve.

use std::path::{Path, PathBuf};
use std::time::Duration;

use fourier_kv_server::{AccessKeys, Connections, Limits};

use super::run_request::CacheRequest;
use super::size::bytes;
use super::{Machine, RequestError, read_text};
use crate::args::{ServeArgs, SourceArgs};

/// What is to be served, and how.
#[derive(Debug, Clone)]
pub(crate) struct ServeRequest {
    /// The model, as it was typed.
    pub(crate) model: String,
    /// Its name in requests.
    pub(crate) name: String,
    /// Where it may come from.
    pub(crate) sources: SourceArgs,
    /// Address and port.
    pub(crate) address: (String, u16),
    /// Who may ask.
    pub(crate) keys: AccessKeys,
    /// The origins whose pages may ask.
    pub(crate) cors: Vec<String>,
    /// Bytes that all pasts may hold, if that was said.
    pub(crate) cache_bytes: Option<usize>,
    /// Answers that are computed together.
    pub(crate) parallel: usize,
    /// Requests that wait.
    pub(crate) queue: usize,
    /// Shortest past that is kept, if any is.
    pub(crate) least_kept: Option<usize>,
    /// The folder that sessions are parked in.
    pub(crate) session_folder: Option<PathBuf>,
    /// How long a session may be idle before that.
    pub(crate) park_after: Duration,
    /// What one request may cost.
    pub(crate) limits: Limits,
    /// What connections may cost.
    pub(crate) connections: Connections,
    /// Time for what runs, at the end.
    pub(crate) grace: Duration,
    /// How the past is kept.
    pub(crate) cache: CacheRequest,
    /// What computes.
    pub(crate) machine: Machine,
}

impl ServeRequest {
    /// Understands what was typed; `keys` are those of the environment.
    pub(crate) fn new(args: &ServeArgs, keys: Option<&str>) -> Result<Self, RequestError> {
        let counts = [
            ("--parallel", args.parallel),
            ("--max-tokens", args.max_tokens),
            ("--max-answers", args.max_answers),
            ("--max-connections", args.max_connections),
        ];
        if let Some((option, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Err(out_of_range(option, "1 or more", "0"));
        }
        if args.timeout == 0 {
            return Err(out_of_range("--timeout", "1 or more", "0"));
        }
        Ok(Self {
            model: args.model.model.clone(),
            name: args.name.clone().unwrap_or_else(|| plain_name(&args.model.model)),
            sources: args.model.sources.clone(),
            address: (args.host.clone(), args.port),
            keys: access_keys(args.api_key_file.as_deref(), keys)?,
            cors: args.cors.clone(),
            cache_bytes: args.cache_memory.as_deref().map(|text| bytes("--cache-memory", text)).transpose()?,
            parallel: args.parallel,
            queue: args.queue,
            least_kept: (args.keep > 0).then_some(args.keep),
            session_folder: args.session_dir.clone(),
            park_after: Duration::from_secs(args.park_after),
            limits: Limits {
                body_bytes: bytes("--max-body", &args.max_body)?,
                answer_tokens: args.max_tokens,
                answers: args.max_answers,
                time: Duration::from_secs(args.timeout),
            },
            connections: Connections { most: args.max_connections, ..Connections::default() },
            grace: Duration::from_secs(args.grace),
            cache: CacheRequest::new(&args.cache)?,
            machine: Machine::of_cpu(&args.device)?,
        })
    }
}

/// `models/small.gguf` as `small`.
fn plain_name(model: &str) -> String {
    let last = model.trim_end_matches('/').rsplit('/').next().unwrap_or(model);
    last.strip_suffix(".gguf").unwrap_or(last).to_owned()
}

fn access_keys(file: Option<&Path>, environment: Option<&str>) -> Result<AccessKeys, RequestError> {
    let listed = file.map(read_text).transpose()?;
    let lines = listed.iter().flat_map(|text| text.lines()).map(str::trim);
    let keys: Vec<&str> = lines.chain(environment).filter(|key| !key.is_empty() && !key.starts_with('#')).collect();
    if file.is_some() && keys.is_empty() {
        return Err(out_of_range("--api-key-file", "a file with at least one key", "none"));
    }
    Ok(AccessKeys::new(keys)?)
}

fn out_of_range(option: &'static str, expected: &'static str, got: impl Into<String>) -> RequestError {
    RequestError::OutOfRange { option, expected, got: got.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        args: ServeArgs,
    }

    fn read(words: &str, keys: Option<&str>) -> Result<ServeRequest, RequestError> {
        let words = std::iter::once("test").chain(words.split_whitespace());
        ServeRequest::new(&Typed::try_parse_from(words).unwrap().args, keys)
    }

    #[test]
    fn names_are_plain() {
        for (model, name) in [("smollm2", "smollm2"), ("/a/b/c.gguf", "c"), ("owner/model/", "model")] {
            assert_eq!(read(&format!("-m {model}"), None).unwrap().name, name);
        }
        assert_eq!(read("--name x", None).unwrap().name, "x");
    }

    #[test]
    fn keys_come_from_the_environment() {
        assert!(!read("", None).unwrap().keys.are_needed());
        assert!(read("", Some("long-enough")).unwrap().keys.owner(Some("long-enough")).is_some());
        assert!(matches!(read("", Some("short")), Err(RequestError::Key(_))));
        assert!(matches!(read("--api-key-file no/such", None), Err(RequestError::Text { .. })));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for words in ["--parallel 0", "--max-tokens 0", "--timeout 0", "--cache-memory much"] {
            assert!(matches!(read(words, None), Err(RequestError::OutOfRange { .. })), "{words}");
        }
    }
}
