//! How many bytes a cache will hold, without filling one.

use std::sync::Arc;

use crate::bytes::CacheBytes;
use crate::evicting::expected_bytes as evicting_bytes;
use crate::exact::expected_bytes as exact_bytes;
use crate::fourier::expected_bytes as fourier_bytes;
use crate::lowrank::expected_bytes as lowrank_bytes;
use crate::plan::{Plan, PlanError};
use crate::quantised::expected_bytes as quantised_bytes;
use crate::spectral::{Rate, at_most as spectral_at_most, expected_bytes as spectral_bytes, within as spectral_within};
use crate::{CacheError, CacheKind, CacheShape};

/// A prompt as it comes to a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PromptSize {
    /// Its tokens.
    pub tokens: usize,
    /// Tokens that are appended at once, at least 1; the last time fewer. Room is made for them.
    pub tile: usize,
}

/// A budget of bytes for a past that grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteBudget {
    /// Heap bytes that the cache may hold at any time from the end of the prompt on.
    ///
    /// While a prompt or a further turn is read, the layer at hand holds its tokens exactly besides.
    pub bytes: usize,
    /// The prompt; of no tokens if none is known.
    pub prompt: PromptSize,
    /// Tokens after it at most, one by one or in further turns.
    pub more: usize,
}

impl CacheKind {
    /// Whether a budget of bytes may choose its size: [`CacheKind::within`].
    pub fn is_free(&self) -> bool {
        matches!(self, CacheKind::Spectral(settings) if settings.rate == Rate::Auto)
    }

    /// The same kind at the highest rate at which it stays within a budget, whatever the text.
    ///
    /// # Errors
    /// [`CacheError::Budget`] if no rate does, [`CacheError::NotFree`] if there is nothing to choose; else as
    /// [`CacheKind::build`].
    pub fn within(
        &self,
        budget: &ByteBudget,
        shape: &CacheShape,
        plan: Option<&Arc<Plan>>,
    ) -> Result<Self, CacheError> {
        match self {
            CacheKind::Spectral(settings) if settings.rate == Rate::Auto => {
                let shares = plan.map(|plan| plan.check_shares(shape)).transpose()?;
                Ok(CacheKind::Spectral(spectral_within(settings, shape, shares, budget)?))
            }
            _ => Err(CacheError::NotFree { kind: self.to_string() }),
        }
    }

    /// The most that [`crate::KvCache::bytes`] will say from the end of a prompt on, with up to `more` tokens after it,
    /// however both come, in turns or one by one. `None` for kinds of which no more can be said than that tokens to come
    /// take no more than exact ones.
    ///
    /// # Errors
    /// As [`CacheKind::build`].
    pub fn at_most(
        &self,
        shape: &CacheShape,
        plan: Option<&Arc<Plan>>,
        prompt: PromptSize,
        more: usize,
    ) -> Result<Option<usize>, CacheError> {
        let CacheKind::Spectral(settings) = self else { return Ok(None) };
        let shares = plan.map(|plan| plan.check_shares(shape)).transpose()?;
        Ok(Some(spectral_at_most(settings, shape, shares, prompt, more)))
    }

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
