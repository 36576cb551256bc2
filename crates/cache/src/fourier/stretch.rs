//! A stretch of the middle of one head: up to `P` tokens under one spectrum.

use fourier_kv_kernels::attention::exact::ExactRegion;
use fourier_kv_kernels::attention::fourier::FourierRegion;
use fourier_kv_kernels::element::Element;
use fourier_kv_kernels::workspace::{Scratch, Transforms};
use fourier_kv_spectral::band::PairBand;
use fourier_kv_spectral::period::usable_harmonics;

use super::choice::cheapest;
use super::head::STEP;
use super::losses::losses;
use super::settings::FourierSettings;
use super::store::{Run, SideStore, StoreSizes};
use super::track::{Analysed, Columns, Side, Track, Tracking, analyse};
use crate::bytes::{CacheBytes, held};
use crate::park::{ParkError, SectionReader, SectionWriter};
use crate::plan::HeadPlan;

/// A stretch of one head.
#[derive(Clone, Debug)]
pub(super) struct Stretch<S, C> {
    tokens: usize,
    period: usize,
    harmonics: usize,
    bands: Option<Vec<PairBand>>,
    keys: SideStore<S, C>,
    values: SideStore<S, C>,
}

/// How much of a period a stretch takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// Tokens held.
    pub(super) tokens: usize,
    /// The period.
    pub(super) period: usize,
}

/// How the spectral tracks of a side are decided.
#[derive(Clone, Copy, Debug)]
pub(super) enum Choice<'a> {
    /// By a plan, or by an earlier stretch.
    Given(&'a [u16]),
    /// The `count` tracks with the smallest error times weight; weights are one a dim.
    Ranked { count: usize, weights: &'a [f64] },
}

/// What a new stretch is made with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Making<'a> {
    pub(super) settings: &'a FourierSettings,
    pub(super) frequencies: &'a [f64],
    pub(super) period: usize,
    pub(super) keys: Choice<'a>,
    pub(super) values: Choice<'a>,
}

impl<S: Element, C: Element> Stretch<S, C> {
    /// Compresses the tokens of `region`, at most `P` of them.
    pub(super) fn new(making: Making<'_>, region: ExactRegion<'_, S>, transforms: &Transforms) -> Self {
        let harmonics = usable_harmonics(making.settings.harmonics, making.period);
        let dim = 2 * making.frequencies.len();
        let tokens = region.keys.len() / dim;
        let side = |side, choice, rows| {
            let tracking = Tracking::of(side, making.settings.band, making.frequencies);
            let run = Run { first_time: 0, count: tokens, rows };
            (tracking, make_side::<S, C>(tracking, harmonics, choice, run, transforms))
        };
        let (tracking, keys) = side(Side::Keys, making.keys, region.keys);
        let (_, values) = side(Side::Values, making.values, region.values);
        let bands = keys.bands(tracking, harmonics, making.period);
        Stretch { tokens, period: making.period, harmonics, bands, keys, values }
    }

    /// Tokens held.
    pub(super) fn tokens(&self) -> usize {
        self.tokens
    }

    /// Tokens that it can still take.
    pub(super) fn room(&self) -> usize {
        self.period - self.tokens
    }

    /// The period.
    pub(super) fn period(&self) -> usize {
        self.period
    }

    /// Which tracks are spectral.
    pub(super) fn plan(&self) -> HeadPlan {
        HeadPlan { keys: self.keys.spectral().to_vec(), values: self.values.spectral().to_vec() }
    }

    /// Makes room for `tokens` more, at most [`Stretch::room`], here and in the working memory that they need.
    pub(super) fn reserve(
        &mut self,
        tokens: usize,
        settings: &FourierSettings,
        frequencies: &[f64],
        transforms: &Transforms,
        scratch: &mut Scratch,
    ) {
        for (side, store) in [(Side::Keys, &mut self.keys), (Side::Values, &mut self.values)] {
            let tracking = Tracking::of(side, settings.band, frequencies);
            store.reserve(self.tokens + tokens);
            store.prepare(tracking, self.harmonics, STEP, transforms, scratch);
        }
        transforms.block(self.tokens, STEP, self.harmonics);
    }

