//! How the keys, or the values, of one layer are coded: everything that is the same for all blocks.

use std::sync::Arc;

use fourier_kv_spectral::trellis::MAX_BITS;

use super::coding::Coding;
use super::rates::{Sizes, Thresholds};
use super::stream::{CodeTables, Order, for_pairs};
use super::tiles::Tiles;
use crate::bytes::held;
use crate::park::{ParkError, SectionReader, SectionWriter, Tag};

const MEAN: Tag = *b"mean";
const KEPT: Tag = *b"kept";
const TABLE: Tag = *b"dirs";
const UNITS: Tag = *b"unit";
const CODES: Tag = *b"size";
const LARGEST: Tag = *b"most";
const THRESHOLDS: Tag = *b"bits";

/// Directions of a tile are bytes times a unit: the largest byte.
const LARGEST_BYTE: f32 = 127.0;

/// Means, directions and sizes of keys or values.
#[derive(Clone, Debug)]
pub(super) struct Side {
    pub(super) tiles: Arc<Tiles>,
    /// `[C]`, in the order of tiles, of weighted channels.
    pub(super) mean: Vec<f32>,
    /// Directions kept of each tile, those of the largest sizes.
    kept: Vec<u16>,
    /// `[R][n]` a tile, in units.
    table: Vec<i8>,
    /// `[R]` of all tiles.
    units: Vec<f32>,
    sizes: Sizes,
    /// `[R][B]` of all tiles: the codes of the coefficients' sizes.
    codes: Vec<u8>,
    thresholds: Thresholds,
    /// Energy of a block in the directions that are not kept.
    dropped: f32,
    /// How coefficients are made and written.
    pub(super) coding: Coding,
}

/// What a side is made of.
#[derive(Debug)]
pub(super) struct SideParts {
    /// `[C]`, in the order of tiles.
    pub(super) mean: Vec<f32>,
    /// For each tile its directions, `[R][n]`, of length 1, at right angles.
    pub(super) directions: Vec<Vec<f32>>,
    /// `[R][B]` of all tiles: root mean squares of coefficients.
    pub(super) deviations: Vec<f32>,
    /// Energy of a block in other directions.
    pub(super) dropped: f32,
    /// How coefficients are made and written.
    pub(super) coding: Coding,
}

impl Side {
    /// Without any bits yet.
    pub(super) fn new(tiles: Arc<Tiles>, parts: SideParts) -> Self {
        let sizes = Sizes { largest: parts.deviations.iter().copied().filter(|x| x.is_finite()).fold(0.0, f32::max) };
        let mut side = Side {
            kept: Vec::with_capacity(tiles.count()),
            table: Vec::with_capacity(parts.directions.iter().map(Vec::len).sum()),
            units: Vec::new(),
            codes: parts.deviations.iter().map(|&x| sizes.code(x)).collect(),
            mean: parts.mean,
            tiles,
            sizes,
            thresholds: [256; 8],
            dropped: parts.dropped,
            coding: parts.coding,
        };
        for (tile, directions) in parts.directions.iter().enumerate() {
            let n = side.tiles.channels(tile).len();
            side.kept.push((directions.len() / n) as u16);
            for direction in directions.chunks_exact(n) {
                let unit = direction.iter().fold(0.0f32, |a, x| a.max(x.abs())) / LARGEST_BYTE;
                let unit = if unit > 0.0 { unit } else { 1.0 };
                side.units.push(unit);
                side.table.extend(direction.iter().map(|x| (x / unit).round() as i8));
            }
        }
        side.units.shrink_to_fit();
        side
    }

    /// The codes of its coefficients' sizes and what they mean.
    pub(super) fn sizes(&self) -> (Sizes, &[u8]) {
        (self.sizes, &self.codes)
    }

    /// The least codes of each number of bits.
    pub(super) fn thresholds(&self) -> &Thresholds {
        &self.thresholds
    }

    /// Sizes and bits of all codes.
    pub(super) fn tables(&self) -> CodeTables {
        CodeTables::new(self)
    }

    /// Sets which coefficients get how many bits.
    pub(super) fn set_thresholds(&mut self, thresholds: Thresholds) {
        self.thresholds = thresholds;
    }

    /// Harmonics of a direction.
    pub(super) fn block(&self) -> usize {
        self.codes.len() / self.units.len().max(1)
    }

    /// Directions of a tile.
    pub(super) fn kept(&self, tile: usize) -> usize {
        usize::from(self.kept[tile])
    }

