//! How many bytes a cache will hold, without filling one.

use std::sync::Arc;

use crate::bytes::CacheBytes;
use crate::evicting::expected_bytes as evicting_bytes;
use crate::exact::expected_bytes as exact_bytes;
use crate::fourier::expected_bytes as fourier_bytes;
use crate::lowrank::expected_bytes as lowrank_bytes;
use crate::plan::{Plan, PlanError};
use crate::quantised::expected_bytes as quantised_bytes;
use crate::spectral::expected_bytes as spectral_bytes;
use crate::{CacheError, CacheKind, CacheShape};

/// A prompt as it comes to a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PromptSize {
    /// Its tokens.
    pub tokens: usize,
    /// Tokens that are appended at once, at least 1; the last time fewer. Room is made for them.
    pub tile: usize,
}

impl CacheKind {
    /// What [`crate::KvCache::bytes`] will say once a prompt of this size has been appended and sealed: to the byte,
    /// whatever the prompt's content.
    ///
    /// # Errors
    /// As [`CacheKind::build`].
    pub fn expected_bytes(
        &self,
        shape: &CacheShape,
        plan: Option<&Arc<Plan>>,
        prompt: PromptSize,
    ) -> Result<CacheBytes, CacheError> {
        match self {
            _ if plan.is_some() && !self.takes_plan() => Err(PlanError::NoUse { kind: self.name() }.into()),
            CacheKind::Evicting(settings) => Ok(evicting_bytes(settings, shape, prompt)),
            CacheKind::Exact(storage) => Ok(exact_bytes(*storage, shape, prompt)),
            CacheKind::Fourier(settings) => Ok(fourier_bytes(settings, shape, plan.map(Arc::as_ref), prompt)?),
            CacheKind::Quantised(settings) => Ok(quantised_bytes(settings, shape, prompt)?),
            CacheKind::LowRank(settings) => Ok(lowrank_bytes(settings, shape, prompt)?),
            CacheKind::Spectral(settings) => {
                let shares = plan.map(|plan| plan.check_shares(shape)).transpose()?;
                Ok(spectral_bytes(settings, shape, shares, prompt))
            }
        }
    }
}
