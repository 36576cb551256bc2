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
pub(super) struct Tile<'a> {
    /// The rows, counted from the first of the batch.
    pub(super) rows: Range<usize>,
    /// Whose they are.
    pub(super) segments: &'a [Segment],
}

/// All tiles of a batch; filled anew for each pass, in the same memory.
#[derive(Debug, Default)]
pub(super) struct Tiles {
    segments: Vec<Segment>,
    /// Where the segments of each tile end, and the rows.
    ends: Vec<(usize, usize)>,
}

impl Tiles {
    /// Cuts a batch of sequences with these numbers of tokens into tiles.
    pub(super) fn fill(&mut self, lengths: impl Iterator<Item = usize>) {
        self.segments.clear();
        self.ends.clear();
        let mut row = 0;
        for (sequence, length) in lengths.enumerate() {
            let mut token = 0;
            while token < length {
                let inside = row % TILE;
                let count = (length - token).min(TILE - inside);
                let (tokens, rows) = (token..token + count, inside..inside + count);
                self.segments.push(Segment { sequence, tokens, rows });
                token += count;
                row += count;
                if inside > 0 {
                    self.ends.pop();
                }
                self.ends.push((self.segments.len(), row));
            }
        }
    }

    /// The tiles, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Tile<'_>> {
        let begins = std::iter::once(&(0, 0)).chain(&self.ends);
        begins
            .zip(&self.ends)
            .map(|(begin, end)| Tile { rows: begin.1..end.1, segments: &self.segments[begin.0..end.0] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_is_in_one_tile_in_order() {
        let mut tiles = Tiles::default();
        for lengths in [vec![], vec![0], vec![1], vec![TILE], vec![TILE + 1, 3, 0, 2 * TILE], vec![1; 600], vec![2]] {
            tiles.fill(lengths.iter().copied());
            let total: usize = lengths.iter().sum();
            assert_eq!(tiles.iter().count(), total.div_ceil(TILE));
            let mut seen = vec![0; lengths.len()];
            let mut row = 0;
            for tile in tiles.iter() {
                assert_eq!(tile.rows.start, row);
                let mut inside = 0;
                for s in tile.segments {
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
