//! Keys of one token's attention: from codes to channels, a tile of two superblocks at a time, in integers as far as the
//! directions go.

use super::rebuild::to_tokens;
use crate::isa::{Isa, Operation};
use crate::simd::{Aligned, Lanes, Simd, WIDTH};
use crate::trellis::{Pair, PairLevels, PairReader, PairWords};

/// Channels that stand together: those whose sums are held at once, of each superblock.
pub const RUN: usize = 8;
/// Superblocks that are read together: what is the same for all blocks is loaded half as often.
pub const TWO: usize = 2;
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
    /// `[B]`: what a pair's values are in at each harmonic, in steps of the channels.
    pub steps: &'a [f32],
    /// Directions as bytes, two of a row in the halves of an integer, `[R / 2][n']` with `n'` as [`padded`] gives it.
    pub directions: &'a [i32],
    /// `[n]`, added to every token, in steps of the channels.
    pub mean: &'a [f32],
    /// Orthonormal DCT-II, `[B harmonics][B tokens]`.
    pub cosines: &'a [f32],
}

/// Columns of a table of directions of `n` channels, and channels that there must be room for.
pub fn padded(n: usize) -> usize {
    n.next_multiple_of(RUN)
}

/// Channels, `[2][n'/8][B][8][16]` with `n'` as [`padded`] gives it, of two superblocks.
///
/// `n / 2` products of pairs a coefficient, and `n B B / 3` for time.
///
/// # Panics
/// If lengths do not fit.
pub fn key_channels(
    isa: Isa,
    tile: KeyTile<'_>,
    words: [PairWords<'_>; TWO],
    levels: &PairLevels,
    out: &mut [[f32; WIDTH]],
) {
    let (n, block) = (tile.mean.len(), tile.starts.len() - 1);
    assert!((1..=MOST_CHANNELS).contains(&n) && tile.directions.len().is_multiple_of(padded(n)), "{n} channels");
    assert!(tile.cosines.len() == block * block && tile.steps.len() == block, "cosines of {block} tokens");
    assert_eq!(out.len(), TWO * padded(n) * block, "{n} channels of {block} tokens");
    isa.run_integers(Channels { tile, words, levels, out });
}

struct Channels<'a> {
    tile: KeyTile<'a>,
    words: [PairWords<'a>; TWO],
    levels: &'a PairLevels,
    out: &'a mut [[f32; WIDTH]],
}

impl Operation for Channels<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        let Channels { tile, words, levels, out } = self;
        let (n, block) = (tile.mean.len(), tile.starts.len() - 1);
        let mut reader = PairReader::<V, TWO>::new(words, levels, tile.starts[0] as usize);
        let mut values = Aligned([[[0; WIDTH]; TWO]; MOST_CHANNELS / 2]);
        let out = out.as_chunks_mut::<RUN>().0;
        let runs = n.div_ceil(RUN);
        for (f, ends) in tile.starts.windows(2).enumerate() {
            let pairs = &tile.pairs[ends[0] as usize..ends[1] as usize];
            reader.read_all(pairs, &mut values.0);
            let step = V::Floats::splat(tile.steps[f]);
            for run in 0..runs {
                let sums = products::<V>(&tile, pairs, &values.0, run * RUN);
                for s in 0..TWO {
                    let out = &mut out[(s * runs + run) * block + f];
                    for i in 0..RUN {
                        V::to_floats(sums[s][i]).mul(step).store(&mut out[i]);
                    }
                }
            }
        }
        // A constant is all in the first harmonic, `sqrt(B)` times as large.
        let share = (block as f32).sqrt();
        for (run, channels) in out.chunks_exact_mut(block).enumerate() {
            let means = &tile.mean[run % runs * RUN..];
            for i in 0..RUN {
                let mean = means.get(i).copied().unwrap_or(0.0) * share;
                V::Floats::load(&channels[0][i]).add(V::Floats::splat(mean)).store(&mut channels[0][i]);
                to_tokens::<V, RUN>(tile.cosines, channels, i);
            }
        }
    }
}

/// One harmonic of the channels from `from` on.
#[inline(always)]
fn products<V: Simd>(
    tile: &KeyTile<'_>,
    pairs: &[Pair],
    values: &[[[i32; WIDTH]; TWO]; MOST_CHANNELS / 2],
    from: usize,
) -> [[V::Integers; RUN]; TWO] {
    let columns = padded(tile.mean.len());
    let mut sums = [[V::integers(0); RUN]; TWO];
    for (pair, values) in pairs.iter().zip(values) {
        let row: &[i32; RUN] =
            tile.directions[usize::from(pair.place) * columns + from..].first_chunk().expect("a run of columns");
        for i in 0..RUN {
            for s in 0..TWO {
                sums[s][i] = V::dot_pairs(sums[s][i], &values[s], row[i]);
            }
        }
    }
    sums
}
