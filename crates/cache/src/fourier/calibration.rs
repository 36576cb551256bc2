//! From traces of a model to a plan.
//!
//! Run the model over text with a [`crate::TraceCache`] whose observer is [`Calibration::observe`]; losses add up over
//! sequences; [`Calibration::plan`] chooses within the budget.

use fourier_kv_kernels::parts::Chunks;
use fourier_kv_kernels::workspace::Workspace;
use fourier_kv_spectral::period::usable_harmonics;

use super::budget::{count, shares};
use super::choice::{cheapest, dim_weights};
use super::losses::losses;
use super::settings::FourierSettings;
use super::track::{Side, Tracking};
use crate::plan::{HeadPlan, Plan, PlanModel, PlanOrigin};
use crate::{CacheContext, LayerTrace};

/// Losses of every track of a model, as far as it has been observed.
#[derive(Clone, Debug)]
pub struct Calibration {
    settings: FourierSettings,
    context: CacheContext,
    /// `[L][G]`.
    heads: Vec<HeadLosses>,
}

#[derive(Clone, Debug)]
struct HeadLosses {
    keys: Vec<f64>,
    values: Vec<f64>,
}

impl Calibration {
    /// Nothing observed yet.
    pub fn new(settings: FourierSettings, context: CacheContext) -> Self {
        let shape = &context.shape;
        let tracks = |side| Tracking::of(side, settings.band, &shape.rope_frequencies).count();
        let head = HeadLosses { keys: vec![0.0; tracks(Side::Keys)], values: vec![0.0; tracks(Side::Values)] };
        Calibration { heads: vec![head; shape.layers * shape.kv_heads], settings, context }
    }

    /// Tokens that a sequence must have for its middle to be worth looking at.
    pub fn least_tokens(&self) -> usize {
        self.settings.sink + self.settings.window + self.settings.least_middle()
    }

    /// Adds one layer of one sequence. A sequence shorter than [`Calibration::least_tokens`] has no middle: it adds
    /// nothing.
    pub fn observe(&mut self, trace: LayerTrace<'_>, workspace: &Workspace) {
        let Calibration { settings, context, heads } = self;
        let shape = &context.shape;
        let tokens = trace.queries.len() / (shape.heads * shape.head_dim);
        if tokens < settings.sink + settings.window + settings.least_middle() {
            return;
        }
        let middle = tokens - settings.sink - settings.window;
        let transforms = workspace.transforms(settings.period_for(middle));
        let harmonics = usable_harmonics(settings.harmonics, transforms.fft.period());
        let layer = &mut heads[trace.layer * shape.kv_heads..][..shape.kv_heads];
        workspace.team().for_parts(Chunks::new(layer, 1), |g, sums| {
            let sums = &mut sums[0];
            let (keys, values) = weights(settings, context, trace, g);
            for (side, rows, weights, sums) in [
                (Side::Keys, trace.keys(g), keys, &mut sums.keys),
                (Side::Values, trace.values(g), values, &mut sums.values),
            ] {
                let tracking = Tracking::of(side, settings.band, &shape.rope_frequencies);
                let middle_rows = &rows[settings.sink * shape.head_dim..];
                let read = |d: usize, column: &mut [f32]| {
                    for (x, row) in column.iter_mut().zip(middle_rows.chunks_exact(shape.head_dim)) {
                        *x = row[d];
                    }
                };
                let found =
                    losses(tracking, harmonics, middle.min(transforms.fft.period()), &read, &weights, &transforms);
                for (sum, (_, loss)) in sums.iter_mut().zip(found) {
                    *sum += loss / middle as f64;
                }
            }
        });
    }

    /// The plan that the losses make within the paper's budget.
    pub fn plan(&self, model: PlanModel, origin: PlanOrigin) -> Plan {
        let shape = &self.context.shape;
        let heads = self.heads.chunks(shape.kv_heads).enumerate().map(|(layer, heads)| {
            let shares = shares(layer, shape.layers);
            let choose = |losses: &[f64], share| cheapest(losses, count(share, losses.len()));
            let head = |h: &HeadLosses| HeadPlan {
                keys: choose(&h.keys, shares.keys),
                values: choose(&h.values, shares.values),
            };
            heads.iter().map(head).collect()
        });
        Plan { model, band: self.settings.band, origin, heads: heads.collect(), shares: None, codes: None }
    }
}

/// What a unit of error matters in each dim of a head.
fn weights(
    settings: &FourierSettings,
    context: &CacheContext,
    trace: LayerTrace<'_>,
    head: usize,
) -> (Vec<f64>, Vec<f64>) {
    let shape = &context.shape;
    let dim = shape.head_dim;
    let mut energy = vec![0.0; dim];
    let group = head * shape.group() * dim..(head + 1) * shape.group() * dim;
    for token in trace.queries.chunks_exact(shape.heads * dim) {
        for (i, &q) in token[group.clone()].iter().enumerate() {
            energy[i % dim] += f64::from(q).powi(2);
        }
    }
    dim_weights(settings.rank, &energy, context.output_energy(trace.layer, head))
}
