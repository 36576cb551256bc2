//! The coefficients of a side in the order in which a block's codes stand in its stream.

use fourier_kv_kernels::coded::Direction;

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
    /// `[tiles]`: coefficients of a tile.
    pub(super) counts: Vec<usize>,
    /// `[tiles]`: the same coefficients direction by direction.
    pub(super) directions: Vec<Vec<Direction>>,
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
            counts: vec![0; tiles],
            directions: vec![Vec::new(); tiles],
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
            self.counts[tile] += 1;
            let directions = &mut self.directions[tile];
            match directions.last_mut() {
                Some(last) if usize::from(last.row) == row => last.harmonics.push(f as u8),
                _ => directions.push(Direction { row: row as u16, harmonics: vec![f as u8] }),
            }
        }
    }

    /// Where the coefficients stand, tile by tile and harmonic by harmonic.
    pub(super) fn by_harmonics(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.places.len() as u32).collect();
        order.sort_unstable_by_key(|&i| self.places[i as usize]);
        order
    }

    /// Words of 32 bits of one block's codes.
    pub(super) fn words(&self) -> usize {
        self.bits.iter().map(|&k| usize::from(k)).sum::<usize>().div_ceil(32)
    }
}
