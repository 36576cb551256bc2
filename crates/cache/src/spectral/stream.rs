//! The coefficients of a side in the order in which a block's codes stand in its stream.

use super::side::Side;

/// Which coefficients follow on one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Tile by tile, harmonic by harmonic: as keys are rebuilt.
    Harmonics,
    /// Direction by direction: as outputs are summed up.
    Directions,
}

/// Coefficients that have bits.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    /// Bits of each, 1 to 8.
    pub(super) bits: Vec<u8>,
    /// Its size.
    pub(super) sizes: Vec<f32>,
    /// Its place among the dense coefficients of all tiles: `[B][R]` a tile.
    pub(super) places: Vec<u32>,
    /// Dense coefficients of all tiles.
    pub(super) dense: usize,
    /// `[tiles][B]`: directions that have a coefficient at a harmonic, ascending.
    pub(super) present: Vec<Vec<Vec<u16>>>,
}

impl Stream {
    /// The stream of a side.
    pub(super) fn new(side: &Side, order: Order) -> Self {
        let (block, tiles) = (side.block(), side.tiles.count());
        let mut stream = Stream {
            bits: Vec::new(),
            sizes: Vec::new(),
            places: Vec::new(),
            dense: 0,
            present: vec![vec![Vec::new(); block]; tiles],
        };
        for tile in 0..tiles {
            let rows = side.kept(tile);
            match order {
                Order::Harmonics => (0..block).for_each(|f| (0..rows).for_each(|row| stream.push(side, tile, row, f))),
                Order::Directions => (0..rows).for_each(|row| (0..block).for_each(|f| stream.push(side, tile, row, f))),
            }
            stream.dense += rows * block;
        }
        stream
    }

    fn push(&mut self, side: &Side, tile: usize, row: usize, f: usize) {
        let (bits, size) = side.coefficient(tile, row, f);
        if bits > 0 {
            self.bits.push(bits);
            self.sizes.push(size);
            self.places.push((self.dense + f * side.kept(tile) + row) as u32);
            self.present[tile][f].push(row as u16);
        }
    }

    /// Words of 32 bits of one block's codes.
    pub(super) fn words(&self) -> usize {
        self.bits.iter().map(|&k| usize::from(k)).sum::<usize>().div_ceil(32)
    }
}
