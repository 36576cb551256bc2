//! The spectra of the weights times the values' spectra, for all rows of a head at once.

use super::scratch::{PROJECTED, Projection, Row, load_run};
use super::{FourierRegion, FourierSide};
use crate::element::Element;
use crate::isa::{Isa, Operation};
use crate::number::Number;
use crate::simd::{Lanes, Simd, WIDTH};

/// Spectral dims that are taken together: the rows' spectra are read once.
const DIMS: usize = 4;

/// Fills projection `number` of a head.
pub(super) fn run<T: Number, S: Element, C: Element>(
    isa: Isa,
    region: &FourierRegion<'_, T, S, C>,
    rows: &[Row<T>],
    number: usize,
    projection: &mut Projection<T>,
) {
    let FourierSide { spectral, spectra, .. } = region.values;
    let first = number * PROJECTED;
    if first < spectral.len() {
        let (width, end) = (spectra.len() / spectral.len(), (first + PROJECTED).min(spectral.len()));
        isa.run(Project { width, spectra: &spectra[first * width..end * width], rows, projection });
    }
}

struct Project<'a, T, C> {
    width: usize,
    spectra: &'a [C],
    rows: &'a [Row<T>],
    projection: &'a mut Projection<T>,
}

impl<T: Number, C: Element> Operation for Project<'_, T, C> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(mut self) {
        let mut first = 0;
        while first < self.rows.len() {
            let count = super::blocks::tile(self.rows.len() - first);
            match count {
                1 => self.tile::<V, 1>(first),
                2 => self.tile::<V, 2>(first),
                3 => self.tile::<V, 3>(first),
                4 => self.tile::<V, 4>(first),
                5 => self.tile::<V, 5>(first),
                _ => self.tile::<V, 6>(first),
            }
            first += count;
        }
    }
}

impl<T: Number, C: Element> Project<'_, T, C> {
    #[inline(always)]
    fn tile<V: Simd, const R: usize>(&mut self, first_row: usize) {
        let zero = T::Lanes::<V>::splat(T::zero());
        let mut products = [[zero; PROJECTED]; R];
        let tracks = self.spectra.len() / self.width;
        for some in (0..tracks).step_by(DIMS) {
            let mut runs: [&[C]; DIMS] = [&[]; DIMS];
            for d in 0..DIMS {
                // Where there are fewer, the last once more; nobody asks for it.
                runs[d] = &self.spectra[(some + d).min(tracks - 1) * self.width..][..self.width];
            }
            let mut sums = [[zero; DIMS]; R];
            for i in 0..self.width.div_ceil(WIDTH) {
                let mut x = [zero; DIMS];
                for d in 0..DIMS {
                    V::prefetch(runs[d], (DIMS * self.width + i * WIDTH) * size_of::<C>());
                    x[d] = load_run::<V, T, C>(runs[d], i);
                }
                for r in 0..R {
                    let f = self.rows[first_row + r].spectrum[i].load::<V>();
                    for d in 0..DIMS {
                        sums[r][d] = x[d].mul_add(f, sums[r][d]);
                    }
                }
            }
            for r in 0..R {
                products[r][some..some + DIMS].copy_from_slice(&sums[r]);
            }
        }
        for r in 0..R {
            self.projection.out[first_row + r].store::<V>(T::Lanes::<V>::sums(products[r]));
        }
    }
}

/// Puts the spectral dims of row `r` beside its exact dims.
pub(super) fn assemble<T: Number, S: Element, C: Element>(
    region: &FourierRegion<'_, T, S, C>,
    r: usize,
    projections: &[Projection<T>],
    row: &mut Row<T>,
) {
    let products = projections.iter().flat_map(|p| p.out[r].0);
    for ((&dim, &mean), product) in region.values.spectral.iter().zip(region.values.mean).zip(products) {
        row.out[usize::from(dim)] = product + row.sum * mean;
    }
}
