//! Working memory of one token's attention over coded blocks, kept from step to step.

use super::outputs::Direction;
use super::slow_nodes::Turning;
use crate::simd::CacheLine;
use crate::trellis::Pair;

/// Working memory; what is in it is left over from the last use.
#[derive(Debug, Default)]
pub struct CodedScratch {
    /// What the codes of keys and of values mean.
    pub tables: [SideTables; 2],
    /// Vectors, several runs of them.
    pub vectors: [Vec<CacheLine>; 6],
    /// Single floats, several runs of them.
    pub singles: [Vec<f32>; 4],
}

/// What the codes of one side mean, for all its tiles.
#[derive(Debug, Default)]
pub struct SideTables {
    /// All pairs, in the order of the stream.
    pub pairs: Vec<Pair>,
    /// Where the pairs of each tile's harmonics begin, and where the last end.
    pub starts: Vec<u32>,
    /// Directions that have pairs, of all tiles.
    pub directions: Vec<Direction>,
    /// Where the directions of each tile begin, and where the last end; the same of its pairs.
    pub tiles: Vec<[u32; 2]>,
    /// Directions as bytes, two in an integer.
    pub table: Vec<i32>,
    /// Where the table of each tile begins, and where the last ends.
    pub table_starts: Vec<usize>,
    /// Whether the keys of a tile are met without being rebuilt, [`super::SlowTile`]; it has `columns` then, and no table.
    pub slow: Vec<Option<Turning>>,
    /// Directions and means of slow tiles.
    pub columns: Vec<f32>,
    /// Where those of each tile begin, and where the last end.
    pub column_starts: Vec<usize>,
    /// Means, in the steps of their tile.
    pub mean: Vec<f32>,
    /// `[tiles]`: what channels are in.
    pub steps: Vec<f32>,
    /// `[tiles][B]`: what a pair's values are in at each harmonic, in steps of the channels.
    pub harmonic_steps: Vec<f32>,
    /// Words of trellis bits.
    pub trellis_words: usize,
}

impl SideTables {
    /// Empties all.
    pub fn clear(&mut self) {
        self.pairs.clear();
        self.starts.clear();
        self.directions.clear();
        self.tiles.clear();
        self.table.clear();
        self.table_starts.clear();
        self.slow.clear();
        self.columns.clear();
        self.column_starts.clear();
        self.mean.clear();
        self.steps.clear();
        self.harmonic_steps.clear();
    }
}
