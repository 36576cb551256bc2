//! A request to measure quality against bytes.

use std::path::PathBuf;

use fourier_kv_eval::runner::{Method, When, methods};
use fourier_kv_eval::suite::SuiteOptions;

use super::inspect_request::tokens;
use super::run_request::{cache_memory, existing_file};
use super::{Machine, RequestError};
use crate::args::{Compress, EvalArgs, SourceArgs};

/// An evaluation to be run.
#[derive(Debug, Clone)]
pub(crate) struct EvalRequest {
    /// The tasks, as they were typed.
    pub(crate) tasks: Vec<String>,
    /// The model, as it was typed.
    pub(crate) model: String,
    /// Where the model may come from.
    pub(crate) sources: SourceArgs,
    /// What is compared.
    pub(crate) methods: Vec<Method>,
    /// Bytes of a context, for those of them whose rate is free.
    pub(crate) memory: Option<usize>,
    /// A plan for some of them, which is there.
    pub(crate) plan: Option<PathBuf>,
    /// When caches compress.
    pub(crate) when: When,
    /// What tasks are made of.
    pub(crate) suite: SuiteOptions,
    /// Where everything goes.
    pub(crate) output: PathBuf,
    /// What computes.
    pub(crate) machine: Machine,
}

impl EvalRequest {
    /// Understands what was typed.
    pub(crate) fn new(args: &EvalArgs) -> Result<Self, RequestError> {
        args.text.iter().try_for_each(|file| existing_file("--text", file))?;
        args.plan.iter().try_for_each(|file| existing_file("--plan", file))?;
        for (option, folder) in [("--data", &args.data), ("--haystack", &args.haystack)] {
            existing_folder(option, folder.as_ref())?;
        }
        for (option, number) in [("--items", args.items), ("--depths", args.depths), ("--needles", args.needles)] {
            if number == 0 {
                return Err(RequestError::OutOfRange { option, expected: "1 or more", got: "0".to_owned() });
            }
        }
        let typed: Vec<String> = args.tasks.iter().flat_map(|t| t.split(',')).map(|t| t.trim().to_owned()).collect();
        let mut methods = methods::parse(&args.cache, &ratios(&args.ratio)?)?;
        let memory = cache_memory(args.cache_memory.as_deref(), methods.iter().map(|method| &method.kind))?;
        methods.iter_mut().filter(|method| method.kind.is_free()).for_each(|method| method.memory = memory);
        Ok(Self {
            tasks: typed.into_iter().filter(|task| !task.is_empty()).collect(),
            model: args.model.model.clone(),
            sources: args.model.sources.clone(),
            methods,
            memory,
            plan: args.plan.clone(),
            when: match args.compress {
                Compress::AfterContext => When::AfterContext,
                Compress::AfterPrompt => When::AfterPrompt,
            },
            suite: SuiteOptions {
                data: args.data.clone(),
                texts: args.text.clone(),
                haystack: args.haystack.clone(),
                lengths: args.length.iter().map(|text| tokens("--length", text)).collect::<Result<_, _>>()?,
                items: args.items,
                depths: args.depths,
                needles: args.needles,
                prefix: tokens("--prefix", &args.prefix)?,
                continuation: tokens("--continuation", &args.continuation)?,
                seed: args.seed,
            },
            output: args.output.clone(),
            machine: Machine::of_cpu(&args.device)?,
        })
    }
}

fn ratios(typed: &[f64]) -> Result<Vec<f64>, RequestError> {
    match typed.iter().find(|ratio| !(1.0..=1000.0).contains(*ratio)) {
        None => Ok(typed.to_vec()),
        Some(ratio) => Err(RequestError::OutOfRange {
            option: "--ratio",
            expected: "numbers from 1 to 1000 with commas between",
            got: ratio.to_string(),
        }),
    }
}

fn existing_folder(option: &'static str, folder: Option<&PathBuf>) -> Result<(), RequestError> {
    match folder.filter(|folder| !folder.is_dir()) {
        None => Ok(()),
        Some(path) => Err(RequestError::NoSuchFile { option, path: path.clone() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        eval: EvalArgs,
    }

    fn read(words: &str) -> Result<EvalRequest, RequestError> {
        let words = std::iter::once("test").chain(words.split_whitespace());
        EvalRequest::new(&Typed::try_parse_from(words).unwrap().eval)
    }

    #[test]
    fn tasks_caches_and_lengths_are_lists() {
        let request =
            read("ppl,needle ruler:vt --cache exact,snapkv,int4 --ratio 2,8 --length 4k,500 --compress after-prompt")
                .unwrap();
        assert_eq!(request.tasks, ["ppl", "needle", "ruler:vt"]);
        let names: Vec<&str> = request.methods.iter().map(|m| m.name.as_str()).collect();
        assert_eq!(names, ["exact", "snapkv:ratio=2", "snapkv:ratio=8", "int4"]);
        assert_eq!((request.suite.lengths, request.when), (vec![4096, 500], When::AfterPrompt));
    }

    #[test]
    fn memory_is_for_methods_whose_rate_is_free() {
        let request = read("ppl --cache int4,spectral:2,spectral:auto --cache-memory 8MB").unwrap();
        assert_eq!(request.methods.iter().map(|m| m.memory).collect::<Vec<_>>(), [None, None, Some(8_000_000)]);
        let refused = read("ppl --cache int4,spectral:2 --cache-memory 8MB");
        assert!(matches!(refused, Err(RequestError::NoEffect { option: "--cache-memory", .. })));
    }

    #[test]
    fn what_cannot_work_is_refused_before_it_starts() {
        for words in ["ppl --items 0", "ppl --ratio 0.5", "ppl --ratio nan", "ppl --length 4x", "ppl --prefix 0"] {
            assert!(matches!(read(words), Err(RequestError::OutOfRange { .. })), "{words}");
        }
        for words in ["ppl --text no/such.txt", "ppl --data no/such", "needle --haystack no/such"] {
            assert!(matches!(read(words), Err(RequestError::NoSuchFile { .. })), "{words}");
        }
        assert!(matches!(read("ppl --cache magic"), Err(RequestError::Cache(_))));
    }
}
