//! The `spectral` cache on a GPU: tables that the processor makes of a prompt's sample, by the rules of the CPU's cache.

use std::sync::Arc;

use fourier_kv_cache::plan::{Plan, PlanError};
use fourier_kv_cache::spectral::{Coefficient, Fitter, LayerSample, SideFit, Span, SpectralSettings};
use fourier_kv_cuda::attention::Heads;
use fourier_kv_cuda::attention::code::{LayerCode, SideCode};
use fourier_kv_cuda::attention::spectral::{BLOCK, KEY_TILE, SpectralSizes};
use fourier_kv_cuda::model::{FitSpectral, PromptRows, SpectralSettings as DeviceSettings};

use super::host::Host;

/// The most tokens that tables are made of. The CPU's cache takes four times as many; here they are to be made while the
/// GPU computes a layer.
const MOST_TOKENS: usize = 2048;
/// The most query heads that may ask for values that are transformed together.
const MOST_HEADS: usize = 8;

/// What a past on the device is like that follows these settings. Values of as many heads are transformed together as the
/// settings say and the kernels are written for.
pub(super) fn settings(
    settings: &SpectralSettings,
    heads: Heads,
    plan: Option<&Plan>,
    host: Arc<Host>,
) -> Result<DeviceSettings, PlanError> {
    let shares = plan.map(|plan| plan.check_shares(host.shape())).transpose()?.cloned().map(Arc::new);
    let settings = on_device(settings, heads);
    let sizes = SpectralSizes { heads, value_heads: settings.values.heads(host.shape()) };
    let fitter = Fitter::new(settings.clone(), host.context.clone(), shares);
    Ok(DeviceSettings {
        sizes,
        sink: settings.sink,
        window: settings.window,
        least: settings.least_middle,
        fit: Arc::new(Fit { sizes, fitter, host }),
        shared: false,
    })
}

/// The settings as the device follows them.
pub(super) fn on_device(settings: &SpectralSettings, heads: Heads) -> SpectralSettings {
    let shape = |kv_heads| fourier_kv_cache::CacheShape {
        layers: 1,
        heads: heads.heads,
        kv_heads,
        head_dim: heads.head_dim,
        rope_frequencies: Vec::new(),
    };
    let together = settings.values.heads(&shape(heads.kv_heads));
    match together * heads.group() <= MOST_HEADS {
        true => settings.clone(),
        false => SpectralSettings { values: Span::Head, ..settings.clone() },
    }
}

/// Makes tables.
struct Fit {
    sizes: SpectralSizes,
    fitter: Fitter,
    host: Arc<Host>,
}

impl FitSpectral for Fit {
    fn most_tokens(&self) -> usize {
        MOST_TOKENS
    }

    fn fit(&self, rows: &PromptRows) -> LayerCode {
        let PromptRows { layer, tokens, starts, keys, values, query_energy, queries, .. } = rows;
        let sample =
            LayerSample { layer: *layer, tokens: *tokens, starts, keys, values, query_energy, queries: *queries };
        let [keys, values] = self.fitter.fit(&sample, self.host.workspace(*layer));
        let Heads { kv_heads, head_dim, .. } = self.sizes.heads;
        let channels = self.sizes.channels();
        LayerCode {
            keys: side(
                &keys,
                &Layout { parts: kv_heads, tiles: head_dim / KEY_TILE, directions: KEY_TILE, of_keys: true },
                None,
            ),
            values: side(
                &values,
                &Layout { parts: self.sizes.value_tiles(), tiles: 1, directions: channels, of_keys: false },
                Some(head_dim),
            ),
        }
    }
}

/// How a side's tiles stand on the device.
struct Layout {
    /// Heads, or tiles of values.
    parts: usize,
    /// Tiles of a part.
    tiles: usize,
    /// Directions, and channels, of a tile.
    directions: usize,
    of_keys: bool,
}

impl Layout {
    /// Where a coefficient stands in its part.
    fn place(&self, c: &Coefficient) -> u16 {
        let place = match self.of_keys {
            true => (c.tile % self.tiles * BLOCK + c.harmonic) * KEY_TILE + c.direction,
            false => c.direction * BLOCK + c.harmonic,
        };
        u16::try_from(place).unwrap_or(u16::MAX)
    }
}

/// One side as the device takes it; `split`: the dims of heads among which the ways back are divided.
fn side(fit: &SideFit, layout: &Layout, split: Option<usize>) -> SideCode {
    let mut side = SideCode {
        bits: fit.coefficients.iter().map(|c| c.bits).collect(),
        sizes: fit.coefficients.iter().map(|c| c.size).collect(),
        places: fit.coefficients.iter().map(|c| layout.place(c)).collect(),
        ..SideCode::default()
    };
    let before = |part: usize| fit.coefficients.partition_point(|c| c.tile < part * layout.tiles) as u32;
    side.starts = (0..=layout.parts).map(before).collect();
    let n = layout.directions;
    for tile in 0..fit.channels.len() {
        side.forward.extend(padded(&fit.forward[tile], n * n));
        side.shift.extend(padded(&fit.shift[tile], n));
        let back: Vec<f32> = padded(&fit.back[tile], n * n).collect();
        match split {
            None => side.back.extend(back),
            Some(dim) => {
                for head in 0..n / dim {
                    side.back.extend(back.chunks_exact(n).flat_map(|row| &row[head * dim..(head + 1) * dim]));
                }
            }
        }
        side.means.extend(&fit.means[tile]);
    }
    side
}

fn padded(numbers: &[f32], len: usize) -> impl Iterator<Item = f32> {
    numbers.iter().copied().chain(std::iter::repeat(0.0)).take(len)
}
