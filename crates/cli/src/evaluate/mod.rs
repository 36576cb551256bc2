//! `eval`: caches by tasks, quality against bytes.

mod entries;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::SystemTime;

use fourier_kv_engine::cache::plan::Plan;
use fourier_kv_engine::{Engine, EngineError};
use fourier_kv_eval::evaluate::{Evaluated, Evaluation};
use fourier_kv_eval::report::RunInfo;
use fourier_kv_eval::runner::EXACT;
use fourier_kv_eval::suite::Suite;
use serde_json::json;

use crate::args::EvalArgs;
use crate::doctor;
use crate::failure::Failure;
use crate::loading;
use crate::pull::Pulled;
use crate::requests::{EvalRequest, RequestError};
use crate::session::{Ending, Session};

/// Runs what is missing of an evaluation, and writes its report.
pub(crate) fn evaluate(args: &EvalArgs, session: &Session) -> Result<Ending, Failure> {
    let mut request = EvalRequest::new(args)?;
    let mut failures = Vec::new();
    let suite = Suite::open(&request.tasks, &request.suite, &mut failures).map_err(RequestError::from)?;
    let pulled = loading::model(&request.model, &request.sources, session)?;
    let engine = loading::engine(&pulled.path, request.machine)?;
    give_plan(&mut request, &engine)?;
    let evaluation = Evaluation {
        engine: &engine,
        methods: &request.methods,
        when: request.when,
        folder: &request.output,
        info: info(&request, &suite, &pulled, &engine),
        settings: settings(&request, &engine),
    };
    let bar = session.progress.share("evaluating");
    let mut task = String::new();
    let evaluated = evaluation.run(&suite, failures, &mut |step| {
        if task != step.task {
            step.task.clone_into(&mut task);
            bar.set_message(task.clone());
            bar.reset_eta();
        }
        bar.set_length(step.of as u64);
        bar.set_position(step.done as u64);
        match session.cancel.is_raised() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    bar.finish_and_clear();
    tell(&request, evaluated?, session)
}

/// Hands the plan to the methods that it is for.
fn give_plan(request: &mut EvalRequest, engine: &Engine) -> Result<(), Failure> {
    let Some(path) = &request.plan else { return Ok(()) };
    let plan = Arc::new(Plan::read(path).map_err(EngineError::from)?);
    let model = engine.model();
    plan.check_model(model.fingerprint(), &model.config().name).map_err(EngineError::from)?;
    for method in request.methods.iter_mut().filter(|method| method.kind.name() == plan.kind()) {
        method.plan = Some(plan.clone());
    }
    Ok(())
}

fn tell(request: &EvalRequest, evaluated: Evaluated, session: &Session) -> Result<Ending, Failure> {
    let Evaluated { report, stopped } = evaluated;
    for failure in &report.failures {
        session.output.remark(&format!("not done: {}", entries::failure(failure)));
    }
    session.output.remark(&format!("report: {}", request.output.join("report.html").display()));
    let entries = entries::of(&report);
    let value = json!({
        "model": report.run.model,
        "output": request.output,
        "stopped": stopped,
        "entries": entries,
        "failures": report.failures,
    });
    session.output.result(&entries::text(&report), &value).map_err(Failure::Output)?;
    Ok(if stopped { Ending::Interrupted } else { Ending::Done })
}

/// What the report says of the run.
fn info(request: &EvalRequest, suite: &Suite, pulled: &Pulled, engine: &Engine) -> RunInfo {
    let o = &request.suite;
    let mut methods = vec![EXACT.to_owned()];
    methods.extend(request.methods.iter().map(|m| m.name.clone()).filter(|name| name != EXACT));
    RunInfo {
        model: format!("{} ({})", engine.model().config().name, pulled.path.file_name().unwrap_or_default().display()),
        tasks: suite.names(),
        methods,
        limits: format!(
            "lengths {:?} tokens, {} items a task, {} depths, {} needles; ppl: {} tokens and {} after them",
            o.lengths, o.items, o.depths, o.needles, o.prefix, o.continuation
        ),
        when: request.when.name().to_owned(),
        seeds: o.seed.to_string(),
        machine: format!("{}, {} threads", doctor::processor(), engine.threads()),
        versions: format!("fourier-kv {}", env!("CARGO_PKG_VERSION")),
        command: std::env::args().collect::<Vec<_>>().join(" "),
        date: date(),
    }
}

/// What a folder's predictions depend on, besides tasks and methods.
fn settings(request: &EvalRequest, engine: &Engine) -> serde_json::Value {
    let o = &request.suite;
    let mut settings = json!({
        "model": engine.model().fingerprint(),
        "data": o.data,
        "texts": o.texts,
        "haystack": o.haystack,
        "lengths": o.lengths,
        "items": o.items,
        "depths": o.depths,
        "needles": o.needles,
        "prefix": o.prefix,
        "continuation": o.continuation,
        "seed": o.seed,
    });
    if let Some(memory) = request.memory {
        settings["cache_memory"] = json!(memory);
    }
    if let Some(plan) = request.methods.iter().find_map(|method| method.plan.as_deref()) {
        settings["plan"] =
            json!({ "kind": plan.kind(), "text": plan.origin.text_sha256, "tokens": plan.origin.tokens });
    }
    settings
}

/// Today, in UTC.
fn date() -> String {
    let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    // Days to a date of the proleptic Gregorian calendar, in years that begin in March.
    let days = seconds as i64 / 86_400 + 719_468;
    let era = days.div_euclid(146_097);
    let day = days.rem_euclid(146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let (day, month) = (of_year - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    format!("{:04}-{month:02}-{day:02}", year + era * 400 + i64::from(month <= 2))
}
