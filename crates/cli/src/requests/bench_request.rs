//! A request to measure speed.

use fourier_kv_engine::cache::CacheKind;

use super::inspect_request::tokens;
use super::{Machine, RequestError};
use crate::args::{BenchArgs, SourceArgs};

/// Most tokens that are read one by one.
const MOST_TOKENS: usize = 1 << 20;

/// What is to be measured.
#[derive(Debug, Clone)]
pub(crate) struct BenchRequest {
    /// The model, as it was typed.
    pub(crate) model: String,
    /// Where the model may come from.
    pub(crate) sources: SourceArgs,
    /// How the past is kept, one after another.
    pub(crate) caches: Vec<CacheKind>,
    /// Tokens of prompts.
    pub(crate) contexts: Vec<usize>,
    /// Tokens read one by one after each, at least one.
    pub(crate) tokens: usize,
    /// What computes.
    pub(crate) machine: Machine,
}

impl BenchRequest {
    /// Understands what was typed.
    pub(crate) fn new(args: &BenchArgs) -> Result<Self, RequestError> {
        if !(1..=MOST_TOKENS).contains(&args.tokens) {
            let got = args.tokens.to_string();
            return Err(RequestError::OutOfRange { option: "--tokens", expected: "1 to 1048576", got });
        }
        let machine = Machine::new(&args.device)?;
        let caches = args.cache.iter().map(|kind| kind.parse()).collect::<Result<Vec<CacheKind>, _>>()?;
        caches.iter().try_for_each(|kind| machine.check_cache(&args.device, kind))?;
        Ok(Self {
            model: args.model.model.clone(),
            sources: args.model.sources.clone(),
            caches,
            contexts: args.context.iter().map(|text| tokens("--context", text)).collect::<Result<_, _>>()?,
            tokens: args.tokens,
            machine,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        bench: BenchArgs,
    }

    fn read(words: &str) -> Result<BenchRequest, RequestError> {
        let words = std::iter::once("test").chain(words.split_whitespace());
        BenchRequest::new(&Typed::try_parse_from(words).unwrap().bench)
    }

    #[test]
    fn caches_and_contexts_are_lists() {
        let request = read("--cache exact --cache fourier:window=64,harmonics=32 --context 2k,500 --tokens 3").unwrap();
        let caches: Vec<CacheKind> = ["exact", "fourier:window=64,harmonics=32"].map(|c| c.parse().unwrap()).into();
        assert_eq!((request.caches, request.contexts, request.tokens), (caches, vec![2048, 500], 3));
        assert_eq!(read("").unwrap().contexts, [2048]);
    }

    #[test]
    fn what_cannot_be_measured_is_refused() {
        for words in ["--tokens 0", "--context 0", "--context 4x", "--tokens 9999999"] {
            assert!(matches!(read(words), Err(RequestError::OutOfRange { .. })), "{words}");
        }
        assert!(matches!(read("--cache magic"), Err(RequestError::Cache(_))));
    }
}
