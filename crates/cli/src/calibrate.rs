//! `calibrate`: a plan from texts.

use std::ops::ControlFlow;
use std::path::PathBuf;

use fourier_kv_engine::cache::plan::{Plan, PlanOrigin};
use fourier_kv_engine::model::decoder::{ForwardError, Progress};
use fourier_kv_engine::{self as engine, EngineError};
use serde::Serialize;

use crate::args::CalibrateArgs;
use crate::failure::Failure;
use crate::loading;
use crate::plan_shares::PlanContent;
use crate::requests::{CalibrateRequest, Work, read_text};
use crate::session::Session;

/// Reads the texts, watches what the model asks of its past, and writes the plan.
pub(crate) fn calibrate(args: &CalibrateArgs, session: &Session) -> Result<(), Failure> {
    let request = CalibrateRequest::new(args)?;
    let texts: Vec<String> = request.texts.iter().map(|path| read_text(path)).collect::<Result<_, _>>()?;
    let pulled = loading::model(&request.model, &request.sources, session)?;
    let engine = loading::engine(&pulled.path, request.machine)?;
    let plan = make_plan(&engine, &texts.join("\n\n"), &request, session)?;
    plan.write(&request.output)?;
    let report = Report::new(request.output, plan);
    session.output.remark(&report.remark());
    session.output.result(&report.plan.display().to_string(), &report).map_err(Failure::Output)
}

fn make_plan(
    engine: &engine::Engine,
    text: &str,
    request: &CalibrateRequest,
    session: &Session,
) -> Result<Plan, Failure> {
    let bar = session.progress.share("calibrating");
    let mut watch = |progress: Progress| {
        bar.set_length(progress.total as u64);
        bar.set_position(progress.done as u64);
        match session.cancel.is_raised() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    };
    let result = match &request.work {
        Work::Dims(options) => engine::calibrate(engine, text, options, &mut watch),
        Work::Shares(options) => engine::calibrate_shares(engine, text, options, &mut watch),
    };
    bar.finish_and_clear();
    match result {
        Err(EngineError::Forward(ForwardError::Stopped)) => Err(Failure::Interrupted),
        // The last piece of work may have ended after Ctrl-C.
        _ if session.cancel.is_raised() => Err(Failure::Interrupted),
        result => Ok(result?),
    }
}

/// The report of a plan that was written, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Report {
    plan: PathBuf,
    model: String,
    cache: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    band: Option<&'static str>,
    origin: PlanOrigin,
    #[serde(flatten)]
    content: PlanContent,
}

impl Report {
    fn new(path: PathBuf, plan: Plan) -> Self {
        Report {
            content: PlanContent::of(&plan),
            plan: path,
            cache: plan.kind(),
            model: plan.model.name,
            band: plan.shares.is_none().then(|| plan.band.name()),
            origin: plan.origin,
        }
    }

    fn remark(&self) -> String {
        let PlanOrigin { tokens, sequences, .. } = self.origin;
        let many = if sequences == 1 { "sequence" } else { "sequences" };
        format!("{tokens} tokens in {sequences} {many}; {}", self.content)
    }
}
