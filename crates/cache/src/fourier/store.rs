//! One side (keys or values) of one stretch of the middle of one head, as it is held.

use fourier_kv_kernels::attention::fourier::{EXACT_BLOCK, FourierSide};
use fourier_kv_kernels::element::{Element, load_all, store_all};
use fourier_kv_kernels::workspace::{Scratch, Transforms};
use fourier_kv_spectral::band::PairBand;
use fourier_kv_spectral::streaming::Carrier;

use super::choice::exact_dims;
use super::track::{Analysed, Tracking};
use crate::bytes::{CacheBytes, held};
use crate::park::{ParkError, SectionReader, SectionWriter, Tag};

const SPECTRA: Tag = *b"spec";
const MEANS: Tag = *b"mean";
const EXACT: Tag = *b"exac";

/// Spectra of the spectral tracks in `C`, the other dims as they are in `S`.
#[derive(Clone, Debug)]
pub(super) struct SideStore<S, C> {
    spectral: Vec<u16>,
    spectra: Vec<C>,
    mean: Vec<f32>,
    exact_dims: Vec<u16>,
    /// `[ceil(M / 64)][exact dim][64]`.
    exact: Vec<S>,
}

/// A run of tokens of one side, `[count][D]`, that begins at a time of the stretch's clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run<'a, S> {
    pub(super) first_time: usize,
    pub(super) count: usize,
    pub(super) rows: &'a [S],
}

/// What a parked side is made of, besides its tracks.
#[derive(Clone, Copy, Debug)]
pub(super) struct StoreSizes {
    /// Numbers of a track's spectrum.
    pub(super) width: usize,
    pub(super) tokens: usize,
}

impl<S: Element, C: Element> SideStore<S, C> {
    /// Holds `analysed`, one for each of the `spectral` tracks; the exact dims are to be pushed.
    pub(super) fn new(tracking: Tracking<'_>, spectral: Vec<u16>, analysed: &[&Analysed]) -> Self {
        let numbers = analysed.iter().map(|a| a.spectrum.len()).sum();
        let mut spectra = vec![C::default(); numbers];
        let mut at = 0;
        for a in analysed {
            store_all::<f32, C>(&a.spectrum, &mut spectra[at..at + a.spectrum.len()]);
            at += a.spectrum.len();
        }
        let mut mean = Vec::with_capacity(analysed.iter().map(|a| a.means.len()).sum());
        mean.extend(analysed.iter().flat_map(|a| a.means.iter().copied()));
        SideStore { exact_dims: exact_dims(tracking, &spectral), spectral, spectra, mean, exact: Vec::new() }
    }

    /// Makes room for the exact dims of `tokens` tokens in all.
    pub(super) fn reserve(&mut self, tokens: usize) {
        let needed = tokens.div_ceil(EXACT_BLOCK) * self.exact_dims.len() * EXACT_BLOCK;
        self.exact.reserve_exact(needed.saturating_sub(self.exact.len()));
    }

    /// Appends the exact dims of tokens.
    pub(super) fn push_exact(&mut self, tracking: Tracking<'_>, run: Run<'_, S>) {
        let width = self.exact_dims.len() * EXACT_BLOCK;
        let needed = (run.first_time + run.count).div_ceil(EXACT_BLOCK) * width;
        if needed > self.exact.capacity() {
            // As large as it must be at first; then it grows by a sixteenth, or four blocks.
            let growth = if self.exact.is_empty() { 0 } else { (self.exact.len() / 16).max(4 * width) };
            self.exact.reserve_exact((needed - self.exact.len()).max(growth));
        }
        self.exact.resize(needed, S::default());
        for i in 0..run.count {
            let time = run.first_time + i;
            let block = &mut self.exact[time / EXACT_BLOCK * width..];
            let row = &run.rows[i * tracking.dim..];
            for (d, &from) in self.exact_dims.iter().enumerate() {
                block[d * EXACT_BLOCK + time % EXACT_BLOCK] = row[usize::from(from)];
            }
        }
    }

