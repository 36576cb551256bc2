//! Keys of one token's attention: from codes to channels, a tile of one or two superblocks at a time, in integers as far
//! as the directions go.

use super::rebuild::to_tokens;
use crate::isa::{Isa, Operation};
use crate::simd::{Lanes, Simd, WIDTH};
use crate::trellis::{Pair, PairLevels, PairReader, PairWords};

/// Channels whose sums are held at once, of each superblock.
const RUN: usize = 8;
/// The most channels of a tile.
pub(super) const MOST_CHANNELS: usize = 256;

/// What the codes of a tile of keys mean.
#[derive(Clone, Copy, Debug)]
pub struct KeyTile<'a> {
    /// All pairs of the side: two directions at one harmonic, harmonic by harmonic, tile by tile. A pair's `place` is its
    /// row of `directions`.
    pub pairs: &'a [Pair],
    /// Where the pairs of each harmonic of the tile begin, and where the last end, `[B + 1]`.
    pub starts: &'a [u32],
    /// Directions as bytes, two of a row in the halves of an integer, `[R / 2][n']` with `n'` as [`padded`] gives it.
    pub directions: &'a [i32],
    /// `[n]`, added to every token, in steps of the channels.
    pub mean: &'a [f32],
    /// Orthonormal DCT-II, `[B harmonics][B tokens]`.
    pub cosines: &'a [f32],
}

/// Columns of a table of directions of `n` channels.
pub fn padded(n: usize) -> usize {
    n.next_multiple_of(RUN)
}

/// Channels, `[S][n][B][16]`, of one or two superblocks, in steps of a pair's values times a byte of directions.
///
/// `n / 2` products of pairs a coefficient, and `n B B / 3` for time.
///
/// # Panics
/// If lengths do not fit, or there are not one or two superblocks.
pub fn key_channels(
    isa: Isa,
    tile: KeyTile<'_>,
    words: &[PairWords<'_>],
    levels: &PairLevels,
    out: &mut [[f32; WIDTH]],
) {
    let (n, block) = (tile.mean.len(), tile.starts.len() - 1);
    assert!((1..=MOST_CHANNELS).contains(&n) && tile.directions.len().is_multiple_of(padded(n)), "{n} channels");
    assert!(tile.cosines.len() == block * block, "cosines of {block} tokens");
    assert_eq!(out.len(), words.len() * n * block, "{n} channels of {block} tokens");
    match *words {
        [one] => isa.run_integers(Channels { tile, words: [one], levels, out }),
        [one, other] => isa.run_integers(Channels { tile, words: [one, other], levels, out }),
        _ => panic!("expected one or two superblocks, got {}", words.len()),
    }
}

struct Channels<'a, const S: usize> {
    tile: KeyTile<'a>,
    words: [PairWords<'a>; S],
    levels: &'a PairLevels,
    out: &'a mut [[f32; WIDTH]],
}

impl<const S: usize> Operation for Channels<'_, S> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        let Channels { tile, words, levels, out } = self;
        let (n, block) = (tile.mean.len(), tile.starts.len() - 1);
        let mut reader = PairReader::<V, S>::new(words, levels, tile.starts[0] as usize);
        let mut values = [[[0; WIDTH]; S]; MOST_CHANNELS / 2];
        for (f, ends) in tile.starts.windows(2).enumerate() {
            let pairs = &tile.pairs[ends[0] as usize..ends[1] as usize];
            for (pair, values) in pairs.iter().zip(&mut values) {
                let both = reader.read(pair);
                for s in 0..S {
                    V::store_integers(both[s], &mut values[s]);
                }
            }
            // A constant is all in the first harmonic, `sqrt(B)` times as large.
            let share = if f == 0 { (block as f32).sqrt() } else { 0.0 };
            for from in (0..n).step_by(RUN) {
                let sums = products::<V, S>(&tile, pairs, &values, from);
                for (i, mean) in tile.mean[from..].iter().enumerate().take(RUN) {
                    for s in 0..S {
                        let sum = V::to_floats(sums[s][i]).add(V::Floats::splat(share * mean));
                        sum.store(&mut out[(s * n + from + i) * block + f]);
                    }
                }
            }
        }
        for channel in out.chunks_exact_mut(block) {
            to_tokens::<V>(tile.cosines, channel);
        }
    }
}

/// One harmonic of the channels from `from` on.
#[inline(always)]
fn products<V: Simd, const S: usize>(
    tile: &KeyTile<'_>,
    pairs: &[Pair],
    values: &[[[i32; WIDTH]; S]; MOST_CHANNELS / 2],
    from: usize,
) -> [[V::Integers; RUN]; S] {
    let columns = padded(tile.mean.len());
    let mut sums = [[V::integers(0); RUN]; S];
    for (pair, values) in pairs.iter().zip(values) {
        let row = &tile.directions[usize::from(pair.place) * columns + from..][..RUN];
        for i in 0..RUN {
            for s in 0..S {
                sums[s][i] = V::dot_pairs(sums[s][i], &values[s], row[i]);
            }
        }
    }
    sums
}
