//! Sixteen complex transforms of one length at once, one in each lane: no number ever changes its lane.
//!
//! In place, in steps of radix 2, 3, 4, 5, 6 and 8. The inverse (decimation in time) takes its bins in
//! [`LaneFft::position`] order and gives times in natural order; the forward transform is the same steps backwards.
//! Whoever fills in or reads the bins goes by `position`, so nothing is ever reordered.
//!
//! Operations: about `3.5 Q log2 Q` vector instructions; memory: each step reads and writes `2 Q` lines once, most of
//! them in the first-level cache.

use fourier_kv_spectral::oracle::phasor;

use super::complex::{Complex, Complexes};
use super::line::Line;
use super::radix::{Butterfly, Radix};
use crate::isa::{Isa, Operation};
use crate::number::Number;
use crate::simd::Simd;

/// Steps that there are, and what each costs a number, in instructions: arithmetic, twiddles and memory.
const RADICES: [(usize, f64); 6] = [(8, 13.0), (6, 13.6), (5, 14.5), (4, 10.0), (3, 10.7), (2, 7.0)];

/// Length up to which sixteen transforms (128 bytes a number in `f32`) stay in a first-level cache of 48 KiB.
const CACHED: usize = 300;

/// A plan for one length.
#[derive(Clone, Debug)]
pub(super) struct LaneFft<T> {
    length: usize,
    steps: Vec<Step<T>>,
    /// So many steps, and the length that they lead to, are done part by part while a part is in the first-level cache.
    small_steps: usize,
    small_length: usize,
    position: Vec<u32>,
}

#[derive(Clone, Debug)]
struct Step<T> {
    radix: usize,
    /// Length of the transforms that are joined.
    stride: usize,
    /// `exp(2 pi i j q / (radix stride))`, `[stride][radix - 1]`, `q` from 1.
    twiddles: Vec<(T, T)>,
}

impl<T: Number> LaneFft<T> {
    /// Plans transforms of `length`; `None` if it has a prime factor other than 2, 3 and 5.
    pub(super) fn new(length: usize) -> Option<Self> {
        let (_, mut radices) = cheapest(length)?;
        if length > CACHED {
            // As few steps as possible for what is not in the first-level cache.
            radices.rotate_left(1);
        }
        let mut steps = Vec::with_capacity(radices.len());
        let (mut stride, mut small_steps, mut small_length) = (1, 0, 1);
        for &radix in &radices {
            steps.push(Step::new(radix, stride));
            stride *= radix;
            if stride <= CACHED {
                (small_steps, small_length) = (steps.len(), stride);
            }
        }
        let position = (0..length).map(|k| position(k, length, &radices)).collect();
        Some(LaneFft { length, steps, small_steps, small_length, position })
    }

    /// Where bin `k` stands: the number of its pair of lines.
    #[inline(always)]
    pub(super) fn position(&self, k: usize) -> usize {
        self.position[k] as usize
    }

    /// `x_a = sum_k X_k exp(2 pi i k a / Q)`, from bins by position to times in order, in `[Q][2]` lines.
    pub(super) fn inverse(&self, isa: Isa, lines: &mut [Line<T>]) {
        isa.run(Inverse { fft: self, lines: &mut lines[..2 * self.length] });
    }

    /// `X_k = sum_a x_a exp(-2 pi i k a / Q)`, from times in order to bins by position.
    pub(super) fn forward(&self, isa: Isa, lines: &mut [Line<T>]) {
        isa.run(Forward { fft: self, lines: &mut lines[..2 * self.length] });
    }

    /// The steps that are done part by part, with the lines of a part, and those that are done over everything.
    #[inline(always)]
    fn stages(&self) -> [(&[Step<T>], usize); 2] {
        let (small, large) = self.steps.split_at(self.small_steps);
        [(small, 2 * self.small_length), (large, 2 * self.length)]
    }
}

struct Inverse<'a, T> {
    fft: &'a LaneFft<T>,
    lines: &'a mut [Line<T>],
}

impl<T: Number> Operation for Inverse<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        for (steps, length) in self.fft.stages() {
            for part in self.lines.chunks_exact_mut(length) {
                for step in steps {
                    step.run::<V, false>(part);
                }
            }
        }
    }
}

struct Forward<'a, T> {
    fft: &'a LaneFft<T>,
    lines: &'a mut [Line<T>],
}

