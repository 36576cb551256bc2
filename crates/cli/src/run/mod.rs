//! `run`: an answer over a text.

mod answer;
mod report;

use std::sync::Arc;

use fourier_kv_engine::cache::plan::Plan;
use fourier_kv_engine::{Engine, GenerateOptions, Message, Sampling};

use crate::args::RunArgs;
use crate::failure::Failure;
use crate::input::Input;
use crate::loading;
use crate::requests::{Choice, Generation, RunRequest};
use crate::session::{Ending, Session};
use report::{Report, Run};

/// Reads the text, answers as the answer comes, and says what it took.
pub(crate) fn run(args: &RunArgs, session: &Session) -> Result<Ending, Failure> {
    let request = RunRequest::new(args)?;
    let text = match request.prompt.read(Input::new(&session.cancel)) {
        Err(_) if session.cancel.is_raised() => return Err(Failure::Interrupted),
        read => read?,
    };
    let plan = request.cache.plan.as_deref().map(Plan::read).transpose()?.map(Arc::new);
    let pulled = loading::model(&request.model, &request.sources, session)?;
    let engine = loading::engine(&pulled.path, request.machine)?;
    let prompt = prompt_tokens(&engine, &request, text)?;
    let mut sequence = engine.session(&request.cache.kind, plan)?;
    let options = options(&request.generation);
    let answer = answer::answer(&engine, &mut sequence, &prompt, &options, session)?;
    let run = Run { request: &request, pulled: &pulled, engine: &engine, prompt_tokens: prompt.len() };
    let report = Report::new(&run, &sequence, &answer);
    report.show(session.output).map_err(Failure::Output)?;
    Ok(report.ending())
}

fn prompt_tokens(engine: &Engine, request: &RunRequest, text: String) -> Result<Vec<u32>, Failure> {
    if !request.chat_template {
        return Ok(engine.text_prompt(&text)?);
    }
    let system = request.system.iter().map(|text| Message::new("system", text));
    let messages: Vec<Message> = system.chain([Message::new("user", text)]).collect();
    Ok(engine.chat_prompt(&messages)?)
}

fn options(generation: &Generation) -> GenerateOptions {
    GenerateOptions {
        max_tokens: Some(generation.max_tokens),
        sampling: match generation.choice {
            Choice::Greedy => Sampling::Greedy,
            Choice::Sampled { temperature, top_p, top_k, seed } => {
                Sampling::Random { temperature, top_p, top_k: top_k.unwrap_or(0), min_p: 0.0, seed }
            }
        },
        stop: generation.stop.clone(),
        past_context: generation.past_context,
        ignore_end: false,
    }
}
