//! The past of one key/value head of one layer: sink, stretches of the middle, and the exact tail.

use fourier_kv_kernels::attention::Queries;
use fourier_kv_kernels::attention::exact::{Mask, attend_exact};
use fourier_kv_kernels::attention::state::AttnRowsMut;
use fourier_kv_kernels::element::Element;
use fourier_kv_kernels::workspace::Workspace;

use super::budget::{Shares, count};
use super::choice::dim_weights;
use super::settings::FourierSettings;
use super::stretch::{Choice, Making, Span, Stretch};
use super::track::{Side, Tracking};
use crate::bytes::{CacheBytes, held};
use crate::park::{ParkError, SectionReader, SectionWriter, Tag, each};
use crate::plan::HeadPlan;
use crate::tokens::Tokens;

const ENERGY: Tag = *b"nrgy";
const KEY_TRACKS: Tag = *b"ktrk";
const VALUE_TRACKS: Tag = *b"vtrk";

/// Tokens that leave the window together: a step costs its phasors once, and the window is at most this much longer.
pub(super) const STEP: usize = 64;

/// One head's past. Oldest first: `sink`, `middle`, `tail`; the tail ends with the window.
#[derive(Clone, Debug)]
pub(super) struct Head<S, C> {
    sink: Tokens<S>,
    middle: Vec<Stretch<S, C>>,
    tail: Tokens<S>,
    /// `sum q_d^2` over the queries of the group seen so far; dropped when the first stretch has been made.
    query_energy: Vec<f64>,
}

/// What a head needs to compress itself, besides what it holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Compression<'a> {
    pub(super) settings: &'a FourierSettings,
    pub(super) frequencies: &'a [f64],
    pub(super) shares: Shares,
    /// `[D]`.
    pub(super) output_energy: &'a [f32],
    pub(super) plan: Option<&'a HeadPlan>,
}

/// How a parked head's tokens are divided; the same for all heads of a layer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout<'a> {
    pub(super) settings: &'a FourierSettings,
    pub(super) frequencies: &'a [f64],
    /// Tokens.
    pub(super) sink: usize,
    pub(super) spans: &'a [Span],
    /// Tokens.
    pub(super) tail: usize,
}

impl<S: Element, C: Element> Head<S, C> {
    pub(super) fn new(dim: usize) -> Self {
        Head { sink: Tokens::new(dim), middle: Vec::new(), tail: Tokens::new(dim), query_energy: vec![0.0; dim] }
    }

    pub(super) fn len(&self) -> usize {
        self.sink.len() + self.middle.iter().map(Stretch::tokens).sum::<usize>() + self.tail.len()
    }

    /// Which tracks are spectral, once that is decided.
    pub(super) fn plan(&self) -> Option<HeadPlan> {
        self.middle.first().map(Stretch::plan)
    }

    /// Tokens at the end that are held one by one.
    pub(super) fn tail_len(&self) -> usize {
        self.tail.len()
    }

    /// Appends tokens to the tail, and notes what was asked for.
    pub(super) fn push(&mut self, queries: Queries<'_, f32>, keys: &[f32], values: &[f32]) {
        self.tail.push(keys, values);
        for q in queries.rows.chunks_exact(queries.dim) {
            // Empty once a stretch has been made: there is nothing left to decide.
            for (sum, &x) in self.query_energy.iter_mut().zip(q) {
                *sum += f64::from(x).powi(2);
            }
        }
    }

    /// Compresses what has left the window, as far as the rules say; see the `fourier` module's head.
    pub(super) fn settle(&mut self, with: Compression<'_>, workspace: &Workspace) {
        loop {
            let waiting = self.tail.len().saturating_sub(with.settings.window);
            let moved = match self.middle.last().map(Stretch::room) {
                Some(room) if room > 0 => self.extend(room.min(waiting / STEP * STEP), with, workspace),
                _ => self.begin(waiting, with, workspace),
            };
            if moved == 0 {
                break;
            }
        }
    }

    /// Gives back the tail's memory beyond a step.
    pub(super) fn trim(&mut self) {
        self.tail.drop_first(0, STEP);
    }

    /// Whether [`Head::settle`] would compress anything now.
    pub(super) fn is_due(&self, settings: &FourierSettings) -> bool {
        let waiting = self.tail.len().saturating_sub(settings.window);
        match self.middle.last().map(Stretch::room) {
            Some(room) if room > 0 => waiting >= STEP,
            _ => waiting >= self.least_to_begin(settings),
        }
    }

    /// Tokens that have to wait before the next stretch is begun, the sink among them if it is the first.
    fn least_to_begin(&self, settings: &FourierSettings) -> usize {
        let sink = if self.middle.is_empty() { settings.sink } else { 0 };
        sink + settings.least_middle().max(1)
    }

    /// Makes room for `tokens` more, as far as the last stretch has it; what a new one takes is not foreseen.
    pub(super) fn reserve(
        &mut self,
        tokens: usize,
        settings: &FourierSettings,
        frequencies: &[f64],
        workspace: &Workspace,
    ) {
        let room = self.middle.last().map_or(0, Stretch::room);
        // The tail is longest just before tokens leave it: by a step, or by what the next stretch needs.
        let more = if room < tokens { STEP.max(self.least_to_begin(settings)) } else { STEP };
        let longest = settings.window + more;
        self.tail.reserve(tokens.min(longest.saturating_sub(self.tail.len())));
        if let Some(stretch) = self.middle.last_mut().filter(|_| room > 0) {
            let transforms = workspace.transforms(stretch.period());
            workspace.with_scratch(|scratch| {
                stretch.reserve(tokens.min(room), settings, frequencies, &transforms, scratch);
            });
        }
    }

