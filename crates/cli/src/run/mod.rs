//! `run`: an answer over a text.

mod answer;
mod report;

use std::path::Path;
use std::sync::Arc;

use fourier_kv_engine::cache::plan::Plan;
use fourier_kv_engine::model::decoder::LogitRows;
use fourier_kv_engine::{Engine, GenerateOptions, Generation, Message, Sampling, Session as Sequence};

use crate::args::RunArgs;
use crate::computer::{Computer, Place};
use crate::failure::Failure;
use crate::input::Input;
use crate::loading;
use crate::requests::{Choice, Generation as Choosing, RunRequest};
use crate::session::{Ending, Session};
pub(crate) use answer::answer;
use report::{Report, Run, Saved};

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
    let computer = Computer::new(&engine, request.machine, session)?;
    let (mut place, prompt) = match &request.session.open {
        Some(path) => further_turn(&engine, &request, text, path)?,
        None => {
            let prompt = prompt_tokens(&engine, &request, text)?;
            let sizes = (prompt.len(), most_answered(&engine, &request.generation, prompt.len()));
            let kind = loading::cache(&engine, &request.cache, plan.as_ref(), sizes)?;
            (computer.begin(&kind, plan)?, prompt)
        }
    };
    let whole = place.predictor().count() + prompt.len();
    let options = options(&request.generation);
    let answer = answer(&engine, place.predictor(), &prompt, &options, session)?;
    let run =
        Run { request: &request, pulled: &pulled, engine: &engine, computer: &computer, prompt_tokens: prompt.len() };
    let saved = match &request.session.save {
        Some(path) => place.save(whole, &answer, path)?.map(|bytes| Saved { path: path.clone(), bytes }),
        None => None,
    };
    let report = Report::new(&run, &place, &answer, saved);
    report.show(session.output).map_err(Failure::Output)?;
    Ok(report.ending())
}

/// The session that a file holds, and the tokens of its next turn.
fn further_turn<'e>(
    engine: &'e Engine,
    request: &RunRequest,
    text: String,
    path: &Path,
) -> Result<(Place<'e>, Vec<u32>), Failure> {
    let sequence = engine.unpark(path)?;
    let prompt = match sequence.tokens() {
        [] => prompt_tokens(engine, request, text)?,
        _ if request.chat_template => engine.further_prompt(&text)?,
        _ => engine.further_text(&text)?,
    };
    Ok((Place::Cpu(Box::new(sequence)), prompt))
}

/// Tokens that an answer may have.
fn most_answered(engine: &Engine, generation: &Choosing, prompt: usize) -> usize {
    match generation.past_context {
        true => generation.max_tokens,
        false => generation.max_tokens.min(engine.model().config().context_length.saturating_sub(prompt)),
    }
}

/// Computes with the answer's last token, which was only chosen. `before` is the length of the sequence before it.
pub(crate) fn compute_rest(sequence: &mut Sequence<'_>, before: usize, answer: &Generation) -> Result<(), Failure> {
    let computed = sequence.tokens().len().saturating_sub(before);
    if let Some(rest) = answer.tokens.get(computed..).filter(|rest| !rest.is_empty()) {
        sequence.feed(rest, LogitRows::Last)?;
    }
    Ok(())
}

fn prompt_tokens(engine: &Engine, request: &RunRequest, text: String) -> Result<Vec<u32>, Failure> {
    if !request.chat_template {
        return Ok(engine.text_prompt(&text)?);
    }
    let system = request.system.iter().map(|text| Message::new("system", text));
    let messages: Vec<Message> = system.chain([Message::new("user", text)]).collect();
    Ok(engine.chat_prompt(&messages)?)
}

/// How the engine is to answer.
pub(crate) fn options(generation: &Choosing) -> GenerateOptions {
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
