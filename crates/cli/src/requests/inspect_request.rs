//! A request to see a model, a plan, and what every cache would take.

use std::path::PathBuf;

use fourier_kv_engine::cache::CacheKind;

use super::RequestError;
use super::run_request::{cache_kind, existing_file};
use crate::args::{InspectArgs, SourceArgs};

/// Longest past that sizes are told for: far more than any machine holds.
const MOST_TOKENS: usize = 1 << 30;

/// A model to look at, and a plan beside it.
#[derive(Debug, Clone)]
pub(crate) struct InspectRequest {
    /// The model, as it was typed.
    pub(crate) model: String,
    /// Where the model may come from.
    pub(crate) sources: SourceArgs,
    /// Caches to show; empty for all kinds.
    pub(crate) caches: Vec<CacheKind>,
    /// Lengths of the past to show, in tokens; empty for those up to the model's context.
    pub(crate) contexts: Vec<usize>,
    /// Plan file, which is there.
    pub(crate) plan: Option<PathBuf>,
}

impl InspectRequest {
    /// Understands what was typed.
    pub(crate) fn new(args: &InspectArgs) -> Result<Self, RequestError> {
        if let Some(plan) = &args.plan {
            existing_file("--plan", plan)?;
        }
        Ok(Self {
            model: args.model.model.clone(),
            sources: args.model.sources.clone(),
            caches: args.cache.iter().map(|text| cache_kind(text)).collect::<Result<_, _>>()?,
            contexts: args.context.iter().map(|text| tokens("--context", text)).collect::<Result<_, _>>()?,
            plan: args.plan.clone(),
        })
    }
}

/// `4096`, `4k` or `1m`, in steps of 1,024.
pub(super) fn tokens(option: &'static str, text: &str) -> Result<usize, RequestError> {
    let text = text.trim();
    let units = [("k", 1 << 10), ("K", 1 << 10), ("m", 1 << 20), ("M", 1 << 20)];
    let (digits, unit) =
        units.iter().find_map(|(end, unit)| Some((text.strip_suffix(end)?, *unit))).unwrap_or((text, 1));
    let number = digits.parse::<usize>().ok().and_then(|number| number.checked_mul(unit));
    number.filter(|number| (1..=MOST_TOKENS).contains(number)).ok_or_else(|| RequestError::OutOfRange {
        option,
        expected: "numbers of tokens, such as 1024 or 4k, with commas between",
        got: format!("'{text}'"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        inspect: InspectArgs,
    }

    fn read(words: &[&str]) -> Result<InspectRequest, RequestError> {
        let words = std::iter::once("test").chain(words.iter().copied());
        InspectRequest::new(&Typed::try_parse_from(words).unwrap().inspect)
    }

    #[test]
    fn a_plan_must_be_there() {
        assert_eq!(read(&[]).unwrap().model, "smollm2");
        let missing = read(&["--plan", "no/such.plan"]);
        assert!(matches!(missing, Err(RequestError::NoSuchFile { option: "--plan", .. })));
        let plan = tempfile::NamedTempFile::new().unwrap();
        assert!(read(&["--plan", plan.path().to_str().unwrap()]).unwrap().plan.is_some());
    }

    #[test]
    fn lengths_are_read_with_their_units() {
        assert_eq!(read(&["--context", "100,4k, 1m"]).unwrap().contexts, [100, 4096, 1 << 20]);
        for wrong in ["0", "k", "-1", "4g", "1,,2", "99999999999999999999", "2000m"] {
            let result = read(&[&format!("--context={wrong}")]);
            assert!(matches!(result, Err(RequestError::OutOfRange { option: "--context", .. })), "{wrong}");
        }
    }

    #[test]
    fn caches_are_read_one_an_option() {
        let request = read(&["--cache", "exact:f32", "--cache", "fourier:window=64,harmonics=32"]).unwrap();
        assert_eq!(request.caches.len(), 2);
        assert!(matches!(read(&["--cache", "magic"]), Err(RequestError::Cache(_))));
    }
}