    /// Moves `count` tokens from the tail into the last stretch.
    fn extend(&mut self, count: usize, with: Compression<'_>, workspace: &Workspace) -> usize {
        if let Some(stretch) = self.middle.last_mut().filter(|_| count > 0) {
            let transforms = workspace.transforms(stretch.period());
            for first in (0..count).step_by(STEP) {
                let step = STEP.min(count - first);
                let region = self.tail.first(step);
                workspace.with_scratch(|s| stretch.append(with.settings, with.frequencies, region, &transforms, s));
                self.tail.drop_first(step, STEP);
            }
        }
        count
    }

    /// Begins a stretch with the tokens that wait, if they are enough; the very first takes the sink off them.
    fn begin(&mut self, waiting: usize, with: Compression<'_>, workspace: &Workspace) -> usize {
        let first = self.middle.is_empty();
        let sink = if first { with.settings.sink } else { 0 };
        if waiting < self.least_to_begin(with.settings) {
            return 0;
        }
        if first {
            self.sink = self.tail.copy_first(sink);
            self.tail.drop_first(sink, STEP);
        }
        let period = with.settings.period_for(waiting - sink);
        let count = (waiting - sink).min(period);
        let stretch = self.make(count, period, with, workspace);
        self.middle.reserve_exact(1);
        self.middle.push(stretch);
        self.tail.drop_first(count, STEP);
        self.query_energy = Vec::new();
        count
    }

    fn make(&self, tokens: usize, period: usize, with: Compression<'_>, workspace: &Workspace) -> Stretch<S, C> {
        let transforms = workspace.transforms(period);
        let earlier = self.plan();
        let given = with.plan.or(earlier.as_ref());
        let (key_weights, value_weights) = dim_weights(with.settings.rank, &self.query_energy, with.output_energy);
        let ranked = |side, share, weights| {
            let tracks = Tracking::of(side, with.settings.band, with.frequencies).count();
            Choice::Ranked { count: count(share, tracks), weights }
        };
        let making = Making {
            settings: with.settings,
            frequencies: with.frequencies,
            period,
            keys: match given {
                Some(plan) => Choice::Given(&plan.keys),
                None => ranked(Side::Keys, with.shares.keys, &key_weights),
            },
            values: match given {
                Some(plan) => Choice::Given(&plan.values),
                None => ranked(Side::Values, with.shares.values, &value_weights),
            },
        };
        Stretch::new(making, self.tail.first(tokens), &transforms)
    }

    /// The stretches of the middle, oldest first.
    pub(super) fn middle(&self) -> &[Stretch<S, C>] {
        &self.middle
    }

    /// Adds the tokens that are held whole, sink and tail, to the states of the rows of `q`.
    pub(super) fn attend_whole(&self, q: Queries<'_, f32>, workspace: &Workspace, state: &mut AttnRowsMut<'_, f32>) {
        workspace.with_scratch(|scratch| {
            attend_exact(workspace.isa(), q, self.sink.region(), Mask::None, &mut scratch.exact, state);
            attend_exact(workspace.isa(), q, self.tail.region(), Mask::Causal, &mut scratch.exact, state);
        });
    }

    pub(super) fn park(&self, out: &mut SectionWriter<'_>) -> Result<(), ParkError> {
        self.sink.park(out)?;
        match self.plan() {
            None => out.numbers(ENERGY, &self.query_energy)?,
            Some(HeadPlan { keys, values }) => {
                out.numbers(KEY_TRACKS, &keys)?;
                out.numbers(VALUE_TRACKS, &values)?;
            }
        }
        self.middle.iter().try_for_each(|stretch| stretch.park(out))?;
        self.tail.park(out)
    }

    /// Reads a head.
    pub(super) fn unpark(layout: Layout<'_>, sections: &mut SectionReader<'_>) -> Result<Self, ParkError> {
        let Layout { settings, frequencies, sink, spans, tail } = layout;
        let dim = 2 * frequencies.len();
        let sink = Tokens::unpark(dim, sink, sections)?;
        let (mut query_energy, mut middle) = (Vec::new(), Vec::new());
        if spans.is_empty() {
            query_energy = sections.numbers(ENERGY, dim)?;
        } else {
            let tracks = HeadPlan {
                keys: unpark_tracks(KEY_TRACKS, Tracking::of(Side::Keys, settings.band, frequencies), sections)?,
                values: unpark_tracks(VALUE_TRACKS, Tracking::of(Side::Values, settings.band, frequencies), sections)?,
            };
            middle = each(spans.len(), |i| Stretch::unpark(settings, frequencies, spans[i], &tracks, sections))?;
        }
        Ok(Head { sink, middle, tail: Tokens::unpark(dim, tail, sections)?, query_energy })
    }

    pub(super) fn bytes(&self) -> CacheBytes {
        let mut bytes = CacheBytes {
            tokens: self.sink.bytes() + self.tail.bytes(),
            bookkeeping: held(&self.middle) + held(&self.query_energy),
            ..CacheBytes::default()
        };
        for stretch in &self.middle {
            bytes += stretch.bytes();
        }
        bytes
    }
}

/// Reads which tracks of a side are spectral: ascending, and such as there are.
fn unpark_tracks(tag: Tag, tracking: Tracking<'_>, sections: &mut SectionReader<'_>) -> Result<Vec<u16>, ParkError> {
    let tracks: Vec<u16> = sections.some_numbers(tag, tracking.count())?;
    let ascending = tracks.is_sorted_by(|a, b| a < b);
    match ascending && tracks.last().is_none_or(|&last| usize::from(last) < tracking.count()) {
        true => Ok(tracks),
        false => Err(ParkError::content(tag, format_args!("ascending tracks below {}", tracking.count()), "others")),
    }
}
