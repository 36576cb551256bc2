//! What a cache can refuse.

use crate::settings::SettingsError;

/// A cache was given something that does not fit it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// A slice of rows has the wrong length.
    #[error("expected {expected} numbers of {what}, got {got}")]
    Rows {
        /// Queries, keys or values.
        what: &'static str,
        /// The length that the shape asks for.
        expected: usize,
        /// The length that came.
        got: usize,
    },
    /// There is no such layer.
    #[error("expected a layer below {layers}, got {layer}")]
    Layer {
        /// The layer asked for.
        layer: usize,
        /// Layers of the cache.
        layers: usize,
    },
    /// More queries than tokens that are still held one by one.
    #[error("expected queries of the last {held} tokens at most, got queries of {asked}")]
    Queries {
        /// Tokens asked about.
        asked: usize,
        /// Tokens that can be.
        held: usize,
    },
    /// A setting is out of range, or two do not go together.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A budget of bytes is too small at any rate.
    #[error("expected a budget of at least {least} bytes for a past of {tokens} tokens, got {budget}")]
    Budget {
        /// The least that would do.
        least: usize,
        /// Tokens that the past may come to.
        tokens: usize,
        /// The budget.
        budget: usize,
    },
    /// A budget of bytes for a cache whose size no budget can choose.
    #[error("expected a cache whose rate is free to be chosen, such as `spectral:auto`, got `{kind}`")]
    NotFree {
        /// The cache.
        kind: String,
    },
    /// A plan does not fit the model or the settings.
    #[error(transparent)]
    Plan(#[from] crate::plan::PlanError),
}

/// Checks a layer's number.
pub(crate) fn check_layer(layer: usize, layers: usize) -> Result<(), CacheError> {
    match layer < layers {
        true => Ok(()),
        false => Err(CacheError::Layer { layer, layers }),
    }
}