    /// Adds tokens to the spectra (method: streaming update).
    pub(super) fn add_to_spectra(
        &mut self,
        tracking: Tracking<'_>,
        harmonics: usize,
        run: Run<'_, S>,
        transforms: &Transforms,
        scratch: &mut Scratch,
    ) {
        let phasors = transforms.block(run.first_time, run.count, harmonics);
        let width = tracking.width(harmonics, transforms.fft.period());
        self.prepare(tracking, harmonics, run.count, transforms, scratch);
        let (floats, work) = (&mut scratch.floats, &mut scratch.more_floats);
        let (spectrum, columns) = floats[..width + 2 * run.count].split_at_mut(width);
        let (x, y) = columns.split_at_mut(run.count);
        let mut mean = self.mean.iter();
        for (&track, stored) in self.spectral.iter().zip(self.spectra.chunks_exact_mut(width)) {
            let track = usize::from(track);
            for (column, d) in [&mut *x, &mut *y].into_iter().zip(tracking.dims(track)) {
                let mean = mean.next().expect("one mean a dim");
                for (i, c) in column.iter_mut().enumerate() {
                    *c = run.rows[i * tracking.dim + d].load::<f32>() - mean;
                }
            }
            load_all(stored, spectrum);
            match tracking.carriers {
                None => phasors.accumulate(x, spectrum),
                Some(_) => {
                    let centre = tracking.centre(track, transforms.fft.period());
                    let band = tracking.band(track, harmonics, transforms.fft.period());
                    let carrier = Carrier { table: &transforms.phasors, centre, band };
                    phasors.accumulate_pair(x, y, carrier, spectrum, work);
                }
            }
            store_all(spectrum, stored);
        }
    }

    /// Makes `scratch` large enough to add `count` tokens to the spectra.
    pub(super) fn prepare(
        &self,
        tracking: Tracking<'_>,
        harmonics: usize,
        count: usize,
        transforms: &Transforms,
        scratch: &mut Scratch,
    ) {
        let width = tracking.width(harmonics, transforms.fft.period());
        scratch.floats.resize(width + 2 * count, 0.0);
        scratch.more_floats.resize(4 * harmonics + 2 * count, 0.0);
    }

    /// The bins of each spectral pair.
    pub(super) fn bands(&self, tracking: Tracking<'_>, harmonics: usize, period: usize) -> Option<Vec<PairBand>> {
        tracking.carriers?;
        Some(self.spectral.iter().map(|&t| tracking.band(usize::from(t), harmonics, period)).collect())
    }

    /// The spectral tracks.
    pub(super) fn spectral(&self) -> &[u16] {
        &self.spectral
    }

    /// As the kernel wants it.
    pub(super) fn view(&self) -> FourierSide<'_, f32, S, C> {
        FourierSide {
            spectral: &self.spectral,
            spectra: &self.spectra,
            mean: &self.mean,
            exact_dims: &self.exact_dims,
            exact: &self.exact,
        }
    }

    /// Writes numbers; which tracks they are of stands with the head.
    pub(super) fn park(&self, out: &mut SectionWriter<'_>) -> Result<(), ParkError> {
        out.numbers(SPECTRA, &self.spectra)?;
        out.numbers(MEANS, &self.mean)?;
        out.numbers(EXACT, &self.exact)
    }

    /// Reads a side with these spectral tracks, which the tracking has.
    pub(super) fn unpark(
        tracking: Tracking<'_>,
        spectral: &[u16],
        StoreSizes { width, tokens }: StoreSizes,
        sections: &mut SectionReader<'_>,
    ) -> Result<Self, ParkError> {
        let exact_dims = exact_dims(tracking, spectral);
        let exact = tokens.div_ceil(EXACT_BLOCK).saturating_mul(exact_dims.len() * EXACT_BLOCK);
        Ok(SideStore {
            spectra: sections.numbers(SPECTRA, width.saturating_mul(spectral.len()))?,
            mean: sections.numbers(MEANS, tracking.dim - exact_dims.len())?,
            exact: sections.numbers(EXACT, exact)?,
            spectral: spectral.to_vec(),
            exact_dims,
        })
    }

    pub(super) fn bytes(&self) -> CacheBytes {
        CacheBytes {
            exact_dims: held(&self.exact),
            coefficients: held(&self.spectra),
            bookkeeping: held(&self.spectral) + held(&self.exact_dims) + held(&self.mean),
            ..CacheBytes::default()
        }
    }
}
