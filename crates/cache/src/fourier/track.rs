//! Tracks: what is turned into a spectrum at once, a dim or a rotary pair.

use std::sync::Arc;

use fourier_kv_kernels::isa::Operation;
use fourier_kv_kernels::simd::Simd;
use fourier_kv_kernels::transform::{LaneScratch, LaneTransform};
use fourier_kv_kernels::workspace::Transforms;
use fourier_kv_spectral::band::{PairBand, carrier_bin};
use fourier_kv_spectral::fft::FftScratch;

use super::settings::Band;

/// Which of the two sides of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Keys.
    Keys,
    /// Values.
    Values,
}

/// How the dims of one side of a head are grouped into tracks.
#[derive(Clone, Copy, Debug)]
pub struct Tracking<'a> {
    /// Head dims `D`.
    pub dim: usize,
    /// Radians a token of each rotary pair, for keys in the carrier band; `None`: every dim is a track.
    pub carriers: Option<&'a [f64]>,
}

impl<'a> Tracking<'a> {
    /// The tracks of one side. Values are not rotated: they are always real signals.
    pub fn of(side: Side, band: Band, frequencies: &'a [f64]) -> Self {
        let carriers = (side == Side::Keys && band == Band::Carrier).then_some(frequencies);
        Tracking { dim: 2 * frequencies.len(), carriers }
    }

    /// The number of tracks: `D`, or `D/2` pairs.
    pub fn count(&self) -> usize {
        if self.carriers.is_some() { self.dim / 2 } else { self.dim }
    }

    /// The dims of a track: one, or the two of a pair.
    pub fn dims(&self, track: usize) -> impl Iterator<Item = usize> + use<> {
        let second = self.carriers.is_some().then_some(track + self.dim / 2);
        std::iter::once(track).chain(second)
    }

    /// The bin a pair's band is centred on.
    pub fn centre(&self, track: usize, period: usize) -> usize {
        self.carriers.map_or(0, |frequencies| carrier_bin(frequencies[track], period))
    }

    /// The bins kept of a pair.
    pub fn band(&self, track: usize, harmonics: usize, period: usize) -> PairBand {
        PairBand::around(self.centre(track, period), harmonics, period)
    }

    /// Numbers a track's spectrum takes.
    pub fn width(&self, harmonics: usize, period: usize) -> usize {
        match self.carriers {
            None => 2 * harmonics,
            Some(_) => 2 * fourier_kv_spectral::band::pair_bins(harmonics, period),
        }
    }
}

/// A track's middle, turned into a spectrum.
#[derive(Clone, Debug)]
pub struct Analysed {
    /// Mean of each dim of the track.
    pub means: Vec<f32>,
    /// `[2][bins]`.
    pub spectrum: Vec<f32>,
}

/// Reads column `d` of the tokens at hand.
pub type ReadColumn<'a> = dyn Fn(usize, &mut [f32]) + 'a;

/// Working memory for [`analyse`] and [`error`].
#[derive(Debug)]
pub struct Columns {
    columns: [Vec<f32>; 2],
    rebuilt: [Vec<f32>; 2],
    /// For dims.
    lanes: (Arc<LaneTransform<f32>>, LaneScratch<f32>),
    /// For pairs, whose bins lie anywhere.
    fft: FftScratch<f32>,
}

impl Columns {
    /// For one period and a number of harmonics.
    pub fn new(transforms: &Transforms, harmonics: usize) -> Self {
        let lanes = (transforms.lanes(harmonics), LaneScratch::default());
        Columns { columns: Default::default(), rebuilt: Default::default(), lanes, fft: transforms.fft.scratch() }
    }
}

/// What one track is made of: which of the tracking's, and how it is transformed.
#[derive(Clone, Copy, Debug)]
pub struct Track<'a> {
    /// The tracking.
    pub tracking: Tracking<'a>,
    /// The track's number.
    pub number: usize,
    /// Harmonics kept: those that the [`Columns`] are for.
    pub harmonics: usize,
}

