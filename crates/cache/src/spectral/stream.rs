//! The coefficients of a side in the order in which a block's codes stand, two of as many bits at a time.

use fourier_kv_kernels::trellis::{Pair, PairLayout};

use super::side::Side;

/// Which coefficients follow on one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Tile by tile, harmonic by harmonic, two directions at a time: as keys are rebuilt.
    Harmonics,
    /// Tile by tile, direction by direction, two harmonics at a time: as outputs are summed up.
    Directions,
}

/// Two coefficients of a tile that have as many bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Both {
    pub(super) bits: u8,
    pub(super) tile: usize,
    /// Directions and harmonics; the second coefficient is not there if its direction is not kept.
    pub(super) rows: [usize; 2],
    pub(super) harmonics: [usize; 2],
    /// 0 where there is no coefficient.
    pub(super) sizes: [f32; 2],
}

/// Bits of a side's words that may be left over: its trellis bits and its rests begin words of their own.
pub(super) const LAST_BITS: usize = 66;

/// The codes of all pairs of a side, in order.
pub(super) fn for_pair_codes(side: &Side, order: Order, mut each: impl FnMut([u8; 2])) {
    for tile in 0..side.tiles.count() {
        for_tile(side, order, tile, |codes, _, _| each(codes));
    }
}

/// All pairs of a side that have bits, in order.
pub(super) fn for_pairs(side: &Side, order: Order, mut each: impl FnMut(Both)) {
    let tables = side.tables();
    for tile in 0..side.tiles.count() {
        for_tile(side, order, tile, |codes, rows, harmonics| {
            let bits = tables.bits[usize::from(pair_code(codes))];
            if bits > 0 {
                each(Both { bits, tile, rows, harmonics, sizes: codes.map(|c| tables.sizes[usize::from(c)]) });
            }
        });
    }
}

/// The codes, directions and harmonics of a tile's pairs.
fn for_tile(side: &Side, order: Order, tile: usize, mut each: impl FnMut([u8; 2], [usize; 2], [usize; 2])) {
    for group in 0..groups(side, order, tile) {
        for_group(side, order, tile, group, &mut each);
    }
}

/// How many groups of pairs a tile has: harmonics, or directions.
pub(super) fn groups(side: &Side, order: Order, tile: usize) -> usize {
    match order {
        Order::Harmonics => side.block(),
        Order::Directions => side.kept(tile),
    }
}

/// The codes, directions and harmonics of the pairs of one harmonic of a tile, or of one direction: the one place that
/// says how pairs follow on one another.
#[inline]
pub(super) fn for_group(
    side: &Side,
    order: Order,
    tile: usize,
    group: usize,
    mut each: impl FnMut([u8; 2], [usize; 2], [usize; 2]),
) {
    let (block, kept, codes) = (side.block(), side.kept(tile), side.codes(tile));
    match order {
        Order::Harmonics => {
            let f = group;
            for row in (0..kept).step_by(2) {
                let second = if row + 1 < kept { codes[(row + 1) * block + f] } else { 0 };
                each([codes[row * block + f], second], [row, row + 1], [f, f]);
            }
        }
        Order::Directions => {
            let row = group;
            for f in (0..block).step_by(2) {
                each([codes[row * block + f], codes[row * block + f + 1]], [row, row], [f, f + 1]);
            }
        }
    }
}

/// What the codes of sizes mean to a side.
#[derive(Debug)]
pub(super) struct CodeTables {
    pub(super) sizes: [f32; 256],
    pub(super) bits: [u8; 256],
}

impl CodeTables {
    pub(super) fn new(side: &Side) -> Self {
        let (sizes, _) = side.sizes();
        let mut bits = [0; 256];
        for &least in side.thresholds() {
            bits[usize::from(least).min(256)..].iter_mut().for_each(|bits| *bits += 1);
        }
        CodeTables { sizes: sizes.all(), bits }
    }
}

