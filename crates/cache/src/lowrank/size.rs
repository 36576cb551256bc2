//! How many bytes a prompt will take, and so how many directions may be kept.

use half::bf16;

use super::basis::{BASIS_WIDTH, MEAN_WIDTH};
use super::head::Head;
use super::settings::{LowRankSettings, Rank, STEP};
use super::{Layer, rotary};
use crate::expected::PromptSize;
use crate::rotary::Rotary;
use crate::settings::SettingsError;
use crate::tokens::room_after;
use crate::{CacheBytes, CacheShape};

const WIDTH: usize = size_of::<bf16>();

/// What a cache with these settings holds once a prompt has been sealed.
///
/// # Errors
/// If the settings do not fit the shape.
pub(crate) fn expected_bytes(
    settings: &LowRankSettings,
    shape: &CacheShape,
    prompt: PromptSize,
) -> Result<CacheBytes, SettingsError> {
    settings.check(shape)?;
    Ok(Sizes::new(settings, shape, prompt).with(rank(settings, shape, prompt.tokens)))
}

/// Directions to keep of a prompt of so many tokens.
pub(super) fn rank(settings: &LowRankSettings, shape: &CacheShape, tokens: usize) -> usize {
    match settings.rank {
        Rank::Half => shape.head_dim.div_ceil(2),
        Rank::Dims(rank) => rank,
        Rank::Ratio(ratio) => {
            let budget = shape.exact_bytes(tokens, WIDTH) as f64 / ratio;
            // Once there is a basis, how tokens came makes no difference.
            let sizes = Sizes::new(settings, shape, PromptSize { tokens, tile: tokens });
            (1..=shape.head_dim).rev().find(|&rank| sizes.with(rank).total() as f64 <= budget).unwrap_or(1)
        }
    }
}

/// What does not depend on the rank.
struct Sizes {
    heads: usize,
    dim: usize,
    /// Tokens that are projected.
    projected: usize,
    /// Without coefficients and directions.
    rest: CacheBytes,
}

impl Sizes {
    /// Repeats what `Head::project_first` does at the end of a prompt.
    fn new(settings: &LowRankSettings, shape: &CacheShape, prompt: PromptSize) -> Self {
        let (heads, dim) = (shape.layers * shape.kv_heads, shape.head_dim);
        let projected = settings.due(prompt.tokens, false, dim);
        let sink = if projected > 0 { settings.sink } else { 0 };
        let tail_room = room_after(prompt.tokens, prompt.tile).min(prompt.tokens - sink - projected + STEP);
        let means = if projected > 0 { 2 * dim * MEAN_WIDTH } else { 0 };
        let table = rotary(settings, shape).as_ref().map_or(0, Rotary::bytes);
        let rest = CacheBytes {
            tokens: shape.exact_bytes(sink + tail_room, WIDTH),
            bookkeeping: shape.layers * size_of::<Layer>() + heads * (size_of::<Head>() + means) + table,
            ..CacheBytes::default()
        };
        Sizes { heads, dim, projected, rest }
    }

    fn with(&self, rank: usize) -> CacheBytes {
        let directions = if self.projected > 0 { self.dim * BASIS_WIDTH } else { 0 };
        let coefficients = 2 * self.heads * rank * (self.projected * WIDTH + directions);
        CacheBytes { coefficients, ..self.rest }
    }
}
