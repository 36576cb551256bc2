//! `bench`: how fast a model reads and answers, in each cache, over contexts of several lengths.

use std::ops::ControlFlow;
use std::time::Instant;

use fourier_kv_engine::cache::CacheKind;
use fourier_kv_engine::model::decoder::ForwardError;
use fourier_kv_engine::{Engine, EngineError};
use serde::Serialize;

use crate::args::BenchArgs;
use crate::computer::Computer;
use crate::failure::Failure;
use crate::loading;
use crate::output::megabytes;
use crate::requests::BenchRequest;
use crate::session::Session;

/// Bytes a number of the exact cache that others are compared with: bf16.
const EXACT_WIDTH: usize = 2;
/// Tokens of a prompt that is read before anything is measured, at most: as many as a GPU reads together.
const WARM: usize = 2048;

/// All that was measured.
#[derive(Debug, Serialize)]
struct Report {
    model: String,
    device: String,
    instructions: String,
    threads: usize,
    weights_bytes: usize,
    rows: Vec<Row>,
}

/// One cache over one context.
#[derive(Debug, Serialize)]
struct Row {
    cache: String,
    context: usize,
    prompt_seconds: f64,
    prompt_tokens_per_second: f64,
    decode_tokens_per_second: f64,
    /// Of each token that was read after the prompt.
    step_milliseconds: Vec<f64>,
    cache_bytes: usize,
    exact_bytes: usize,
}

/// Measures, row by row.
pub(crate) fn bench(args: &BenchArgs, session: &Session) -> Result<(), Failure> {
    let request = BenchRequest::new(args)?;
    let pulled = loading::model(&request.model, &request.sources, session)?;
    let engine = loading::engine(&pulled.path, request.machine)?;
    let computer = Computer::new(&engine, request.machine, session)?;
    let mut report = Report {
        model: request.model.clone(),
        device: computer.device().to_owned(),
        instructions: engine.workspace().isa().to_string(),
        threads: engine.threads(),
        weights_bytes: computer.weight_bytes(),
        rows: Vec::new(),
    };
    // What is made at first use, such as compiled kernels and plans of products, is no part of what is measured.
    if let (Some(kind), Some(&context)) = (request.caches.first(), request.contexts.first()) {
        measure(&engine, &computer, kind, (context.min(WARM), 4), session)?;
    }
    for kind in &request.caches {
        for &context in &request.contexts {
            report.rows.push(measure(&engine, &computer, kind, (context, request.tokens), session)?);
        }
    }
    session.output.result(&report.table(), &report).map_err(Failure::Output)
}

/// Reads a prompt of random tokens and then one token after another.
fn measure(
    engine: &Engine,
    computer: &Computer<'_>,
    kind: &CacheKind,
    (context, steps): (usize, usize),
    session: &Session,
) -> Result<Row, Failure> {
    let mut place = computer.begin(kind, None)?;
    let tokens = random_tokens(context + steps, engine.model().config().vocabulary);
    let (prompt, rest) = tokens.split_at(context);
    let begun = Instant::now();
    let read = place.predictor().read(prompt, &mut |_| match session.cancel.is_raised() {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    });
    match read {
        Err(EngineError::Forward(ForwardError::Stopped)) => return Err(Failure::Interrupted),
        read => read?,
    }
    let prompt_seconds = begun.elapsed().as_secs_f64();
    place.predictor().make_room(steps);
    let mut step_milliseconds = Vec::with_capacity(steps);
    let begun = Instant::now();
    for &token in rest {
        if session.cancel.is_raised() {
            return Err(Failure::Interrupted);
        }
        let step = Instant::now();
        place.predictor().advance(token)?;
        step_milliseconds.push(step.elapsed().as_secs_f64() * 1e3);
    }
    let decode_seconds = begun.elapsed().as_secs_f64();
    let held = place.held();
    Ok(Row {
        cache: held.kind,
        context,
        prompt_seconds,
        prompt_tokens_per_second: context as f64 / prompt_seconds,
        decode_tokens_per_second: steps as f64 / decode_seconds,
        step_milliseconds,
        cache_bytes: held.bytes.total(),
        exact_bytes: engine.model().cache_shape().exact_bytes(held.tokens, EXACT_WIDTH),
    })
}

/// Tokens that no model expects: speed does not depend on them. The same each time (a linear congruence).
fn random_tokens(count: usize, vocabulary: usize) -> Vec<u32> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % vocabulary.max(1) as u64) as u32
    };
    (0..count).map(|_| next()).collect()
}

impl Report {
    fn table(&self) -> String {
        let lines: Vec<String> = self.rows.iter().map(Row::line).collect();
        format!("{} on {}\n{}", self.model, self.device, lines.join("\n"))
    }
}

impl Row {
    /// `exact:bf16 2048 tokens: prompt 410 tok/s · decode 38.1 tok/s · 41.9 MB, exact 41.9 MB`
    fn line(&self) -> String {
        let (held, exact) = (megabytes(self.cache_bytes as u64), megabytes(self.exact_bytes as u64));
        let rates = (self.prompt_tokens_per_second, self.decode_tokens_per_second);
        format!(
            "{} {} tokens: prompt {:.0} tok/s · decode {:.1} tok/s · {held}, exact {exact}",
            self.cache, self.context, rates.0, rates.1
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_tokens_are_of_the_vocabulary_and_the_same_each_time() {
        let tokens = random_tokens(1000, 50);
        assert_eq!(tokens, random_tokens(1000, 50));
        assert!(tokens.iter().all(|&token| token < 50));
        assert!((0..50).all(|token| tokens.contains(&token)), "all of them come");
    }
}