impl<T: Number> Operation for Forward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        for (steps, length) in self.fft.stages().into_iter().rev() {
            for part in self.lines.chunks_exact_mut(length) {
                for step in steps.iter().rev() {
                    step.run::<V, true>(part);
                }
            }
        }
    }
}

impl<T: Number> Step<T> {
    fn new(radix: usize, stride: usize) -> Self {
        let turn = |j: usize, q: usize| {
            let (cos, sin) = phasor(j, q, radix * stride);
            (T::of(cos), T::of(-sin))
        };
        let twiddles = (0..stride).flat_map(|j| (1..radix).map(move |q| turn(j, q))).collect();
        Step { radix, stride, twiddles }
    }

    #[inline(always)]
    fn run<V: Simd, const BACK: bool>(&self, lines: &mut [Line<T>]) {
        match self.radix {
            8 => self.pass::<V, 8, BACK>(lines),
            6 => self.pass::<V, 6, BACK>(lines),
            5 => self.pass::<V, 5, BACK>(lines),
            4 => self.pass::<V, 4, BACK>(lines),
            3 => self.pass::<V, 3, BACK>(lines),
            _ => self.pass::<V, 2, BACK>(lines),
        }
    }

    /// Joins `R` neighbouring transforms of length `stride` into one, all over the array; or, `BACK`, parts one into `R`.
    #[inline(always)]
    fn pass<V: Simd, const R: usize, const BACK: bool>(&self, lines: &mut [Line<T>])
    where
        Radix: Butterfly<T, T::Lanes<V>, R>,
    {
        let (numbers, _) = lines.as_chunks_mut::<2>();
        for block in numbers.chunks_exact_mut(R * self.stride) {
            // The twiddles of the first are 1.
            self.join::<V, R, BACK, true>(block, 0);
            for j in 1..self.stride {
                self.join::<V, R, BACK, false>(block, j);
            }
        }
    }

    /// One butterfly, of number `j` of each of the `R` parts of a block.
    #[inline(always)]
    fn join<V: Simd, const R: usize, const BACK: bool, const PLAIN: bool>(&self, block: &mut [[Line<T>; 2]], j: usize)
    where
        Radix: Butterfly<T, T::Lanes<V>, R>,
    {
        let twiddles = &self.twiddles[j * (R - 1)..][..R - 1];
        let mut x = [Complexes::<V, T>::splat((T::zero(), T::zero())); R];
        for q in 0..R {
            let [re, im] = &block[q * self.stride + j];
            x[q] = Complex::new(re.load::<V>(), im.load::<V>());
            if !BACK && !PLAIN && q > 0 {
                x[q] = x[q].mul::<false>(Complex::splat(twiddles[q - 1]));
            }
        }
        x = Radix::turn::<BACK>(x);
        for q in 0..R {
            if BACK && !PLAIN && q > 0 {
                x[q] = x[q].mul::<true>(Complex::splat(twiddles[q - 1]));
            }
            let [re, im] = &mut block[q * self.stride + j];
            re.store::<V>(x[q].re);
            im.store::<V>(x[q].im);
        }
    }
}

/// What a transform of `length` costs a number, in instructions; `None` if there is none.
pub(super) fn cost(length: usize) -> Option<f64> {
    cheapest(length).map(|(cost, _)| cost)
}

/// The cheapest steps, largest first, and their cost.
fn cheapest(length: usize) -> Option<(f64, Vec<usize>)> {
    if length <= 1 {
        return (length == 1).then(|| (0.0, Vec::new()));
    }
    let mut best: Option<(f64, Vec<usize>)> = None;
    for (radix, price) in RADICES {
        if !length.is_multiple_of(radix) {
            continue;
        }
        if let Some((rest, mut steps)) = cheapest(length / radix)
            && best.as_ref().is_none_or(|(cost, _)| rest + price < *cost)
        {
            steps.push(radix);
            steps.sort_unstable_by(|a, b| b.cmp(a));
            best = Some((rest + price, steps));
        }
    }
    best
}

/// The last step's `radix` parts hold the bins that are 0, 1, .. modulo the radix, each in its own order.
fn position(k: usize, length: usize, radices: &[usize]) -> u32 {
    let (mut k, mut length, mut at) = (k, length, 0);
    for &radix in radices.iter().rev() {
        length /= radix;
        at += k % radix * length;
        k /= radix;
    }
    at as u32
}
