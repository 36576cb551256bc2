//! Tracks: what is turned into a spectrum at once, a dim or a rotary pair.

use fourier_kv_kernels::workspace::Transforms;
use fourier_kv_spectral::band::{PairBand, carrier_bin};
use fourier_kv_spectral::fft::{Fft, FftScratch};

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

/// Working memory for [`analyse`] and [`error`].
#[derive(Debug)]
pub struct Columns {
    columns: [Vec<f32>; 2],
    rebuilt: [Vec<f32>; 2],
    fft: FftScratch<f32>,
}

impl Columns {
    /// For one period.
    pub fn new(fft: &Fft<f32>) -> Self {
        Columns { columns: Default::default(), rebuilt: Default::default(), fft: fft.scratch() }
    }
}

/// What one track is made of: which of the tracking's, and how it is transformed.
#[derive(Clone, Copy, Debug)]
pub struct Track<'a> {
    /// The tracking.
    pub tracking: Tracking<'a>,
    /// The track's number.
    pub number: usize,
    /// Harmonics kept.
    pub harmonics: usize,
}

/// Turns a track of `M` tokens into a spectrum. `read(t, d)` gives the stored numbers.
pub fn analyse(
    track: Track<'_>,
    tokens: usize,
    read: &dyn Fn(usize, usize) -> f32,
    transforms: &Transforms,
    work: &mut Columns,
) -> Analysed {
    let (tracking, fft) = (track.tracking, &transforms.fft);
    let mut means = Vec::with_capacity(2);
    for (column, d) in work.columns.iter_mut().zip(tracking.dims(track.number)) {
        column.clear();
        column.extend((0..tokens).map(|t| read(t, d)));
        let mean = column.iter().map(|&x| f64::from(x)).sum::<f64>() / tokens.max(1) as f64;
        column.iter_mut().for_each(|x| *x = (f64::from(*x) - mean) as f32);
        means.push(mean as f32);
    }
    let mut spectrum = vec![0.0; tracking.width(track.harmonics, fft.period())];
    let [x, y] = &work.columns;
    match tracking.carriers {
        None => fft.analyse(x, &mut spectrum, &mut work.fft),
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
    work.rebuilt.iter_mut().for_each(|r| r.resize(tokens, 0.0));
    let [x, y] = &mut work.rebuilt;
    match track.tracking.carriers {
        None => fft.synthesise(&analysed.spectrum, x, &mut work.fft),
        Some(_) => {
            let band = track.tracking.band(track.number, track.harmonics, fft.period());
            fft.synthesise_pair(&analysed.spectrum, band, x, y, &mut work.fft);
        }
    }
    let columns = work.columns.iter().zip(&work.rebuilt).take(analysed.means.len());
    columns.flat_map(|(c, r)| c.iter().zip(r)).map(|(a, b)| f64::from(a - b).powi(2)).sum()
}
