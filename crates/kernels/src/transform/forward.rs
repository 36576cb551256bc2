//! From samples to kept harmonics.

use fourier_kv_spectral::period::PERIOD_STEP;

use super::complex::{self, Complex, Complexes};
use super::line::{Line, flat, flat_mut};
use super::{LaneScratch, LaneTransform, load_split, padded, turns};
use crate::isa::{Isa, Operation};
use crate::number::Number;
use crate::simd::{Lanes, Simd, WIDTH};

/// The sums that are gathered stand after this many numbers of nothing: the lowest of a vector may be below bin 0.
const BEFORE: usize = WIDTH;

/// Where samples to transform come from.
pub(crate) trait Samples<T: Number> {
    /// The samples `time .. time + 32`, zeros where there are none.
    fn at<V: Simd>(&self, time: usize) -> [T::Lanes<V>; 2];
}

/// Samples that stand in order, zeros after them.
pub(super) struct InOrder<'a, T> {
    whole: &'a [[T; 2 * WIDTH]],
    last: [T; 2 * WIDTH],
}

impl<'a, T: Number> InOrder<'a, T> {
    pub(super) fn new(x: &'a [T]) -> Self {
        let (whole, rest) = x.as_chunks();
        let mut last = [T::zero(); 2 * WIDTH];
        last[..rest.len()].copy_from_slice(rest);
        InOrder { whole, last }
    }
}

impl<T: Number> Samples<T> for InOrder<'_, T> {
    #[inline(always)]
    fn at<V: Simd>(&self, time: usize) -> [T::Lanes<V>; 2] {
        let i = time / PERIOD_STEP;
        if i > self.whole.len() {
            return [T::Lanes::<V>::splat(T::zero()); 2];
        }
        let samples = if i < self.whole.len() { &self.whole[i] } else { &self.last };
        let (halves, _) = samples.as_chunks::<WIDTH>();
        [T::Lanes::<V>::load(&halves[0]), T::Lanes::<V>::load(&halves[1])]
    }
}

/// Bins `k ..` of the two halves of the samples, sixteen at most, as their lanes see them: turned back by `k`.
struct Bins<V: Simd, T: Number> {
    first: usize,
    count: usize,
    halves: [[Complexes<V, T>; WIDTH]; 2],
}

impl<T: Number> LaneTransform<T> {
    /// `X_n = sum_t x_t exp(-2 pi i n t / P)` for `n = 0 .. N`, as `[2][N]`, of the samples `0 .. x.len()`, at most `P`.
    pub fn forward(&self, isa: Isa, x: &[T], out: &mut [T], scratch: &mut LaneScratch<T>) {
        self.forward_of(isa, &InOrder::new(x), out, scratch);
    }

    /// [`LaneTransform::forward`] of samples that stand elsewhere: it asks for those at all multiples of 32 below `P`.
    pub(crate) fn forward_of(&self, isa: Isa, samples: &impl Samples<T>, out: &mut [T], scratch: &mut LaneScratch<T>) {
        self.reserve(scratch);
        let room = 2 * padded(self.harmonics, self.length) / WIDTH;
        let LaneScratch { work, folded: sums, .. } = scratch;
        let (work, sums) = (&mut work[..2 * self.length], &mut sums[..room + 2 * BEFORE / WIDTH]);
        sums.fill(Line::default());
        for batch in (0..self.batches).rev() {
            isa.run(Take { samples, first: PERIOD_STEP * batch, step: PERIOD_STEP * self.batches, work });
            self.fft.forward(isa, work);
            isa.run(Gather { transform: self, work, sums });
        }
        let half = T::of(0.5);
        for (out, sums) in out.chunks_exact_mut(self.harmonics).zip(sums.chunks_exact(sums.len() / 2)) {
            for (o, &s) in out.iter_mut().zip(&flat(sums)[BEFORE..]) {
                *o = s * half;
            }
        }
    }

    /// What later batches gave turns by `exp(-2 pi i 32 n / P)` for being later.
    #[inline(always)]
    fn step_back<V: Simd>(&self, sums: &mut [Line<T>]) {
        let (re, im) = sums.split_at_mut(sums.len() / 2);
        let (re, im) = (&mut re[BEFORE / WIDTH..], &mut im[BEFORE / WIDTH..]);
        for i in 0..re.len() {
            let sum = Complex::new(re[i].load::<V>(), im[i].load::<V>());
            let back = sum.mul::<true>(load_split::<V, T>(&self.step, i));
            re[i].store::<V>(back.re);
            im[i].store::<V>(back.im);
        }
    }

