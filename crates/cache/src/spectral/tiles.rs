//! Which channels are transformed together.

use super::settings::Span;
use crate::CacheShape;

/// The tiles of keys or values: runs of a permutation of all channels of a layer. Channel `g D + d` is dim `d` of head
/// `g`.
#[derive(Clone, Debug)]
pub(super) struct Tiles {
    /// The channels, tile after tile.
    channels: Vec<u16>,
    /// Where tiles begin, and where the last ends.
    starts: Vec<usize>,
}

impl Tiles {
    /// Tiles of a span; both dims of a rotary pair are in one tile.
    pub(super) fn new(span: Span, shape: &CacheShape) -> Self {
        let (dim, half) = (shape.head_dim, shape.head_dim / 2);
        let (dims, heads) = span.sizes(shape);
        let pairs = (dims / 2).max(1);
        let (mut channels, mut starts) = (Vec::with_capacity(shape.kv_heads * dim), vec![0]);
        for first in (0..shape.kv_heads).step_by(heads) {
            for from in (0..half).step_by(pairs) {
                for head in first..first + heads {
                    let part = from..half.min(from + pairs);
                    let dims = part.clone().chain(part.map(|i| half + i));
                    channels.extend(dims.map(|d| (head * dim + d) as u16));
                }
                starts.push(channels.len());
            }
        }
        starts.shrink_to_fit();
        Tiles { channels, starts }
    }

    /// Heap bytes.
    pub(super) fn bytes(&self) -> usize {
        crate::bytes::held(&self.channels) + crate::bytes::held(&self.starts)
    }

    /// Tiles.
    pub(super) fn count(&self) -> usize {
        self.starts.len() - 1
    }

    /// The channels of a tile.
    pub(super) fn channels(&self, tile: usize) -> &[u16] {
        &self.channels[self.starts[tile]..self.starts[tile + 1]]
    }

    /// The channels of all tiles, one after the other.
    pub(super) fn all(&self) -> &[u16] {
        &self.channels
    }

    /// Where a tile begins among them.
    pub(super) fn start(&self, tile: usize) -> usize {
        self.starts[tile]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_channel_is_in_one_tile_and_pairs_stay_together() {
        let shape = CacheShape { layers: 1, heads: 6, kv_heads: 3, head_dim: 40, rope_frequencies: vec![1.0; 20] };
        for (span, sizes) in [
            (Span::Dims(2), vec![2; 60]),
            (Span::Dims(32), vec![20; 6]),
            (Span::Dims(256), vec![40; 3]),
            (Span::Head, vec![40; 3]),
            (Span::Heads, vec![120]),
        ] {
            let tiles = Tiles::new(span, &shape);
            assert_eq!((0..tiles.count()).map(|t| tiles.channels(t).len()).collect::<Vec<_>>(), sizes, "{span}");
            let mut all = tiles.all().to_vec();
            all.sort_unstable();
            assert!(all.iter().copied().eq(0..120), "{span}");
            for tile in 0..tiles.count() {
                let channels = tiles.channels(tile);
                let partner = |c: u16| if c % 40 < 20 { c + 20 } else { c - 20 };
                assert!(channels.iter().all(|&c| channels.contains(&partner(c))), "{span}");
            }
        }
    }

    #[test]
    fn wide_layers_are_cut_between_heads() {
        let shape = CacheShape { layers: 1, heads: 32, kv_heads: 8, head_dim: 128, rope_frequencies: vec![1.0; 64] };
        let tiles = Tiles::new(Span::Heads, &shape);
        assert_eq!((tiles.count(), tiles.channels(1)[0]), (4, 256));
    }
}
