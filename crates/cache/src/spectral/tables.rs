//! What the codes of a side mean, as one token's attention reads them. Made anew for each token and layer, in working
//! memory: kept, they would be a good part of what the codes themselves take.

use fourier_kv_kernels::coded::{Direction, SideTables, padded, slow_columns};
use fourier_kv_kernels::trellis::{PairLayout, STEP};

use super::layer::Shared;
use super::side::Side;
use super::slow::{pairs_of, turning};
use super::stream::{CodeTables, Order, for_group, groups, pair_code};

/// Fills the tables of keys.
pub(super) fn of_keys(side: &Side, shared: &Shared, out: &mut SideTables) {
    out.clear();
    let (tables, mut layout) = (side.tables(), PairLayout::default());
    out.table_starts.push(0);
    out.column_starts.push(0);
    for tile in 0..side.tiles.count() {
        let (bytes, _) = side.direction_bytes(tile);
        let n = side.tiles.channels(tile).len();
        let step = key_pairs(side, tile, &tables, &mut layout, out);
        let (mean, first) = (&side.mean[side.tiles.start(tile)..][..n], out.mean.len());
        out.mean.extend(mean.iter().map(|x| if step > 0.0 { x / step } else { 0.0 }));
        out.steps.push(step);
        let turning = turning(&side.tiles, tile, shared.shape(), &shared.rotary, side.block());
        out.slow.push(turning);
        if turning.is_some() {
            let pairs = pairs_of(side.tiles.channels(tile), shared.shape().head_dim);
            slow_columns(bytes, &out.mean[first..], &shared.rotary.frequencies()[pairs], &mut out.columns);
        } else {
            table(bytes, n, &mut out.table);
        }
        out.table_starts.push(out.table.len());
        out.column_starts.push(out.columns.len());
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
        for row in 0..groups(side, Order::Directions, tile) {
            let first = out.pairs.len();
            let codes = &side.codes(tile)[row * block..(row + 1) * block];
            let largest = tables.sizes[usize::from(codes.iter().copied().max().unwrap_or(0))];
            let relative = if largest > 0.0 { 1.0 / largest } else { 0.0 };
            for_group(side, Order::Directions, tile, row, |codes, _, harmonics| {
                let bits = tables.bits[usize::from(pair_code(codes))];
                if bits > 0 {
                    let sizes = codes.map(|code| tables.sizes[usize::from(code)] * relative);
                    out.pairs.push(layout.push(bits, sizes, (harmonics[0] / 2) as u16));
                }
            });
            let pairs = (out.pairs.len() - first) as u16;
            if pairs > 0 {
                out.directions.push(Direction { row: row as u16, pairs, step: STEP * largest });
            }
        }
    }
    out.tiles.push([out.directions.len() as u32, out.pairs.len() as u32]);
    out.trellis_words = layout.words()[0];
}

/// Pairs of a tile of keys: their sizes have the units of their directions in them, and are relative to the largest at
/// their harmonic. Returns the step of the channels: that of the largest harmonic.
fn key_pairs(side: &Side, tile: usize, tables: &CodeTables, layout: &mut PairLayout, out: &mut SideTables) -> f32 {
    let (block, codes, (_, units)) = (side.block(), side.codes(tile), side.direction_bytes(tile));
    // The second of a pair may not be there.
    let size = |row: usize, code: u8| units.get(row).map_or(0.0, |unit| tables.sizes[usize::from(code)] * unit);
    let first = out.harmonic_steps.len();
    out.harmonic_steps.resize(first + block, 0.0);
    for (row, codes) in codes.chunks_exact(block).enumerate() {
        let most = out.harmonic_steps[first..].iter_mut().zip(codes);
        most.for_each(|(most, &code)| *most = size(row, code).max(*most));
    }
    for f in 0..groups(side, Order::Harmonics, tile) {
        out.starts.push(out.pairs.len() as u32);
        let largest = out.harmonic_steps[first + f];
        let relative = if largest > 0.0 { 1.0 / largest } else { 0.0 };
        for_group(side, Order::Harmonics, tile, f, |codes, rows, _| {
            let bits = tables.bits[usize::from(pair_code(codes))];
            if bits > 0 {
                let sizes = [0, 1].map(|i| size(rows[i], codes[i]) * relative);
                out.pairs.push(layout.push(bits, sizes, (rows[0] / 2) as u16));
            }
        });
        out.harmonic_steps[first + f] = STEP * largest;
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
