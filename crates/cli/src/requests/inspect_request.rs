//! A request to see a model, a plan, and what every cache would take.
#![allow(dead_code, reason = "the body of `inspect` comes with the engine")]

use std::path::PathBuf;

use super::RequestError;
use super::run_request::existing_file;
use crate::args::{InspectArgs, SourceArgs};

/// A model to look at, and a plan beside it.
#[derive(Debug, Clone)]
pub(crate) struct InspectRequest {
    /// The model, as it was typed.
    pub(crate) model: String,
    /// Where the model may come from.
    pub(crate) sources: SourceArgs,
    /// Plan file, which is there.
    pub(crate) plan: Option<PathBuf>,
}

impl InspectRequest {
    /// Understands what was typed.
    pub(crate) fn new(args: &InspectArgs) -> Result<Self, RequestError> {
        if let Some(plan) = &args.plan {
            existing_file("--plan", plan)?;
        }
        Ok(Self { model: args.model.model.clone(), sources: args.model.sources.clone(), plan: args.plan.clone() })
    }
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
}
