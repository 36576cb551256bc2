//! What the codes of a side mean, as one token's attention reads them. Made anew for each token and layer, in working
//! memory: kept, they would be a good part of what the codes themselves take.

use fourier_kv_kernels::coded::{Direction, SideTables, padded};
use fourier_kv_kernels::trellis::{PairLayout, STEP};

use super::coded::{KEYS, VALUES};
use super::side::Side;
use super::stream::{CodeTables, pair_code};

/// Fills the tables of keys.
pub(super) fn of_keys(side: &Side, out: &mut SideTables) {
    out.clear();
    let (tables, mut layout) = (side.tables(), PairLayout::default());
    out.table_starts.push(0);
    for tile in 0..side.tiles.count() {
        let (bytes, units) = side.direction_bytes(tile);
        let n = side.tiles.channels(tile).len();
        let largest = largest_size(side, tile, &tables, units);
        let step = STEP * largest;
        key_pairs(side, tile, (&tables, units), largest, &mut layout, out);
        let mean = &side.mean[side.tiles.start(tile)..][..n];
        out.mean.extend(mean.iter().map(|x| if step > 0.0 { x / step } else { 0.0 }));
        out.steps.push(step);
        table(bytes, n, &mut out.table);
        out.table_starts.push(out.table.len());
    }
    out.starts.push(out.pairs.len() as u32);
    out.trellis_words = layout.words()[0];
}

/// Fills the tables of values.
pub(super) fn of_values(side: &Side, out: &mut SideTables) {
    out.clear();
    let (tables, block, mut layout) = (side.tables(), side.block(), PairLayout::default());
    for tile in 0..side.tiles.count() {
        out.tiles.push([out.directions.len() as u32, out.pairs.len() as u32]);
        let largest = largest_size(side, tile, &tables, &[]);
        let relative = if largest > 0.0 { 1.0 / largest } else { 0.0 };
        for (row, codes) in side.codes(tile).chunks_exact(block).enumerate() {
            let first = out.pairs.len();
            for (place, codes) in codes.as_chunks::<2>().0.iter().enumerate() {
                let bits = tables.bits[usize::from(pair_code(*codes))];
                if bits > 0 {
                    let sizes = codes.map(|code| tables.sizes[usize::from(code)] * relative);
                    out.pairs.push(layout.push(bits, sizes, place as u16));
                }
            }
            let pairs = (out.pairs.len() - first) as u16;
            if pairs > 0 {
                out.directions.push(Direction { row: row as u16, pairs });
            }
        }
        out.steps.push(STEP * largest);
    }
    out.tiles.push([out.directions.len() as u32, out.pairs.len() as u32]);
    out.trellis_words = layout.words()[0];
}

/// The largest size of a tile's coefficients, times the units of their directions if there are any.
fn largest_size(side: &Side, tile: usize, tables: &CodeTables, units: &[f32]) -> f32 {
    let rows = side.codes(tile).chunks_exact(side.block()).enumerate();
    let sizes = rows.map(|(row, codes)| {
        let most = codes.iter().copied().max().unwrap_or(0);
        tables.sizes[usize::from(most)] * units.get(row).copied().unwrap_or(1.0)
    });
    sizes.fold(0.0, f32::max)
}

/// Pairs of a tile of keys: their sizes have the units of their directions in them.
fn key_pairs(
    side: &Side,
    tile: usize,
    (tables, units): (&CodeTables, &[f32]),
    largest: f32,
    layout: &mut PairLayout,
    out: &mut SideTables,
) {
    let (block, codes, kept) = (side.block(), side.codes(tile), units.len());
    let relative = if largest > 0.0 { 1.0 / largest } else { 0.0 };
    for f in 0..block {
        out.starts.push(out.pairs.len() as u32);
        for row in (0..kept).step_by(2) {
            let is_both = row + 1 < kept;
            let own = [codes[row * block + f], if is_both { codes[(row + 1) * block + f] } else { 0 }];
            let bits = tables.bits[usize::from(pair_code(own))];
            if bits > 0 {
                let size = |i: usize| tables.sizes[usize::from(own[i])] * units[row + i] * relative;
                let sizes = [size(0), if is_both { size(1) } else { 0.0 }];
                out.pairs.push(layout.push(bits, sizes, (row / 2) as u16));
            }
        }
    }
}

/// Directions of `n` bytes, two in an integer.
fn table(bytes: &[i8], n: usize, out: &mut Vec<i32>) {
    for rows in bytes.chunks(2 * n) {
        let (first, second) = rows.split_at(n);
        let both = |i: usize| i32::from(second.get(i).copied().unwrap_or(0)) << 16 | i32::from(first[i]) & 0xFFFF;
        out.extend((0..n).map(both));
        out.resize(out.len() + padded(n) - n, 0);
    }
}

/// Tables of both sides.
pub(super) fn fill(sides: &[Side; 2], tables: &mut [SideTables; 2]) {
    of_keys(&sides[KEYS], &mut tables[KEYS]);
    of_values(&sides[VALUES], &mut tables[VALUES]);
}
