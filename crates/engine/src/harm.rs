//! What errors in the keys and values of each layer do to the model's answers, measured.

use std::ops::ControlFlow;

use fourier_kv_cache::spectral::{Shares, SideStatistics, SpectralSettings};
use fourier_kv_cache::{ExactCache, KvCache, SpectralCache};
use fourier_kv_model::decoder::{LogitRows, Progress, Sequence};
use half::bf16;

use crate::{Engine, EngineError};

/// How shares are to be measured.
#[derive(Clone, Debug, PartialEq)]
pub struct HarmOptions {
    /// The cache that they are for; errors are those of its codes.
    pub settings: SpectralSettings,
    /// Tokens of text that are kept in the cache.
    pub tokens: usize,
    /// Tokens after them whose predictions are compared.
    pub continuation: usize,
}

/// Measures, for the keys and for the values of each layer by themselves, by how much the predictions of the tokens that
/// follow a text change when they are coded and everything else is exact; and shares rates out so that the sum of these
/// harms is least.
///
/// Costs the text as a prompt twice and `2 L` times the continuation.
///
/// # Errors
/// If there are too few tokens, or `watch` said to stop.
pub fn measure_shares(
    engine: &Engine,
    tokens: &[u32],
    options: &HarmOptions,
    watch: &mut (dyn FnMut(Progress) -> ControlFlow<()> + Send),
) -> Result<Shares, EngineError> {
    let needed = options.tokens + options.continuation;
    if tokens.len() < needed {
        return Err(EngineError::ShortText { expected: needed, got: tokens.len() });
    }
    let (prompt, rest) = tokens[..needed].split_at(options.tokens);
    let context = engine.cache_context()?;
    let layers = context.shape.layers;
    // Steps are tokens computed, by and large.
    let total = 2 * prompt.len() + (2 * layers + 1) * rest.len();
    let mut done = 0;
    let mut step = |by: usize| {
        done += by;
        watch(Progress { done, total })
    };
    let mut exact = ExactCache::<bf16>::new(context.shape.clone());
    pass(engine, prompt, &mut exact, true)?;
    stop(step(prompt.len()))?;
    let mut coded = SpectralCache::new(options.settings.clone(), context.clone(), None);
    pass(engine, prompt, &mut coded, true)?;
    stop(step(prompt.len()))?;
    let expected = options.settings.sink + options.settings.window + options.settings.least_middle;
    let statistics = coded.statistics().ok_or(EngineError::ShortText { expected, got: prompt.len() })?;
    let truth = pass(engine, rest, &mut exact.clone(), false)?;
    stop(step(rest.len()))?;
    let mut harm = Vec::with_capacity(layers);
    for (layer, statistics) in statistics.iter().enumerate() {
        let Some((first, [keys, values])) = coded.rebuilt(layer, engine.workspace()) else { break };
        let mut of = |keys: Option<&[f32]>, values: Option<&[f32]>, side: &SideStatistics| {
            let mut changed = exact.clone();
            changed.replace(layer, first, keys, values);
            let found = pass(engine, rest, &mut changed, false)?;
            stop(step(rest.len()))?;
            Ok::<f64, EngineError>(divergence(&truth, &found) / side.error().max(f64::MIN_POSITIVE))
        };
        harm.push([of(Some(&keys), None, &statistics[0])?, of(None, Some(&values), &statistics[1])?]);
    }
    Ok(Shares::of_least_harm(&statistics, &harm))
}

fn stop(flow: ControlFlow<()>) -> Result<(), EngineError> {
    match flow {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(fourier_kv_model::decoder::ForwardError::Stopped.into()),
    }
}

/// Log-probabilities of what comes after each of the tokens; of a prompt none.
fn pass(engine: &Engine, tokens: &[u32], cache: &mut dyn KvCache, prompt: bool) -> Result<Vec<Vec<f32>>, EngineError> {
    let (model, mut activations) = (engine.model(), engine.model().activations());
    let logits = if prompt { LogitRows::None } else { LogitRows::From(0) };
    let mut batch = [Sequence { tokens, cache, end_of_prompt: prompt, logits }];
    model.forward(&mut batch, engine.workspace(), &mut activations, &mut |_| ControlFlow::Continue(()))?;
    let logits = activations.logits();
    Ok((0..logits.count()).map(|row| log_softmax(logits.row(row))).collect())
}

fn log_softmax(logits: &[f32]) -> Vec<f32> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|x| f64::from(x - largest).exp()).sum();
    let shift = f64::from(largest) + sum.ln();
    logits.iter().map(|&x| (f64::from(x) - shift) as f32).collect()
}

/// The mean of KL(truth, found) over rows of log-probabilities, in nats; not below zero.
fn divergence(truth: &[Vec<f32>], found: &[Vec<f32>]) -> f64 {
    let row = |(p, q): (&Vec<f32>, &Vec<f32>)| -> f64 {
        p.iter().zip(q).map(|(&p, &q)| f64::from(p).exp() * (f64::from(p) - f64::from(q))).sum()
    };
    (truth.iter().zip(found).map(row).sum::<f64>() / truth.len().max(1) as f64).max(0.0)
}
