//! Making a plan: run the model over text and see what each head dim would lose.

use std::ops::ControlFlow;
use std::sync::Arc;

use fourier_kv_cache::fourier::calibration::Calibration;
use fourier_kv_cache::fourier::{FourierSettings, Rank};
use fourier_kv_cache::plan::{Plan, PlanModel, PlanOrigin};
use fourier_kv_cache::spectral::CODES;
use fourier_kv_cache::{KvCache, LayerTrace, TraceCache};
use fourier_kv_model::decoder::{LogitRows, Progress, Sequence};
use sha2::{Digest, Sha256};

use crate::harm::{HarmOptions, measure_shares};
use crate::{Engine, EngineError};

/// How a plan is to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct CalibrateOptions {
    /// The cache that the plan is for.
    pub settings: FourierSettings,
    /// Tokens of text to look at.
    pub tokens: usize,
    /// Tokens a sequence.
    pub sequence: usize,
}

impl Default for CalibrateOptions {
    fn default() -> Self {
        CalibrateOptions { settings: FourierSettings::default(), tokens: 16_384, sequence: 4_096 }
    }
}

/// Makes a plan from a text: its first `options.tokens` tokens, in sequences of `options.sequence`.
///
/// Costs as much as reading so many tokens as prompts, and the memory of one sequence in `f32`.
///
/// # Errors
/// If the text or the sequences are too short to have a middle, or `watch` said to stop.
pub fn calibrate(
    engine: &Engine,
    text: &str,
    options: &CalibrateOptions,
    watch: &mut (dyn FnMut(Progress) -> ControlFlow<()> + Send),
) -> Result<Plan, EngineError> {
    let mut calibration = Calibration::new(options.settings.clone(), engine.cache_context()?.clone());
    let sequences = sequences(engine, text, options, calibration.least_tokens())?;
    for (i, tokens) in sequences.iter().enumerate() {
        let shape = Arc::new(engine.model().cache_shape());
        let observe = |trace: LayerTrace<'_>| calibration.observe(trace, engine.workspace());
        run(engine, tokens, Box::new(TraceCache::new(shape, observe)), &mut |p| {
            watch(Progress { done: i * p.total + p.done, total: sequences.len() * p.total })
        })?;
    }
    let tokens: usize = sequences.iter().map(Vec::len).sum();
    let origin = PlanOrigin {
        tokens,
        sequences: sequences.len(),
        text_sha256: sha256(text),
        harmonics: options.settings.harmonics,
        rank: if options.settings.rank == Rank::Error { "error" } else { "weighted" }.to_owned(),
    };
    Ok(calibration.plan(plan_model(engine), origin))
}

/// Makes a plan for `spectral` caches from the first tokens of a text: see [`measure_shares`].
///
/// # Errors
/// If the text is too short, or `watch` said to stop.
pub fn calibrate_shares(
    engine: &Engine,
    text: &str,
    options: &HarmOptions,
    watch: &mut (dyn FnMut(Progress) -> ControlFlow<()> + Send),
) -> Result<Plan, EngineError> {
    let tokens = engine.text_prompt(text)?;
    let shares = measure_shares(engine, &tokens, options, watch)?;
    let origin = PlanOrigin {
        tokens: options.tokens + options.continuation,
        sequences: 1,
        text_sha256: sha256(text),
        harmonics: options.settings.block,
        rank: "harm".to_owned(),
    };
    let band = FourierSettings::default().band;
    Ok(Plan { model: plan_model(engine), band, origin, heads: Vec::new(), shares: Some(shares), codes: Some(CODES) })
}

fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}

/// What identifies the engine's model in a plan.
fn plan_model(engine: &Engine) -> PlanModel {
    let config = engine.model().config();
    PlanModel {
        name: config.name.clone(),
        fingerprint: engine.model().fingerprint().to_owned(),
        layers: config.layers,
        kv_heads: config.kv_heads,
        head_dim: config.head_dim,
    }
}

/// Cuts the text into sequences; a last one that is too short to have a middle is left out.
fn sequences(
    engine: &Engine,
    text: &str,
    options: &CalibrateOptions,
    least: usize,
) -> Result<Vec<Vec<u32>>, EngineError> {
    let length = options.sequence.min(engine.model().config().context_length);
    if length < least {
        return Err(EngineError::ShortSequence { expected: least, got: length });
    }
    let mut tokens = engine.text_prompt(text)?;
    tokens.truncate(options.tokens.max(least));
    if tokens.len() < least {
        return Err(EngineError::ShortText { expected: least, got: tokens.len() });
    }
    let cut = tokens.chunks(length).filter(|s| s.len() >= least);
    Ok(cut.map(<[u32]>::to_vec).collect())
}

fn run(
    engine: &Engine,
    tokens: &[u32],
    cache: Box<dyn KvCache + '_>,
    watch: &mut (dyn FnMut(Progress) -> ControlFlow<()> + Send),
) -> Result<(), EngineError> {
    let mut cache = cache;
    let (model, workspace) = (engine.model(), engine.workspace());
    let mut batch = [Sequence { tokens, cache: cache.as_mut(), end_of_prompt: true, logits: LogitRows::None }];
    model.forward(&mut batch, workspace, &mut model.activations(), watch)?;
    Ok(())
}
