//! `inspect`: a model, a plan for it, and what its past takes in every cache.

mod facts;
mod sizes;
mod text;

use std::path::PathBuf;
use std::sync::Arc;

use fourier_kv_engine::EngineError;
use fourier_kv_engine::cache::CacheShape;
use fourier_kv_engine::cache::plan::{Plan, PlanOrigin};
use fourier_kv_engine::model::config::ModelConfig;
use fourier_kv_engine::model::source;
use serde::Serialize;

use crate::args::InspectArgs;
use crate::failure::Failure;
use crate::loading;
use crate::plan_shares::PlanContent;
use crate::requests::InspectRequest;
use crate::session::Session;
use facts::ModelFacts;
use sizes::CacheSizes;

/// What was found, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Report {
    model: ModelFacts,
    plan: Option<PlanFacts>,
    caches: Vec<CacheSizes>,
}

/// A plan that fits the model.
#[derive(Debug, Serialize)]
struct PlanFacts {
    path: PathBuf,
    model: String,
    cache: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    band: Option<&'static str>,
    origin: PlanOrigin,
    #[serde(flatten)]
    content: PlanContent,
}

/// Looks at the model's files; nothing is computed with it.
pub(crate) fn inspect(args: &InspectArgs, session: &Session) -> Result<(), Failure> {
    let request = InspectRequest::new(args)?;
    let plan = request.plan.as_deref().map(Plan::read).transpose()?.map(Arc::new);
    let pulled = loading::model(&request.model, &request.sources, session)?;
    let source = source::open(&pulled.path).map_err(Failure::open(&pulled.path))?;
    let fingerprint = source.fingerprint().map_err(EngineError::from)?;
    if let Some(plan) = &plan {
        plan.check_model(&fingerprint, &source.config.name)?;
    }
    let facts = ModelFacts::new(&pulled.path, &source, fingerprint)?;
    let caches = sizes(&request, &source.config, plan.as_ref())?;
    let plan = request.plan.zip(plan).map(|(path, plan)| PlanFacts::new(path, &plan));
    let report = Report { model: facts, plan, caches };
    session.output.result(&report.to_string(), &report).map_err(Failure::Output)
}

fn sizes(request: &InspectRequest, config: &ModelConfig, plan: Option<&Arc<Plan>>) -> Result<Vec<CacheSizes>, Failure> {
    let shape = cache_shape(config);
    let kinds = match request.caches.is_empty() {
        true => sizes::usual_kinds(plan.map(|plan| plan.band)),
        false => request.caches.clone(),
    };
    let contexts = match request.contexts.is_empty() {
        true => sizes::usual_contexts(config.context_length),
        false => request.contexts.clone(),
    };
    let sizes = kinds.iter().map(|kind| {
        // The other caches are there to compare with.
        let plan = plan.filter(|plan| kind.name() == plan.kind());
        CacheSizes::new(kind, &shape, plan, &contexts)
    });
    Ok(sizes.collect::<Result<_, _>>().map_err(EngineError::from)?)
}

fn cache_shape(config: &ModelConfig) -> CacheShape {
    CacheShape {
        layers: config.layers,
        heads: config.heads,
        kv_heads: config.kv_heads,
        head_dim: config.head_dim,
        rope_frequencies: config.rope_frequencies(),
    }
}

impl PlanFacts {
    fn new(path: PathBuf, plan: &Plan) -> Self {
        PlanFacts {
            path,
            model: plan.model.name.clone(),
            cache: plan.kind(),
            band: plan.shares.is_none().then(|| plan.band.name()),
            origin: plan.origin.clone(),
            content: PlanContent::of(plan),
        }
    }
}