    /// Adds what one batch gives to every harmonic.
    #[inline(always)]
    fn gather<V: Simd>(&self, work: &[Line<T>], sums: &mut [Line<T>]) {
        let (re, im) = sums.split_at_mut(sums.len() / 2);
        let (re, im) = (flat_mut(re), flat_mut(im));
        let turns = turns(self.harmonics, self.length);
        for first in (0..=self.length / 2).step_by(WIDTH) {
            let bins = self.bins::<V>(work, first);
            for turn in 0..turns {
                let (at, sums) = match turn.is_multiple_of(2) {
                    true => self.turn::<V, false>(&bins, turn / 2),
                    false => self.turn::<V, true>(&bins, turn.div_ceil(2)),
                };
                for (to, sum) in [(&mut *re, sums.re), (&mut *im, sums.im)] {
                    let to = to[at..].first_chunk_mut().expect("sums have room for all turns");
                    T::Lanes::<V>::load(to).add(sum).store(to);
                }
            }
        }
    }

    /// Separates the halves, which are the real and the imaginary part of the signal that was transformed: with `Z` its
    /// bins, `Z_k + conj(Z_{Q-k})` and `-i (Z_k - conj(Z_{Q-k}))`, twice what they should be.
    #[inline(always)]
    fn bins<V: Simd>(&self, work: &[Line<T>], first: usize) -> Bins<V, T> {
        let count = WIDTH.min(self.length / 2 + 1 - first);
        let nothing = Complex::splat((T::zero(), T::zero()));
        let mut bins = Bins { first, count, halves: [[nothing; WIDTH]; 2] };
        for i in 0..count {
            let k = first + i;
            let mirror = if k == 0 { 0 } else { self.length - k };
            let z = complex::load::<V, T>(work, self.fft.position(k));
            let y = complex::load::<V, T>(work, self.fft.position(mirror));
            let residue = self.residue::<V>(k);
            bins.halves[0][i] = z.add_conj(y).mul::<true>(residue);
            bins.halves[1][i] = nothing.add_turned::<true>(z.sub_conj(y)).mul::<true>(residue);
        }
        bins
    }

    /// The harmonics `Q m + k`, or `Q m - k` where `DOWN`, of all `k` of the bins, and the place of the first of them.
    /// A real signal's bin `Q - k` is the conjugate of its bin `k`, so `DOWN` everything is conjugated.
    #[inline(always)]
    fn turn<V: Simd, const DOWN: bool>(&self, bins: &Bins<V, T>, m: usize) -> (usize, Complexes<V, T>) {
        let zero = T::Lanes::<V>::splat(T::zero());
        let wrap = self.wrap::<V>(m);
        let (re_steps, im_steps) = self.half_step.split_at(self.half_step.len() / 2);
        let (re_steps, im_steps) = (flat(re_steps), flat(im_steps));
        let (mut re, mut im) = ([zero; WIDTH], [zero; WIDTH]);
        for i in 0..bins.count {
            let k = bins.first + i;
            if DOWN && (k == 0 || 2 * k == self.length) {
                continue; // these are harmonics of turns upwards
            }
            let n = if DOWN { self.length * m - k } else { self.length * m + k };
            let half_step = Complex::splat((re_steps[n], im_steps[n]));
            let sum = match DOWN {
                false => bins.halves[0][i].mul_add::<true>(bins.halves[1][i], half_step).mul::<true>(wrap),
                true => bins.halves[0][i].mul_add::<false>(bins.halves[1][i], half_step).mul::<false>(wrap),
            };
            let place = if DOWN { WIDTH - 1 - i } else { i };
            re[place] = sum.re;
            im[place] = sum.im;
        }
        let (re, im) = (T::Lanes::<V>::sums(re), T::Lanes::<V>::sums(im));
        match DOWN {
            false => (BEFORE + self.length * m + bins.first, Complex::new(re, im)),
            true => (BEFORE + self.length * m + 1 - WIDTH - bins.first, Complex::new(re, zero.sub(im))),
        }
    }
}

/// The samples of one batch.
struct Take<'a, T, S> {
    samples: &'a S,
    first: usize,
    step: usize,
    work: &'a mut [Line<T>],
}

impl<T: Number, S: Samples<T>> Operation for Take<'_, T, S> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        for (a, [re, im]) in self.work.as_chunks_mut::<2>().0.iter_mut().enumerate() {
            let [first, second] = self.samples.at::<V>(self.first + a * self.step);
            re.store::<V>(first);
            im.store::<V>(second);
        }
    }
}

/// From the bins of one batch to the harmonics, to which the later batches have come already.
struct Gather<'a, T> {
    transform: &'a LaneTransform<T>,
    work: &'a [Line<T>],
    sums: &'a mut [Line<T>],
}

impl<T: Number> Operation for Gather<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        self.transform.step_back::<V>(self.sums);
        self.transform.gather::<V>(self.work, self.sums);
    }
}
