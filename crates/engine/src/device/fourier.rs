//! The `fourier` cache on a GPU: sizes of layers, periods and spectral dims by the rules of the CPU's.

use std::sync::Arc;

use fourier_kv_cache::fourier::budget::{count, shares};
use fourier_kv_cache::fourier::choice::{cheapest, dim_weights, exact_dims};
use fourier_kv_cache::fourier::losses::losses;
use fourier_kv_cache::fourier::track::{Side, Tracking};
use fourier_kv_cache::fourier::{Band, FourierSettings};
use fourier_kv_cache::plan::Plan;
use fourier_kv_cuda::attention::Heads;
use fourier_kv_cuda::attention::fourier::{FourierSizes, TILE};
use fourier_kv_cuda::model::{ChooseDims, Dims, FourierSettings as DeviceSettings, PromptRows};
use fourier_kv_kernels::element::Element;
use fourier_kv_kernels::parts::Chunks;
use fourier_kv_kernels::workspace::Transforms;

use super::caches::DeviceCacheError;
use super::host::Host;
use crate::EngineError;

/// What a past on the device is like that follows these settings.
pub(super) fn settings(
    settings: &FourierSettings,
    heads: Heads,
    plan: Option<&Plan>,
    host: Arc<Host>,
) -> Result<DeviceSettings, EngineError> {
    let layers = host.shape().layers;
    if let Some(plan) = plan {
        plan.check(host.shape(), settings.band)?;
    }
    let tracks = (0..layers).map(|layer| tracks(layer, layers, heads, plan)).collect::<Result<Vec<_>, _>>()?;
    let sizes = |&[key_tracks, value_tracks]: &[usize; 2]| FourierSizes {
        heads,
        harmonics: settings.harmonics,
        key_tracks,
        value_tracks,
    };
    let (own, least) = (settings.clone(), 2 * settings.harmonics);
    Ok(DeviceSettings {
        sizes: tracks.iter().map(sizes).collect(),
        sink: settings.sink,
        window: settings.window,
        least: settings.least_middle(),
        period: Arc::new(move |waiting| own.period_for(waiting).max(least).next_multiple_of(TILE)),
        dims: match plan {
            Some(plan) => Dims::Given((0..layers).map(|layer| planned(plan, layer, heads)).collect()),
            None => Dims::Chosen(Arc::new(Chooser { settings: settings.clone(), tracks, host })),
        },
    })
}

/// Spectral dims of a head's keys and values.
fn tracks(layer: usize, layers: usize, heads: Heads, plan: Option<&Plan>) -> Result<[usize; 2], DeviceCacheError> {
    let Some(plan) = plan else {
        let shares = shares(layer, layers);
        return Ok([shares.keys, shares.values].map(|share| count(share, heads.head_dim)));
    };
    let sides = (0..heads.kv_heads).map(|head| plan.head(layer, head));
    let counts = sides.map(|head| [head.keys.len(), head.values.len()]).collect::<Vec<_>>();
    match counts.iter().all(|own| *own == counts[0]) {
        true => Ok(counts[0]),
        false => Err(DeviceCacheError::Heads { layer, got: counts.concat() }),
    }
}

/// The dims of a plan's layer, `[G][D]` each: the spectral ones, then the exact ones.
fn planned(plan: &Plan, layer: usize, heads: Heads) -> [Vec<u16>; 2] {
    let own = (0..heads.kv_heads).map(|head| plan.head(layer, head));
    let [mut keys, mut values] = [Vec::new(), Vec::new()];
    for head in own {
        keys.extend(in_order(&head.keys, heads.head_dim));
        values.extend(in_order(&head.values, heads.head_dim));
    }
    [keys, values]
}

/// Spectral dims, then the others.
fn in_order(spectral: &[u16], dim: usize) -> Vec<u16> {
    let rest = exact_dims(Tracking { dim, carriers: None }, spectral);
    spectral.iter().copied().chain(rest).collect()
}

/// Chooses dims by the prompt, as the CPU's cache does.
struct Chooser {
    settings: FourierSettings,
    /// Spectral dims of each layer's keys and values.
    tracks: Vec<[usize; 2]>,
    host: Arc<Host>,
}

impl ChooseDims for Chooser {
    fn choose(&self, rows: &PromptRows, period: usize) -> [Vec<u16>; 2] {
        let shape = self.host.shape();
        let transforms = self.host.workspace(rows.layer).transforms(period);
        let mut found: Vec<[Vec<u16>; 2]> = vec![Default::default(); shape.kv_heads];
        self.host.workspace(rows.layer).team().for_parts(Chunks::new(&mut found, 1), |head, dims| {
            dims[0] = self.of_head(rows, head, &transforms);
        });
        let [mut keys, mut values] = [Vec::new(), Vec::new()];
        for [own_keys, own_values] in found {
            keys.extend(own_keys);
            values.extend(own_values);
        }
        [keys, values]
    }
}

impl Chooser {
    fn of_head(&self, rows: &PromptRows, head: usize, transforms: &Transforms) -> [Vec<u16>; 2] {
        let dim = self.host.shape().head_dim;
        let energy = &rows.query_energy[head * dim..][..dim];
        let output = self.host.context.output_energy(rows.layer, head);
        let (key_weights, value_weights) = dim_weights(self.settings.rank, energy, output);
        let harmonics = self.settings.harmonics;
        let numbers = rows.tokens * dim;
        let sides = [(Side::Keys, &rows.keys, key_weights), (Side::Values, &rows.values, value_weights)];
        let mut counts = self.tracks[rows.layer].into_iter();
        sides.map(|(side, all, weights)| {
            let own = &all[head * numbers..][..numbers];
            let tracking = Tracking::of(side, Band::Base, &self.host.shape().rope_frequencies);
            let read = |d: usize, column: &mut [f32]| {
                for (x, row) in column.iter_mut().zip(own.chunks_exact(dim)) {
                    *x = row[d].load();
                }
            };
            let found = losses(tracking, harmonics, rows.tokens, &read, &weights, transforms);
            let found: Vec<f64> = found.iter().map(|(_, loss)| *loss).collect();
            in_order(&cheapest(&found, counts.next().unwrap_or(0)), dim)
        })
    }
}
