//! The spectral dims' part of the scores of all tokens, for one row.

use super::FourierRegion;
use super::pairs::Pairs;
use super::scratch::{PIECE, Piece, Row, TransformPool, grow};
use crate::attention::Queries;
use crate::element::Element;
use crate::isa::Isa;
use crate::number::Number;
use crate::simd::WIDTH;
use crate::transform::TimeTransform;
use crate::transform::line::{flat, flat_mut};

/// Fills the scores of row `r` of a head, or the points of the grid that they follow from, and its offset.
pub(super) fn run<T: Number, S: Element, C: Element>(
    (isa, transform, pool): (Isa, &TimeTransform<T>, &TransformPool<T>),
    q: Queries<'_, T>,
    r: usize,
    region: &FourierRegion<'_, T, S, C>,
    pieces: &[Piece<T>],
    row: &mut Row<T>,
) {
    let keys = &region.keys;
    let query = q.row(r);
    if keys.spectral.is_empty() {
        row.offset = T::zero();
        return flat_mut(&mut row.scores).fill(T::zero());
    }
    let factor = q.scale * T::of(1.0 / transform.period() as f64);
    row.offset = match region.bands {
        None => offset(query, keys.spectral.iter().map(|&d| usize::from(d)), keys.mean),
        Some(_) => {
            grow(&mut row.circle, 2 * transform.period());
            let dims = keys.spectral.iter().flat_map(|&i| [usize::from(i), usize::from(i) + query.len() / 2]);
            offset(query, dims, keys.mean)
        }
    } * q.scale;
    match region.bands {
        None => collect(pieces, r, &mut flat_mut(&mut row.spectrum)[..2 * transform.harmonics()]),
        Some(bands) => {
            let circle = &mut row.circle[..2 * transform.period()];
            let half = &mut flat_mut(&mut row.spectrum)[..2 * transform.harmonics()];
            isa.run(Pairs { query, spectral: keys.spectral, spectra: keys.spectra, bands, circle, half });
        }
    }
    let Row { spectrum, scores, .. } = row;
    let spectrum = &flat(spectrum)[..2 * transform.harmonics()];
    pool.with(|scratch| match transform.grid() {
        Some(grid) => grid.to_points(isa, spectrum, factor, &mut scores[..grid.lines()], scratch),
        None => transform.inverse(isa, spectrum, factor, &mut flat_mut(scores)[..transform.period()], scratch),
    });
}

/// Row `r` of all pieces.
fn collect<T: Number>(pieces: &[Piece<T>], r: usize, spectrum: &mut [T]) {
    for (to, piece) in spectrum.chunks_mut(PIECE).zip(pieces) {
        to.copy_from_slice(&flat(&piece.sums[r * PIECE / WIDTH..])[..to.len()]);
    }
}

/// `q . mu`: the same for every token.
fn offset<T: Number>(query: &[T], dims: impl Iterator<Item = usize>, mean: &[T]) -> T {
    dims.zip(mean).fold(T::zero(), |sum, (d, &mean)| sum + query[d] * mean)
}
