//! Real transforms along time on vectors of sixteen neighbouring samples, for spectra of `N` kept harmonics.
//!
//! With `P = 32 J Q`, time is `t = 32 j + 16 h + b + 32 J a`: lane `b` of 16, half `h` of 2, batch `j` of `J`, step `a`
//! of `Q`. A batch is one complex transform of length `Q` over `a` in each lane, the two halves as real and imaginary
//! part, so that a real signal wastes nothing, nothing is shuffled and no bin above `N` is ever touched:
//!
//! - **Inverse** (`inverse`): `exp(2 pi i n t / P) = exp(2 pi i n (32 j + 16 h) / P) exp(2 pi i n b / P)
//!   exp(2 pi i n a / Q)`. Harmonics are folded onto `Q` bins with their lane's phasor; the transform then gives 32
//!   consecutive samples a step, in order.
//! - **Forward** (`forward`) is its transpose: the transform, then each kept harmonic is gathered from its bin, its
//!   phasors taken off and the lanes summed.
//!
//! Vector instructions a batch: `8 N` to fold, about `14 N + 6 Q` to gather, `3.5 Q log2 Q` for the transform; `J` is
//! chosen so that their sum is least and a batch (`128 Q` bytes in `f32`) stays in the first-level cache. A signal of
//! 36,864 with 512 harmonics is 4 batches of `Q = 288`: 50,000 instructions to get it from its spectrum, against 1.4
//! million multiplications and additions of a whole real transform of that length by scalars.

mod complex;
mod forward;
mod grid;
mod inverse;
mod lane_fft;
pub mod line;
mod radix;
mod time;
mod window;

use fourier_kv_spectral::oracle::phasor;
use fourier_kv_spectral::period::PERIOD_STEP;

use crate::number::Number;
use crate::simd::{Simd, WIDTH};
use complex::{Complex, Complexes};
pub(crate) use forward::Samples;
pub use grid::GridTransform;
use lane_fft::LaneFft;
use line::Line;
pub use time::{TimeScratch, TimeTransform};

/// The transforms of one period for one number of harmonics.
#[derive(Clone, Debug)]
pub struct LaneTransform<T> {
    period: usize,
    harmonics: usize,
    batches: usize,
    /// `Q`.
    length: usize,
    fft: LaneFft<T>,
    /// `exp(2 pi i k b / P)`, `[Q/2 + 1][2]`.
    residues: Vec<Line<T>>,
    /// `exp(2 pi i Q m b / P)`, `[turns][2]`.
    wraps: Vec<Line<T>>,
    /// `exp(2 pi i 16 n / P)`, `[2][padded N]`.
    half_step: Vec<Line<T>>,
    /// `exp(2 pi i 32 n / P)`, `[2][padded N]`.
    step: Vec<Line<T>>,
}

/// Working memory of one task for [`LaneTransform`]s, as large as the largest so far needed.
#[derive(Clone, Debug, Default)]
pub struct LaneScratch<T> {
    /// `[Q][2]`.
    work: Vec<Line<T>>,
    /// `[2][padded N]`: the spectrum, turned to the batch at hand.
    spectrum: Vec<Line<T>>,
    /// `[4][padded N]`: what a harmonic and its mirror give to their bins.
    folded: Vec<Line<T>>,
}

/// A batch of 128 `Q` bytes beyond this takes too much of the second-level cache.
const CACHED: usize = 2_048;
/// What a transform then costs more.
const UNCACHED: f64 = 1.4;

impl<T: Number> LaneTransform<T> {
    /// Plans the transforms of length `period` for the bins `0 .. harmonics`, at most `P/2 + 1`.
    ///
    /// # Panics
    /// If the period is not 32 times a product of twos, threes and fives; [`fourier_kv_spectral::period::fast_period`]
    /// gives one that is. If there are no harmonics, or too many.
    pub fn new(period: usize, harmonics: usize) -> Self {
        let length = cheapest_length(period, harmonics);
        LaneTransform::with_length(period, harmonics, length.expect("a period of `fast_period`"))
    }

