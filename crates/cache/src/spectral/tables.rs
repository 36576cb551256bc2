//! What the codes of a side mean, as one token's attention reads them. Made anew for each token and layer, in working
//! memory: kept, they would be a good part of what the codes themselves take.

use fourier_kv_kernels::coded::{Direction, SideTables, padded};
use fourier_kv_kernels::trellis::{PairLayout, STEP};

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
        let step = key_pairs((side.codes(tile), units), side.block(), &tables, &mut layout, out);
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
        for (row, codes) in side.codes(tile).chunks_exact(block).enumerate() {
            let first = out.pairs.len();
            let largest = tables.sizes[usize::from(codes.iter().copied().max().unwrap_or(0))];
            let relative = if largest > 0.0 { 1.0 / largest } else { 0.0 };
            for (place, codes) in codes.as_chunks::<2>().0.iter().enumerate() {
                let bits = tables.bits[usize::from(pair_code(*codes))];
                if bits > 0 {
                    let sizes = codes.map(|code| tables.sizes[usize::from(code)] * relative);
                    out.pairs.push(layout.push(bits, sizes, place as u16));
                }
            }
            let pairs = (out.pairs.len() - first) as u16;
            if pairs > 0 {
                out.directions.push(Direction { row: row as u16, pairs, step: STEP * largest });
            }
        }
    }
    out.tiles.push([out.directions.len() as u32, out.pairs.len() as u32]);
    out.trellis_words = layout.words()[0];
}

/// Pairs of a tile of keys, of codes `[R][B]` and units `[R]`: their sizes have the units of their directions in them, and
/// are relative to the largest at their harmonic. Returns the step of the channels: that of the largest harmonic.
fn key_pairs(
    (codes, units): (&[u8], &[f32]),
    block: usize,
    tables: &CodeTables,
    layout: &mut PairLayout,
    out: &mut SideTables,
) -> f32 {
    let size = |row: usize, f: usize| match units.get(row) {
        Some(unit) => tables.sizes[usize::from(codes[row * block + f])] * unit,
        None => 0.0,
    };
    let code = |row: usize, f: usize| if row < units.len() { codes[row * block + f] } else { 0 };
    let first = out.harmonic_steps.len();
    for f in 0..block {
        out.starts.push(out.pairs.len() as u32);
        let largest = (0..units.len()).fold(0.0, |most, row| size(row, f).max(most));
        let relative = if largest > 0.0 { 1.0 / largest } else { 0.0 };
        for row in (0..units.len()).step_by(2) {
            let bits = tables.bits[usize::from(pair_code([code(row, f), code(row + 1, f)]))];
            if bits > 0 {
                let sizes = [size(row, f) * relative, size(row + 1, f) * relative];
                out.pairs.push(layout.push(bits, sizes, (row / 2) as u16));
            }
        }
        out.harmonic_steps.push(STEP * largest);
    }
    let steps = &mut out.harmonic_steps[first..];
    let largest = steps.iter().copied().fold(0.0, f32::max);
    steps.iter_mut().for_each(|step| *step /= if largest > 0.0 { largest } else { 1.0 });
    largest
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
