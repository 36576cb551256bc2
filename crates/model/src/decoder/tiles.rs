//! Which rows of a batch are computed together.

use std::ops::Range;

/// Rows a tile: enough for matrix products to run at full rate, few enough for a tile's activations to stay in the
/// caches. Caches are given a long prompt in tiles, too.
pub const TILE: usize = 512;

/// Some consecutive tokens of one sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// The sequence's place in the batch.
    pub(super) sequence: usize,
    /// The tokens, counted from the first that the batch has of this sequence.
    pub(super) tokens: Range<usize>,
    /// The rows they are, counted from the first of the tile.
    pub(super) rows: Range<usize>,
}

/// Up to [`TILE`] consecutive rows of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tile {
    /// The rows, counted from the first of the batch.
    pub(super) rows: Range<usize>,
    /// Whose they are.
    pub(super) segments: Vec<Segment>,
}

/// Cuts a batch of sequences with these numbers of tokens into tiles.
pub(super) fn tiles(lengths: &[usize]) -> Vec<Tile> {
    let mut all: Vec<Tile> = Vec::new();
    let mut row = 0;
    for (sequence, &length) in lengths.iter().enumerate() {
        let mut token = 0;
        while token < length {
            if row % TILE == 0 {
                all.push(Tile { rows: row..row, segments: Vec::new() });
            }
            let tile = all.last_mut().expect("one was begun at row 0");
            let count = (length - token).min(TILE - row % TILE);
            let first = tile.rows.len();
            tile.segments.push(Segment { sequence, tokens: token..token + count, rows: first..first + count });
            tile.rows.end += count;
            token += count;
            row += count;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_is_in_one_tile_in_order() {
        for lengths in [vec![], vec![0], vec![1], vec![TILE], vec![TILE + 1, 3, 0, 2 * TILE], vec![1; 600]] {
            let tiles = tiles(&lengths);
            let total: usize = lengths.iter().sum();
            assert_eq!(tiles.len(), total.div_ceil(TILE));
            let mut seen = vec![0; lengths.len()];
            let mut row = 0;
            for tile in &tiles {
                assert_eq!(tile.rows.start, row);
                let mut inside = 0;
                for s in &tile.segments {
                    assert_eq!((s.rows.start, s.tokens.start), (inside, seen[s.sequence]));
                    assert_eq!(s.rows.len(), s.tokens.len());
                    inside = s.rows.end;
                    seen[s.sequence] = s.tokens.end;
                }
                assert!(inside == tile.rows.len() && inside <= TILE);
                row = tile.rows.end;
            }
            assert_eq!(seen, lengths);
        }
    }
}
