//! What the past takes in a cache, by its length.

use std::sync::Arc;

use fourier_kv_engine::cache::fourier::{Band, FourierSettings};
use fourier_kv_engine::cache::plan::Plan;
use fourier_kv_engine::cache::{CacheBytes, CacheError, CacheKind, CacheShape, PromptSize, Storage};
use fourier_kv_engine::model::decoder::TILE;
use serde::Serialize;

/// The first length that is told where none is asked for.
const FIRST_CONTEXT: usize = 1024;
/// Bytes a number of the exact cache that others are compared with: bf16.
const EXACT_WIDTH: usize = 2;

/// One cache, at several lengths.
#[derive(Debug, Serialize)]
pub(super) struct CacheSizes {
    /// The method, with its settings.
    pub(super) kind: String,
    /// What it keeps.
    pub(super) description: &'static str,
    /// By length.
    pub(super) sizes: Vec<Size>,
}

/// What a prompt takes once it has been read.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Size {
    /// Tokens of the prompt.
    pub(super) tokens: usize,
    /// Bytes.
    pub(super) bytes: usize,
    /// The same by what they are for.
    pub(super) bytes_by_kind: CacheBytes,
    /// Bytes of exact keys and values in bf16.
    pub(super) exact_bytes: usize,
    /// How many times smaller it is.
    pub(super) ratio: f64,
}

impl CacheSizes {
    /// # Errors
    /// If the plan does not fit.
    pub(super) fn new(
        kind: &CacheKind,
        shape: &CacheShape,
        plan: Option<&Arc<Plan>>,
        contexts: &[usize],
    ) -> Result<Self, CacheError> {
        let size = |&tokens: &usize| {
            let bytes = kind.expected_bytes(shape, plan, PromptSize { tokens, tile: TILE })?;
            let exact_bytes = shape.exact_bytes(tokens, EXACT_WIDTH);
            let ratio = exact_bytes as f64 / bytes.total() as f64;
            Ok::<_, CacheError>(Size { tokens, bytes: bytes.total(), bytes_by_kind: bytes, exact_bytes, ratio })
        };
        let known = CacheKind::DESCRIPTIONS.iter().find(|(name, _)| *name == kind.name());
        Ok(CacheSizes {
            kind: kind.to_string(),
            description: known.map_or("", |(_, what)| what),
            sizes: contexts.iter().map(size).collect::<Result<_, _>>()?,
        })
    }
}

/// Every kind, as it is without settings; `fourier` with the band that the plan was made for.
pub(super) fn usual_kinds(band: Option<Band>) -> Vec<CacheKind> {
    let usual = FourierSettings::default();
    let settings = FourierSettings { band: band.unwrap_or(usual.band), ..usual };
    let first = [CacheKind::Exact(Storage::Bf16), CacheKind::Exact(Storage::F32), CacheKind::Fourier(settings)];
    let names = CacheKind::DESCRIPTIONS.iter().map(|(name, _)| name);
    let others =
        names.filter(|name| first.iter().all(|kind| kind.name() != **name)).filter_map(|name| name.parse().ok());
    let others: Vec<CacheKind> = others.collect();
    first.into_iter().chain(others).collect()
}

/// Powers of two up to the model's context, and that.
pub(super) fn usual_contexts(context: usize) -> Vec<usize> {
    let doubled = std::iter::successors(Some(FIRST_CONTEXT), |tokens| tokens.checked_mul(2));
    doubled.take_while(|&tokens| tokens < context).chain([context]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_end_with_the_models_context() {
        assert_eq!(usual_contexts(8192), [1024, 2048, 4096, 8192]);
        assert_eq!(usual_contexts(3000), [1024, 2048, 3000]);
        assert_eq!(usual_contexts(256), [256]);
    }

    #[test]
    fn every_kind_is_shown() {
        let shown = usual_kinds(Some(Band::Base));
        for (name, _) in CacheKind::DESCRIPTIONS {
            assert!(shown.iter().any(|kind| kind.name() == name), "{name}");
        }
        assert!(shown[2].to_string().contains("band=base"));
    }
}
