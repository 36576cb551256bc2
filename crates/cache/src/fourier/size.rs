//! How many bytes a prompt will take: the rules of `head`, `stretch` and `store` in numbers of tokens alone.

use fourier_kv_kernels::attention::fourier::EXACT_BLOCK;
use fourier_kv_spectral::band::PairBand;
use fourier_kv_spectral::period::usable_harmonics;

use super::Layer;
use super::budget::{Shares, count, shares};
use super::head::{Head, STEP};
use super::settings::{Band, FourierSettings};
use super::stretch::Stretch;
use super::track::{Side, Tracking};
use crate::expected::PromptSize;
use crate::plan::{HeadPlan, Plan, PlanError};
use crate::tokens::room_after;
use crate::{CacheBytes, CacheShape};

/// What a cache with these settings holds once a prompt has been sealed.
///
/// # Errors
/// If the plan does not fit the shape or the band.
pub(crate) fn expected_bytes(
    settings: &FourierSettings,
    shape: &CacheShape,
    plan: Option<&Plan>,
    prompt: PromptSize,
) -> Result<CacheBytes, PlanError> {
    if let Some(plan) = plan {
        plan.check(shape, settings.band)?;
    }
    Ok(bytes_at(settings, shape, plan, prompt, push(settings, shape, plan.is_some(), prompt)))
}

/// How far the layers' shares are pushed to reach the ratio that the settings ask for, -1 to 1: the least that makes a
/// prompt of this size no larger, or 1 if nothing does. 0 if no ratio is asked for, or a plan says which dims.
pub(super) fn push(settings: &FourierSettings, shape: &CacheShape, planned: bool, prompt: PromptSize) -> f64 {
    let Some(ratio) = settings.ratio.filter(|_| !planned) else { return 0.0 };
    let budget = shape.exact_bytes(prompt.tokens, settings.exact.width()) as f64 / ratio;
    let fits = |push: f64| bytes_at(settings, shape, None, prompt, push).total() as f64 <= budget;
    let (mut low, mut high) = (-1.0, 1.0);
    // Shares are rounded to whole dims: thousandths are finer than that.
    while high - low > 1e-3 {
        let middle = (low + high) / 2.0;
        if fits(middle) { high = middle } else { low = middle }
    }
    high
}

fn bytes_at(
    settings: &FourierSettings,
    shape: &CacheShape,
    plan: Option<&Plan>,
    prompt: PromptSize,
    push: f64,
) -> CacheBytes {
    // The structures are as large for every number type: they hold vectors.
    let (layer_size, head_size) = (size_of::<Layer<f32, f32>>(), size_of::<Head<f32, f32>>());
    let bookkeeping = shape.layers * (layer_size + shape.kv_heads * head_size);
    let mut bytes = CacheBytes { bookkeeping, ..CacheBytes::default() };
    let parts = parts(settings, prompt);
    for layer in 0..shape.layers {
        for head in 0..shape.kv_heads {
            let tracks = Tracks {
                settings,
                shape,
                shares: shares(layer, shape.layers).pushed(push),
                plan: plan.map(|p| p.head(layer, head)),
            };
            bytes += tracks.head_bytes(&parts);
        }
    }
    bytes
}

/// How a head's tokens are divided; the same for all heads.
struct Parts {
    sink: usize,
    /// Tokens and period of each stretch.
    middle: Vec<(usize, usize)>,
    /// Tokens that the tail has room for.
    tail_room: usize,
}

/// Repeats what `Head::settle` does at the end of a prompt.
fn parts(settings: &FourierSettings, prompt: PromptSize) -> Parts {
    let mut parts = Parts { sink: 0, middle: Vec::new(), tail_room: room_after(prompt.tokens, prompt.tile) };
    let mut tail = prompt.tokens;
    let least = settings.least_middle().max(1);
    loop {
        let sink = if parts.middle.is_empty() { settings.sink } else { 0 };
        let waiting = tail.saturating_sub(settings.window);
        if waiting < sink + least {
            break;
        }
        parts.sink += sink;
        let period = settings.period_for(waiting - sink);
        let count = (waiting - sink).min(period);
        parts.middle.push((count, period));
        tail -= sink + count;
    }
    parts.tail_room = parts.tail_room.min(tail + STEP);
    parts
}

/// What one head's tracks are.
struct Tracks<'a> {
    settings: &'a FourierSettings,
    shape: &'a CacheShape,
    shares: Shares,
    plan: Option<&'a HeadPlan>,
}

impl Tracks<'_> {
    fn head_bytes(&self, parts: &Parts) -> CacheBytes {
        let (dim, width) = (self.shape.head_dim, self.settings.exact.width());
        let undecided = if parts.middle.is_empty() { dim * size_of::<f64>() } else { 0 };
        let mut bytes = CacheBytes {
            tokens: 2 * dim * width * (parts.sink + parts.tail_room),
            bookkeeping: undecided + parts.middle.len() * size_of::<Stretch<f32, f32>>(),
            ..CacheBytes::default()
        };
        for &stretch in &parts.middle {
            let keys = self.plan.map(|p| p.keys.len());
            let values = self.plan.map(|p| p.values.len());
            bytes += self.side_bytes(Side::Keys, self.shares.keys, keys, stretch);
            bytes += self.side_bytes(Side::Values, self.shares.values, values, stretch);
        }
        bytes
    }

    fn side_bytes(&self, side: Side, share: f64, planned: Option<usize>, stretch: (usize, usize)) -> CacheBytes {
        let (settings, (tokens, period)) = (self.settings, stretch);
        let tracking = Tracking::of(side, settings.band, &self.shape.rope_frequencies);
        let tracks = planned.unwrap_or_else(|| count(share, tracking.count()));
        let is_pair = side == Side::Keys && settings.band == Band::Carrier;
        let spectral = tracks * if is_pair { 2 } else { 1 };
        let exact = tracking.dim - spectral;
        let harmonics = usable_harmonics(settings.harmonics, period);
        CacheBytes {
            exact_dims: tokens.div_ceil(EXACT_BLOCK) * EXACT_BLOCK * exact * settings.exact.width(),
            coefficients: tracks * tracking.width(harmonics, period) * settings.coefficients.width(),
            bookkeeping: (tracks + exact) * size_of::<u16>()
                + spectral * size_of::<f32>()
                + if is_pair { tracks * size_of::<PairBand>() } else { 0 },
            ..CacheBytes::default()
        }
    }
}