    /// As [`LaneTransform::new`], with transforms of a given length `Q`, which divides `P/32`.
    ///
    /// # Panics
    /// As [`LaneTransform::new`], or if `Q` does not divide `P/32`.
    pub fn with_length(period: usize, harmonics: usize, length: usize) -> Self {
        assert!((1..=period / 2 + 1).contains(&harmonics), "{harmonics} harmonics of a period of {period}");
        assert!(period.is_multiple_of(PERIOD_STEP * length), "32 times {length} does not divide {period}");
        let turn = |n: usize, t: usize| {
            let (cos, sin) = phasor(n, t, period);
            (T::of(cos), T::of(-sin))
        };
        let by_lane = |count: usize, step: usize| {
            let mut lines = Line::zeros(2 * count);
            for (k, [re, im]) in lines.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                for b in 0..WIDTH {
                    (re.0[b], im.0[b]) = turn(k * step, b);
                }
            }
            lines
        };
        let padded = padded(harmonics, length);
        let by_harmonic = |step: usize| {
            let mut lines = Line::zeros(2 * padded / WIDTH);
            let (re, im) = line::flat_mut(&mut lines).split_at_mut(padded);
            for n in 0..harmonics {
                (re[n], im[n]) = turn(n, step);
            }
            lines
        };
        LaneTransform {
            period,
            harmonics,
            batches: period / PERIOD_STEP / length,
            length,
            fft: LaneFft::new(length).expect("a product of twos, threes and fives"),
            residues: by_lane(length / 2 + 1, 1),
            wraps: by_lane(turns(harmonics, length).div_ceil(2) + 1, length),
            half_step: by_harmonic(WIDTH),
            step: by_harmonic(PERIOD_STEP),
        }
    }

    /// The period `P`.
    pub fn period(&self) -> usize {
        self.period
    }

    /// Harmonics `N`.
    pub fn harmonics(&self) -> usize {
        self.harmonics
    }

    /// Length `Q` of the transforms in the lanes.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Makes `scratch` large enough, so that the transforms allocate nothing.
    pub fn reserve(&self, scratch: &mut LaneScratch<T>) {
        let padded = padded(self.harmonics, self.length) / WIDTH;
        for (lines, count) in [
            (&mut scratch.work, 2 * self.length),
            (&mut scratch.spectrum, 2 * padded),
            (&mut scratch.folded, 4 * padded),
        ] {
            if lines.len() < count {
                lines.resize(count, Line::default());
            }
        }
    }

    /// `exp(2 pi i k b / P)`.
    #[inline(always)]
    fn residue<V: Simd>(&self, k: usize) -> Complexes<V, T> {
        complex::load::<V, T>(&self.residues, k)
    }

    /// `exp(2 pi i Q m b / P)`.
    #[inline(always)]
    fn wrap<V: Simd>(&self, m: usize) -> Complexes<V, T> {
        complex::load::<V, T>(&self.wraps, m)
    }
}

/// Number `i` of vectors of complex numbers that are two runs of equal length: real parts, imaginary parts.
#[inline(always)]
fn load_split<V: Simd, T: Number>(lines: &[Line<T>], i: usize) -> Complexes<V, T> {
    let (re, im) = lines.split_at(lines.len() / 2);
    Complex::new(re[i].load::<V>(), im[i].load::<V>())
}

/// Harmonics come in turns: turn `2 m` is `Q m + k`, turn `2 m - 1` is `Q m - k`, with `k` in `0 ..= Q/2`.
/// So many turns hold a harmonic below `N`.
fn turns(harmonics: usize, length: usize) -> usize {
    let lowest = |turn: usize| length * turn.div_ceil(2) - if turn.is_multiple_of(2) { 0 } else { length / 2 };
    (0..).find(|&turn| lowest(turn) >= harmonics).unwrap_or(0)
}

/// Harmonics with room for all that their turns name, in whole vectors.
fn padded(harmonics: usize, length: usize) -> usize {
    (length * turns(harmonics, length).div_ceil(2) + length / 2 + WIDTH).max(harmonics).next_multiple_of(WIDTH)
}

/// The `Q` for which an inverse and a forward transform cost least.
fn cheapest_length(period: usize, harmonics: usize) -> Option<usize> {
    cheapest(period, harmonics).map(|(length, _)| length)
}

/// What an inverse and a forward transform cost together, in instructions; `None` if the period has none.
fn cost(period: usize, harmonics: usize) -> Option<f64> {
    cheapest(period, harmonics).map(|(_, cost)| cost)
}

/// The cheapest `Q`, and its cost.
fn cheapest(period: usize, harmonics: usize) -> Option<(usize, f64)> {
    if !period.is_multiple_of(PERIOD_STEP) {
        return None;
    }
    let steps = period / PERIOD_STEP;
    let cost = |length: usize| {
        let one = lane_fft::cost(length)? * if length > CACHED { UNCACHED } else { 1.0 };
        let turns = turns(harmonics, length) as f64;
        Some(
            (2.0 * one * length as f64 + (length as f64 / 2.0 + 1.0) * (20.0 + 27.0 * turns)) * (steps / length) as f64,
        )
    };
    let lengths = (1..=steps).filter(|&q| steps.is_multiple_of(q));
    let costs = lengths.filter_map(|q| Some((q, cost(q)?)));
    costs.min_by(|a, b| a.1.total_cmp(&b.1))
}
