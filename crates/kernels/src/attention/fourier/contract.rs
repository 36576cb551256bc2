//! Queries times the keys' spectra: `U_n = sum_d q_d X_{n,d}`, for all rows of a head at once.

use super::blocks::{CACHE_LINE, tile};
use super::scratch::{PIECE, Piece, load_run};
use super::{FourierRegion, FourierSide};
use crate::attention::Queries;
use crate::element::Element;
use crate::isa::{Isa, Operation};
use crate::number::Number;
use crate::simd::{Lanes, Simd, WIDTH};
use crate::transform::line::Line;

/// Spectral dims that are taken together: their sums are read and written once.
const DIMS: usize = 4;

/// Fills piece `number` of a head. With bands there is nothing to do: see [`super::pairs`].
pub(super) fn run<T: Number, S: Element, C: Element>(
    isa: Isa,
    q: Queries<'_, T>,
    region: &FourierRegion<'_, T, S, C>,
    number: usize,
    piece: &mut Piece<T>,
) {
    let FourierSide { spectral, spectra, .. } = region.keys;
    if region.bands.is_none() && !spectral.is_empty() {
        isa.run(Contract { q, spectral, spectra, first: number * PIECE, sums: &mut piece.sums });
    }
}

struct Contract<'a, T, C> {
    q: Queries<'a, T>,
    spectral: &'a [u16],
    spectra: &'a [C],
    first: usize,
    sums: &'a mut [Line<T>],
}

impl<T: Number, C: Element> Operation for Contract<'_, T, C> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(mut self) {
        let rows = self.q.count();
        self.sums[..rows * PIECE / WIDTH].fill(Line::default());
        let mut first = 0;
        while first < rows {
            let count = tile(rows - first);
            match count {
                1 => self.rows::<V, 1>(first),
                2 => self.rows::<V, 2>(first),
                3 => self.rows::<V, 3>(first),
                4 => self.rows::<V, 4>(first),
                5 => self.rows::<V, 5>(first),
                _ => self.rows::<V, 6>(first),
            }
            first += count;
        }
    }
}

impl<T: Number, C: Element> Contract<'_, T, C> {
    #[inline(always)]
    fn rows<V: Simd, const R: usize>(&mut self, first_row: usize) {
        let width = self.spectra.len() / self.spectral.len();
        let length = PIECE.min(width - self.first);
        for some in (0..self.spectral.len()).step_by(DIMS) {
            let mut weights = [[T::Lanes::<V>::splat(T::zero()); DIMS]; R];
            let mut runs: [&[C]; DIMS] = [&[]; DIMS];
            for d in 0..DIMS {
                // Where there are fewer, the last once more, times zero.
                let track = (some + d).min(self.spectral.len() - 1);
                runs[d] = &self.spectra[track * width + self.first..][..length];
                for line in (0..size_of_val(runs[d])).step_by(CACHE_LINE) {
                    V::prefetch(runs[d], DIMS * width * size_of::<C>() + line);
                }
                for r in 0..R {
                    let weight = self.q.row(first_row + r)[usize::from(self.spectral[track])];
                    weights[r][d] = T::Lanes::<V>::splat(if some + d == track { weight } else { T::zero() });
                }
            }
            for i in 0..length.div_ceil(WIDTH) {
                let mut x = [T::Lanes::<V>::splat(T::zero()); DIMS];
                for d in 0..DIMS {
                    x[d] = load_run::<V, T, C>(runs[d], i);
                }
                for r in 0..R {
                    let line = &mut self.sums[(first_row + r) * (PIECE / WIDTH) + i];
                    let mut sum = line.load::<V>();
                    for d in 0..DIMS {
                        sum = x[d].mul_add(weights[r][d], sum);
                    }
                    line.store::<V>(sum);
                }
            }
        }
    }
}