/// The code of the root mean square of two sizes, in whole steps of a sixteenth of an octave below the larger.
pub(super) fn pair_code(codes: [u8; 2]) -> u8 {
    /// By how much larger one is than the other, `8 (1 - log2(1 + 2^(-d / 8)))` to the nearest; 8 from 36 on.
    const BELOW: [u8; 36] =
        [0, 0, 1, 1, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5, 5, 5, 6, 6, 6, 6, 6, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7];
    let [less, more] = [codes[0].min(codes[1]), codes[0].max(codes[1])];
    more.saturating_sub(BELOW.get(usize::from(more - less)).copied().unwrap_or(8))
}

/// Pairs as numbers for coding, and for rebuilding everything.
#[derive(Clone, Debug, Default)]
pub(super) struct Stream {
    /// Bits of each coefficient, 1 to 8; two of a pair follow one another.
    pub(super) bits: Vec<u8>,
    /// Its size; 0 for one that is not there.
    pub(super) sizes: Vec<f32>,
    /// Its place among the dense coefficients of all tiles, `[B][R]` a tile; `ABSENT` for one that is not there.
    pub(super) places: Vec<u32>,
    /// How each pair is read, as if all sizes were 1.
    pub(super) pairs: Vec<Pair>,
    /// Dense coefficients of all tiles.
    pub(super) dense: usize,
    /// `[tiles][B]`: directions that have a coefficient at a harmonic, ascending.
    pub(super) present: Vec<Vec<Vec<u16>>>,
    /// Words of trellis bits and of rests.
    pub(super) words: [usize; 2],
}

/// No place.
pub(super) const ABSENT: u32 = u32::MAX;

impl Stream {
    /// The stream of a side.
    pub(super) fn new(side: &Side, order: Order) -> Self {
        let (block, tiles) = (side.block(), side.tiles.count());
        let mut first = vec![0; tiles + 1];
        (0..tiles).for_each(|tile| first[tile + 1] = first[tile] + side.kept(tile) * block);
        let mut stream =
            Stream { dense: first[tiles], present: vec![vec![Vec::new(); block]; tiles], ..Stream::default() };
        let mut layout = PairLayout::default();
        for_pairs(side, order, |both| {
            let kept = side.kept(both.tile);
            stream.pairs.push(layout.push(both.bits, [1.0; 2], 0));
            for i in 0..2 {
                let (row, f) = (both.rows[i], both.harmonics[i]);
                let is_there = row < kept;
                stream.bits.push(both.bits);
                stream.sizes.push(both.sizes[i]);
                stream.places.push(if is_there { (first[both.tile] + f * kept + row) as u32 } else { ABSENT });
                if is_there {
                    stream.present[both.tile][f].push(row as u16);
                }
            }
        });
        stream.words = layout.words();
        stream
    }

    /// Where the coefficients that are there stand, tile by tile and harmonic by harmonic.
    pub(super) fn by_harmonics(&self) -> Vec<u32> {
        let mut order: Vec<u32> =
            (0..self.places.len() as u32).filter(|&i| self.places[i as usize] != ABSENT).collect();
        order.sort_unstable_by_key(|&i| self.places[i as usize]);
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spectral::rates::Sizes;

    #[test]
    fn all_sizes_are_those_one_by_one() {
        for largest in [5.0, 1e-3, 0.0, 7.3e20] {
            let sizes = Sizes { largest };
            assert_eq!(sizes.all(), std::array::from_fn(|code| sizes.size(code as u8)), "{largest}");
        }
    }

    #[test]
    fn pairs_have_the_code_of_their_root_mean_square() {
        let sizes = Sizes { largest: 5.0 };
        for (a, b) in (0..=255u8).flat_map(|a| (0..=255u8).map(move |b| (a, b))).filter(|(a, b)| a.min(b) > &8) {
            let mean = ((sizes.size(a).powi(2) + sizes.size(b).powi(2)) / 2.0).sqrt();
            let (found, exact) = (pair_code([a, b]), 255.0 + 16.0 * (mean / 5.0).log2());
            assert!((f32::from(found) - exact).abs() <= 0.5 + 1e-3, "{a} {b}: {found} {exact}");
        }
    }
}
