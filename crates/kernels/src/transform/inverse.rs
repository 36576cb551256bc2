//! From kept harmonics to samples.

use super::complex::{self, Complex, Complexes};
use super::line::{Line, flat, flat_mut};
use super::{LaneScratch, LaneTransform, load_split, padded, turns};
use crate::isa::{Isa, Operation};
use crate::number::Number;
use crate::simd::{Lanes, Simd, WIDTH};

impl<T: Number> LaneTransform<T> {
    /// `x_t = factor sum_n X_n exp(2 pi i n t / P)` over the bins `-(N-1) ..= N-1` of a real signal, given as `[2][N]`;
    /// the bin `P/2` counts once. `out` gets all `P` samples. The inverse of [`LaneTransform::forward`] with
    /// `factor = 1/P`.
    pub fn inverse(&self, isa: Isa, spectrum: &[T], factor: T, out: &mut [T], scratch: &mut LaneScratch<T>) {
        self.reserve(scratch);
        let room = 2 * padded(self.harmonics, self.length) / WIDTH;
        let LaneScratch { work, spectrum: turned, folded } = scratch;
        let (work, turned, folded) = (&mut work[..2 * self.length], &mut turned[..room], &mut folded[..2 * room]);
        for batch in 0..self.batches {
            isa.run(Fold { transform: self, spectrum, factor, batch, turned, folded, work });
            self.fft.inverse(isa, work);
            let steps = out.chunks_exact_mut(2 * WIDTH).skip(batch).step_by(self.batches);
            for (to, [re, im]) in steps.zip(work.as_chunks::<2>().0) {
                to[..WIDTH].copy_from_slice(&re.0);
                to[WIDTH..].copy_from_slice(&im.0);
            }
        }
    }

    /// The spectrum times `factor`, with zeros after it. Bins that are their own mirrors are halved, for each harmonic
    /// comes with its mirror.
    #[inline(always)]
    fn take_in<V: Simd>(&self, spectrum: &[T], factor: T, turned: &mut [Line<T>]) {
        let (n, room) = (self.harmonics, turned.len() * WIDTH / 2);
        let scale = T::Lanes::<V>::splat(factor);
        for (from, to) in spectrum[..2 * n].chunks_exact(n).zip(flat_mut(turned).chunks_exact_mut(room)) {
            to[n..].fill(T::zero());
            let (whole, rest) = from.as_chunks::<WIDTH>();
            for (x, y) in whole.iter().zip(to.as_chunks_mut::<WIDTH>().0) {
                T::Lanes::<V>::load(x).mul(scale).store(y);
            }
            for (x, y) in rest.iter().zip(&mut to[n - rest.len()..n]) {
                *y = *x * factor;
            }
            for own in [0, self.period / 2] {
                if own < n {
                    to[own] = to[own] * T::of(0.5);
                }
            }
        }
    }

    /// From one batch to the next: harmonic `n` turns by `exp(2 pi i 32 n / P)`.
    #[inline(always)]
    fn step_on<V: Simd>(&self, turned: &mut [Line<T>]) {
        let count = turned.len() / 2;
        for i in 0..count {
            let next = load_split::<V, T>(turned, i).mul::<false>(load_split::<V, T>(&self.step, i));
            turned[i].store::<V>(next.re);
            turned[count + i].store::<V>(next.im);
        }
    }

    /// What harmonic `n` gives to bin `n` and its mirror to bin `-n` of the complex signal of both halves: with
    /// `w = exp(2 pi i 16 n / P)`, `X (1 + i w)` and `conj(X) (1 + i conj(w))`.
    #[inline(always)]
    fn share_out<V: Simd>(&self, turned: &[Line<T>], folded: &mut [Line<T>]) {
        let count = turned.len() / 2;
        let (harmonics, mirrors) = folded.split_at_mut(2 * count);
        for i in 0..count {
            let x = load_split::<V, T>(turned, i);
            let w = load_split::<V, T>(&self.half_step, i);
            let conj = Complex::new(x.re, T::Lanes::<V>::splat(T::zero()).sub(x.im));
            let near = x.add_turned::<false>(x.mul::<false>(w));
            let far = conj.add_turned::<false>(conj.mul::<true>(w));
            harmonics[i].store::<V>(near.re);
            harmonics[count + i].store::<V>(near.im);
            mirrors[i].store::<V>(far.re);
            mirrors[count + i].store::<V>(far.im);
        }
    }

    /// Fills all `Q` bins of all lanes, the bins `k` and `Q - k` together: the same harmonics come to them.
    #[inline(always)]
    fn fold<V: Simd>(&self, folded: &[Line<T>], work: &mut [Line<T>]) {
        let (harmonics, mirrors) = folded.split_at(folded.len() / 2);
        let (harmonics, mirrors) = (Splats::new(harmonics), Splats::new(mirrors));
        let (length, turns) = (self.length, turns(self.harmonics, self.length));
        for k in 0..=length / 2 {
            let alone = k == 0 || 2 * k == length;
            let mut near = harmonics.at::<V>(k);
            let mut far = mirrors.at::<V>(k);
            for turn in 1..turns {
                let m = turn.div_ceil(2);
                let wrap = self.wrap::<V>(m);
                if turn.is_multiple_of(2) {
                    let n = length * m + k;
                    near = near.mul_add::<false>(harmonics.at::<V>(n), wrap);
                    far = far.mul_add::<true>(mirrors.at::<V>(n), wrap);
                } else if !alone {
                    let n = length * m - k;
                    far = far.mul_add::<false>(harmonics.at::<V>(n), wrap);
                    near = near.mul_add::<true>(mirrors.at::<V>(n), wrap);
                }
            }
            let residue = self.residue::<V>(k);
            let (near, far) = (near.mul::<false>(residue), far.mul::<true>(residue));
            if alone {
                complex::store::<V, T>(work, self.fft.position(k), near.add(far));
            } else {
                complex::store::<V, T>(work, self.fft.position(k), near);
                complex::store::<V, T>(work, self.fft.position(length - k), far);
            }
        }
    }
}

/// From the spectrum to the bins of one batch; batches come in order, for each begins with what the last one left.
struct Fold<'a, T> {
    transform: &'a LaneTransform<T>,
    spectrum: &'a [T],
    factor: T,
    batch: usize,
    turned: &'a mut [Line<T>],
    folded: &'a mut [Line<T>],
    work: &'a mut [Line<T>],
}

impl<T: Number> Operation for Fold<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        match self.batch {
            0 => self.transform.take_in::<V>(self.spectrum, self.factor, self.turned),
            _ => self.transform.step_on::<V>(self.turned),
        }
        self.transform.share_out::<V>(self.turned, self.folded);
        self.transform.fold::<V>(self.folded, self.work);
    }
}

/// Complex numbers, all real parts before all imaginary parts, to be spread over all lanes.
struct Splats<'a, T> {
    re: &'a [T],
    im: &'a [T],
}

impl<'a, T: Number> Splats<'a, T> {
    #[inline(always)]
    fn new(lines: &'a [Line<T>]) -> Self {
        let (re, im) = lines.split_at(lines.len() / 2);
        Splats { re: flat(re), im: flat(im) }
    }

    #[inline(always)]
    fn at<V: Simd>(&self, n: usize) -> Complexes<V, T> {
        Complex::splat((self.re[n], self.im[n]))
    }
}
