//! One question to one method.

use std::ops::ControlFlow;

use fourier_kv_engine::model::decoder::LogitRows;
use fourier_kv_engine::model::tokenizer::EncodeOptions;
use fourier_kv_engine::{Engine, GenerateOptions, Session};

use super::RunError;
use crate::item::Question;
use crate::metrics::divergence::negative_log_likelihood;

/// Reads `tokens` and answers, greedily.
pub(super) fn answer(
    engine: &Engine,
    mut session: Session<'_>,
    tokens: &[u32],
    question: &Question,
    watch: &mut (dyn FnMut() -> ControlFlow<()> + Send),
) -> Result<String, RunError> {
    let options = GenerateOptions {
        max_tokens: Some(question.max_tokens),
        stop: question.stop.clone(),
        ..GenerateOptions::default()
    };
    let generation = engine.generate(&mut session, tokens, &options, &mut |_| watch())?;
    if watch().is_break() {
        return Err(RunError::Interrupted);
    }
    Ok(generation.text)
}

/// How likely the model finds `text` after `tokens`: the mean natural logarithm of its tokens' probabilities. It moves
/// before answers do.
pub(super) fn log_probability(
    engine: &Engine,
    mut session: Session<'_>,
    tokens: &[u32],
    text: &str,
) -> Result<f64, RunError> {
    let answer =
        engine.tokenizer().encode(text, EncodeOptions::default()).map_err(fourier_kv_engine::EngineError::from)?;
    let Some((_, all_but_last)) = answer.split_last() else { return Err(RunError::EmptyAnswer) };
    let fed: Vec<u32> = tokens.iter().chain(all_but_last).copied().collect();
    let logits = session.feed(&fed, LogitRows::From(tokens.len() - 1))?;
    let mut sum = 0.0;
    for (i, &token) in answer.iter().enumerate() {
        sum -= negative_log_likelihood(logits.row(i), token as usize)?;
    }
    Ok(sum / answer.len() as f64)
}