/// Turns a track of `M` tokens into a spectrum.
pub fn analyse(
    track: Track<'_>,
    tokens: usize,
    read: &ReadColumn<'_>,
    transforms: &Transforms,
    work: &mut Columns,
) -> Analysed {
    let (tracking, fft) = (track.tracking, &transforms.fft);
    let mut means = Vec::with_capacity(2);
    for (column, d) in work.columns.iter_mut().zip(tracking.dims(track.number)) {
        column.resize(tokens, 0.0);
        read(d, column);
        means.push(transforms.isa().run(Centre { column }));
    }
    let mut spectrum = vec![0.0; tracking.width(track.harmonics, fft.period())];
    let [x, y] = &work.columns;
    match tracking.carriers {
        None => {
            let (lanes, scratch) = &mut work.lanes;
            lanes.forward(transforms.isa(), x, &mut spectrum, scratch);
        }
        Some(_) => {
            let band = tracking.band(track.number, track.harmonics, fft.period());
            fft.analyse_pair(x, y, band, &mut spectrum, &mut work.fft);
        }
    }
    Analysed { means, spectrum }
}

/// Sum over the tokens of the squared error that the track just analysed has when it is rebuilt.
pub fn error(track: Track<'_>, analysed: &Analysed, transforms: &Transforms, work: &mut Columns) -> f64 {
    let fft = &transforms.fft;
    let tokens = work.columns[0].len();
    let [x, y] = &mut work.rebuilt;
    match track.tracking.carriers {
        None => {
            let (lanes, scratch) = &mut work.lanes;
            x.resize(fft.period(), 0.0);
            let scale = 1.0 / fft.period() as f32;
            lanes.inverse(transforms.isa(), &analysed.spectrum, scale, x, scratch);
        }
        Some(_) => {
            let band = track.tracking.band(track.number, track.harmonics, fft.period());
            x.resize(tokens, 0.0);
            y.resize(tokens, 0.0);
            fft.synthesise_pair(&analysed.spectrum, band, x, y, &mut work.fft);
        }
    }
    let columns = work.columns.iter().zip(&work.rebuilt).take(analysed.means.len());
    columns.map(|(a, b)| transforms.isa().run(SquaredError { a, b: &b[..tokens] })).sum()
}

/// Independent partial sums: one after another, additions would wait for each other.
const SUMS: usize = 16;

/// Subtracts the mean of a column, which is returned.
struct Centre<'a> {
    column: &'a mut [f32],
}

impl Operation for Centre<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<V: Simd>(self) -> f32 {
        let mut sums = [0.0f64; SUMS];
        let (whole, rest) = self.column.as_chunks::<SUMS>();
        for some in whole {
            for i in 0..SUMS {
                sums[i] += f64::from(some[i]);
            }
        }
        let sum = sums.iter().sum::<f64>() + rest.iter().map(|&x| f64::from(x)).sum::<f64>();
        let mean = sum / self.column.len().max(1) as f64;
        for x in self.column {
            *x = (f64::from(*x) - mean) as f32;
        }
        mean as f32
    }
}

/// The squared distance of two columns.
struct SquaredError<'a> {
    a: &'a [f32],
    b: &'a [f32],
}

impl Operation for SquaredError<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<V: Simd>(self) -> f64 {
        let mut sums = [0.0f64; SUMS];
        let ((a, a_rest), (b, b_rest)) = (self.a.as_chunks::<SUMS>(), self.b.as_chunks::<SUMS>());
        for (a, b) in a.iter().zip(b) {
            for i in 0..SUMS {
                let difference = f64::from(a[i] - b[i]);
                sums[i] += difference * difference;
            }
        }
        let rest = a_rest.iter().zip(b_rest).map(|(a, b)| f64::from(a - b).powi(2));
        sums.iter().sum::<f64>() + rest.sum::<f64>()
    }
}