    /// Takes in tokens, at most [`Stretch::room`], that follow those held.
    pub(super) fn append(
        &mut self,
        settings: &FourierSettings,
        frequencies: &[f64],
        region: ExactRegion<'_, S>,
        transforms: &Transforms,
        scratch: &mut Scratch,
    ) {
        let count = region.keys.len() / (2 * frequencies.len());
        for (side, store, rows) in
            [(Side::Keys, &mut self.keys, region.keys), (Side::Values, &mut self.values, region.values)]
        {
            let tracking = Tracking::of(side, settings.band, frequencies);
            let run = Run { first_time: self.tokens, count, rows };
            store.push_exact(tracking, run);
            store.add_to_spectra(tracking, self.harmonics, run, transforms, scratch);
        }
        self.tokens += count;
    }

    /// Harmonics kept of real signals.
    pub(super) fn harmonics(&self) -> usize {
        self.harmonics
    }

    /// Whether keys are pairs with bands of their own.
    pub(super) fn has_bands(&self) -> bool {
        self.bands.is_some()
    }

    /// As the kernel wants it.
    pub(super) fn region(&self) -> FourierRegion<'_, f32, S, C> {
        FourierRegion {
            tokens: self.tokens,
            bands: self.bands.as_deref(),
            keys: self.keys.view(),
            values: self.values.view(),
        }
    }

    /// Tokens and period.
    pub(super) fn span(&self) -> Span {
        Span { tokens: self.tokens, period: self.period }
    }

    pub(super) fn park(&self, out: &mut SectionWriter<'_>) -> Result<(), ParkError> {
        self.keys.park(out)?;
        self.values.park(out)
    }

    /// Reads a stretch with these spectral tracks.
    pub(super) fn unpark(
        settings: &FourierSettings,
        frequencies: &[f64],
        Span { tokens, period }: Span,
        tracks: &HeadPlan,
        sections: &mut SectionReader<'_>,
    ) -> Result<Self, ParkError> {
        let harmonics = usable_harmonics(settings.harmonics, period);
        let sizes = |side| {
            let tracking = Tracking::of(side, settings.band, frequencies);
            (tracking, StoreSizes { width: tracking.width(harmonics, period), tokens })
        };
        let (tracking, size) = sizes(Side::Keys);
        let keys = SideStore::unpark(tracking, &tracks.keys, size, sections)?;
        let bands = keys.bands(tracking, harmonics, period);
        let (tracking, size) = sizes(Side::Values);
        let values = SideStore::unpark(tracking, &tracks.values, size, sections)?;
        Ok(Stretch { tokens, period, harmonics, bands, keys, values })
    }

    pub(super) fn bytes(&self) -> CacheBytes {
        let mut bytes = self.keys.bytes();
        bytes += self.values.bytes();
        bytes.bookkeeping += self.bands.as_ref().map_or(0, held);
        bytes
    }
}

/// Chooses the spectral tracks of a side and stores it.
fn make_side<S: Element, C: Element>(
    tracking: Tracking<'_>,
    harmonics: usize,
    choice: Choice<'_>,
    run: Run<'_, S>,
    transforms: &Transforms,
) -> SideStore<S, C> {
    let read = |d: usize, column: &mut [f32]| {
        for (x, row) in column.iter_mut().zip(run.rows.chunks_exact(tracking.dim)) {
            *x = row[d].load();
        }
    };
    let mut store = match choice {
        Choice::Given(spectral) => {
            let mut work = Columns::new(transforms, harmonics);
            let mut turn = |&number: &u16| {
                let track = Track { tracking, number: usize::from(number), harmonics };
                analyse(track, run.count, &read, transforms, &mut work)
            };
            let all: Vec<Analysed> = spectral.iter().map(&mut turn).collect();
            SideStore::new(tracking, spectral.to_vec(), &all.iter().collect::<Vec<_>>())
        }
        Choice::Ranked { count, weights } => {
            let all = losses(tracking, harmonics, run.count, &read, weights, transforms);
            let spectral = cheapest(&all.iter().map(|(_, loss)| *loss).collect::<Vec<_>>(), count);
            let kept: Vec<&Analysed> = spectral.iter().map(|&t| &all[usize::from(t)].0).collect();
            SideStore::new(tracking, spectral, &kept)
        }
    };
    store.push_exact(tracking, run);
    store
}