    /// Directions of all tiles before one.
    fn before(&self, tile: usize) -> usize {
        self.kept[..tile].iter().map(|&r| usize::from(r)).sum()
    }

    /// The directions of a tile as they are rebuilt with, `[R][n]`.
    pub(super) fn directions(&self, tile: usize) -> Vec<f32> {
        let (bytes, units) = self.direction_bytes(tile);
        let rows = bytes.chunks_exact(self.tiles.channels(tile).len()).zip(units);
        rows.flat_map(|(row, unit)| row.iter().map(move |&x| f32::from(x) * unit)).collect()
    }

    /// The directions of a tile as bytes, `[R][n]`, and their units, `[R]`.
    pub(super) fn direction_bytes(&self, tile: usize) -> (&[i8], &[f32]) {
        let n = self.tiles.channels(tile).len();
        let (first, rows) = (self.before(tile), self.kept(tile));
        let start: usize = (0..tile).map(|t| self.kept(t) * self.tiles.channels(t).len()).sum();
        (&self.table[start..start + rows * n], &self.units[first..first + rows])
    }

    /// The codes of a tile's coefficients, `[R][B]`.
    pub(super) fn codes(&self, tile: usize) -> &[u8] {
        let (first, block) = (self.before(tile), self.block());
        &self.codes[first * block..(first + self.kept(tile)) * block]
    }

    /// The sum of the squared errors that a block is expected to have.
    pub(super) fn expected_error(&self, order: Order) -> f64 {
        let all: f64 = self.codes.iter().map(|&code| f64::from(self.sizes.size(code)).powi(2)).sum();
        let mut saved = 0.0;
        for_pairs(self, order, |both| {
            let energy: f64 = both.sizes.iter().map(|&size| f64::from(size).powi(2)).sum();
            saved += energy * (1.0 - self.coding.distortion(usize::from(both.bits)));
        });
        (all - saved).max(0.0) + f64::from(self.dropped)
    }

    pub(super) fn park(&self, out: &mut SectionWriter<'_>) -> Result<(), ParkError> {
        out.numbers(MEAN, &self.mean)?;
        out.numbers(KEPT, &self.kept)?;
        out.numbers(TABLE, &self.table)?;
        out.numbers(UNITS, &self.units)?;
        out.numbers(CODES, &self.codes)?;
        out.numbers(LARGEST, &[self.sizes.largest, self.dropped])?;
        out.numbers(THRESHOLDS, &self.thresholds)
    }

    /// Reads a parked side of blocks of `block` tokens.
    pub(super) fn unpark(tiles: Tiles, block: usize, sections: &mut SectionReader<'_>) -> Result<Self, ParkError> {
        let (count, channels) = (tiles.count(), tiles.all().len());
        let mean = sections.numbers(MEAN, channels)?;
        let kept: Vec<u16> = sections.numbers(KEPT, count)?;
        if let Some(tile) = (0..count).find(|&t| usize::from(kept[t]) > tiles.channels(t).len()) {
            let most = format!("{} directions at most", tiles.channels(tile).len());
            return Err(ParkError::content(KEPT, most, kept[tile]));
        }
        let numbers = (0..count).map(|t| usize::from(kept[t]) * tiles.channels(t).len()).sum();
        let rows: usize = kept.iter().map(|&r| usize::from(r)).sum();
        let side = Side {
            table: sections.numbers(TABLE, numbers)?,
            units: sections.numbers(UNITS, rows)?,
            codes: sections.numbers(CODES, rows * block)?,
            sizes: Sizes { largest: 0.0 },
            dropped: 0.0,
            coding: Coding::default(),
            thresholds: [256; MAX_BITS],
            tiles: Arc::new(tiles),
            mean,
            kept,
        };
        let energies: Vec<f32> = sections.numbers(LARGEST, 2)?;
        let thresholds: Vec<u16> = sections.numbers(THRESHOLDS, MAX_BITS)?;
        Ok(Side {
            sizes: Sizes { largest: energies[0] },
            dropped: energies[1],
            thresholds: std::array::from_fn(|k| thresholds[k]),
            ..side
        })
    }

    /// Heap bytes.
    pub(super) fn bytes(&self) -> usize {
        held(&self.mean)
            + held(&self.kept)
            + held(&self.table)
            + held(&self.units)
            + held(&self.codes)
            + size_of::<Tiles>()
            + 2 * size_of::<usize>()
            + self.tiles.bytes()
    }
}
