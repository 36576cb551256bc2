//! Outputs as coefficients, of one token: values are never rebuilt.

use crate::isa::{Isa, Operation};
use crate::simd::{Aligned, Lanes, Simd, WIDTH};
use crate::trellis::{Pair, PairLevels, PairReader, PairWords};

/// Harmonics of a block at most.
const MOST_HARMONICS: usize = 64;
/// Directions that meet the same weights while those are in registers.
const DIRECTIONS: usize = 2;
/// Superblocks whose outputs are summed up together.
pub const TOGETHER: usize = 4;

/// A direction of a tile of values and its coefficients.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Direction {
    /// Its number in its tile.
    pub row: u16,
    /// Its pairs, of two neighbouring harmonics each.
    pub pairs: u16,
    /// What their values are in.
    pub step: f32,
}

/// The codes of a tile of values.
#[derive(Clone, Copy, Debug)]
pub struct ValueTile<'a> {
    /// All pairs of the side, direction by direction, tile by tile: two neighbouring harmonics of a direction. A pair's
    /// `place` is the first's number over two.
    pub pairs: &'a [Pair],
    /// The first pair of the tile.
    pub first: usize,
    /// Directions that have pairs.
    pub directions: &'a [Direction],
    /// Superblocks that there are, of [`TOGETHER`]; the words of others do not matter.
    pub superblocks: usize,
}

/// Spectra of attention weights as integers.
#[derive(Clone, Copy, Debug)]
pub struct WeightSpectra<'a> {
    /// `[4][B/2][H][16]`: two neighbouring harmonics in the halves of an integer.
    pub spectra: &'a [[i32; WIDTH]],
    /// `[H]`: what the integers are in.
    pub steps: &'a [f32],
    /// The heads that are meant, of all `H`.
    pub heads: (usize, usize),
}

/// Spectra of weights, `[H][4][B][16]`, which they replace, as integers, `[4][B/2][H][16]`, and what those are in, `[H]`: fractions of the largest,
/// so large that sums of products with values' integers do not overflow. `cosines` are an orthonormal DCT-II,
/// `[B harmonics][B tokens]`.
///
/// `B / 2` products a weight.
///
/// # Panics
/// If lengths do not fit.
pub fn weight_spectra(
    isa: Isa,
    weights: &mut [[f32; WIDTH]],
    cosines: &[f32],
    spectra: &mut [[i32; WIDTH]],
    steps: &mut [f32],
) {
    let block = cosines.len().isqrt();
    assert!(block.is_multiple_of(2) && block <= MOST_HARMONICS, "an even number of tokens a block, at most 64");
    assert!(
        2 * spectra.len() == weights.len() && weights.len().is_multiple_of(steps.len() * block),
        "weights of heads"
    );
    isa.run(Spectra { weights, cosines, spectra, steps });
}

struct Spectra<'a> {
    weights: &'a mut [[f32; WIDTH]],
    cosines: &'a [f32],
    spectra: &'a mut [[i32; WIDTH]],
    steps: &'a mut [f32],
}

impl Operation for Spectra<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        let Spectra { weights, cosines, spectra, steps } = self;
        let (block, a_head) = (cosines.len().isqrt(), weights.len() / steps.len());
        // A sum of products of every harmonic of all superblocks stays below 2^31.
        let most = (1 << 16) / (TOGETHER * block) as i32 - 1;
        let heads = steps.len();
        for (head, (weights, step)) in weights.chunks_exact_mut(a_head).zip(steps).enumerate() {
            let mut largest = V::Floats::splat(0.0);
            for weights in weights.chunks_exact_mut(block) {
                largest = to_harmonics::<V>(cosines, weights).max(largest);
            }
            *step = largest.largest() / most as f32;
            let scale = V::Floats::splat(if *step > 0.0 { 1.0 / *step } else { 0.0 });
            for (i, pair) in weights.as_chunks::<2>().0.iter().enumerate() {
                let [first, second] = pair.each_ref().map(|x| V::to_integers(V::Floats::load(x).mul(scale)));
                V::store_integers(V::halves(first, second), &mut spectra[i * heads + head]);
            }
        }
    }
}

/// Tokens of a block, `[B][16]`, to harmonics, in place; returns the largest sizes. Cosines of even harmonics are the same
/// from both ends of a block, those of odd ones the other way round: half of the products do.
#[inline(always)]
fn to_harmonics<V: Simd>(cosines: &[f32], block: &mut [[f32; WIDTH]]) -> V::Floats {
    let half = block.len() / 2;
    let mut folded = [[[0.0; WIDTH]; MOST_HARMONICS / 2]; 2];
    for t in 0..half {
        let (x, y) = (V::Floats::load(&block[t]), V::Floats::load(&block[2 * half - 1 - t]));
        x.add(y).store(&mut folded[0][t]);
        x.sub(y).store(&mut folded[1][t]);
    }
    let mut largest = V::Floats::splat(0.0);
    for (f, (cosines, to)) in cosines.chunks_exact(2 * half).zip(block).enumerate() {
        let mut sum = V::Floats::splat(0.0);
        for (x, &c) in folded[f % 2][..half].iter().zip(cosines) {
            sum = V::Floats::load(x).mul_add(V::Floats::splat(c), sum);
        }
        largest = largest.max(sum).max(V::Floats::splat(0.0).sub(sum));
        sum.store(to);
    }
    largest
}

/// Adds sums of weighted values, as coefficients of directions, to `out`, `[H][stride]`: the product of a spectrum of
/// weights with a spectrum of values is that of their tokens.
///
/// `H` products a coefficient.
///
/// # Panics
/// If lengths do not fit.
pub fn add_outputs(
    isa: Isa,
    tile: ValueTile<'_>,
    words: [PairWords<'_>; TOGETHER],
    levels: &PairLevels,
    weights: WeightSpectra<'_>,
    (out, stride): (&mut [f32], usize),
) {
    let heads = weights.heads.1 - weights.heads.0;
    let last = tile.directions.iter().map(|d| usize::from(d.row)).max().unwrap_or(0);
    assert!(heads > 0 && last < stride && out.len() > (heads - 1) * stride + last, "outputs of {heads} heads");
    assert!(weights.heads.1 <= weights.steps.len(), "steps of {} heads", weights.heads.1);
    assert!(weights.spectra.len().is_multiple_of(weights.steps.len() * TOGETHER), "spectra of all heads");
    isa.run_integers(Outputs { tile, words, levels, weights, out, stride });
}

struct Outputs<'a> {
    tile: ValueTile<'a>,
    words: [PairWords<'a>; TOGETHER],
    levels: &'a PairLevels,
    weights: WeightSpectra<'a>,
    out: &'a mut [f32],
    stride: usize,
}

impl Operation for Outputs<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        match self.tile.superblocks {
            ..=2 => self.of_superblocks::<V, 2>(),
            _ => self.of_superblocks::<V, TOGETHER>(),
        }
    }
}

impl Outputs<'_> {
    /// Outputs of the first `S` superblocks.
    #[inline(always)]
    fn of_superblocks<V: Simd, const S: usize>(self) {
        let Outputs { tile, words, levels, weights, out, stride } = self;
        let mut reader =
            PairReader::<V, S>::new(*words.first_chunk().expect("no more than there are"), levels, tile.first);
        let mut values = Aligned([[[[0; WIDTH]; MOST_HARMONICS / 2]; S]; DIRECTIONS]);
        let (from, heads) = (weights.heads.0, weights.heads.1 - weights.heads.0);
        let mut next = tile.first;
        for directions in tile.directions.chunks(DIRECTIONS) {
            let mut all_pairs: [&[Pair]; DIRECTIONS] = [&[]; DIRECTIONS];
            let mut harmonics = 0;
            for (direction, pairs) in directions.iter().zip(&mut all_pairs) {
                *pairs = &tile.pairs[next..next + usize::from(direction.pairs)];
                next += pairs.len();
                harmonics = pairs.last().map_or(0, |pair| usize::from(pair.place) + 1).max(harmonics);
            }
            let harmonics = harmonics.min(MOST_HARMONICS / 2);
            for (pairs, values) in all_pairs.into_iter().zip(&mut values.0) {
                // What is not there is 0, as another direction has it.
                if pairs.len() < harmonics {
                    values.iter_mut().for_each(|values| values[..harmonics].fill([0; WIDTH]));
                }
                for pair in pairs {
                    let all = reader.read(pair);
                    for s in 0..S {
                        V::store_integers(all[s], &mut values[s][usize::from(pair.place) % (MOST_HARMONICS / 2)]);
                    }
                }
            }
            let of = Some { directions, values: &values.0, harmonics, weights };
            let mut first = 0;
            while first < heads {
                let out = (&mut out[first * stride..], stride);
                first += match directions.len() {
                    DIRECTIONS => of.first_heads::<V, DIRECTIONS>(from + first, heads - first, out),
                    _ => of.first_heads::<V, 1>(from + first, heads - first, out),
                };
            }
        }
    }
}

/// The values of a few directions, and the weights that they meet.
struct Some<'a, const S: usize> {
    directions: &'a [Direction],
    /// By places.
    values: &'a [[[[i32; WIDTH]; MOST_HARMONICS / 2]; S]; DIRECTIONS],
    /// Places that there are.
    harmonics: usize,
    weights: WeightSpectra<'a>,
}

impl<const S: usize> Some<'_, S> {
    /// Adds sums of products of `D` directions with as many of `left` heads from `head` on as are treated at once; returns
    /// how many.
    #[inline(always)]
    fn first_heads<V: Simd, const D: usize>(&self, head: usize, left: usize, out: (&mut [f32], usize)) -> usize {
        match left {
            1 => self.heads::<V, D, 1>(head, out),
            2 => self.heads::<V, D, 2>(head, out),
            3 => self.heads::<V, D, 3>(head, out),
            4 | 5 => self.heads::<V, D, 4>(head, out),
            6..9 => self.heads::<V, D, 6>(head, out),
            9..12 => self.heads::<V, D, 9>(head, out),
            _ => self.heads::<V, D, 12>(head, out),
        }
    }

    /// Adds sums of products of `D` directions with `R` heads from `head` on; returns `R`.
    #[inline(always)]
    fn heads<V: Simd, const D: usize, const R: usize>(&self, head: usize, (out, stride): (&mut [f32], usize)) -> usize {
        let heads = self.weights.steps.len();
        let a_superblock = self.weights.spectra.len() / TOGETHER;
        let mut sums = [[V::integers(0); R]; D];
        for (s, spectra) in self.weights.spectra.chunks_exact(a_superblock).enumerate().take(S) {
            for (place, spectra) in spectra.chunks_exact(heads).enumerate().take(self.harmonics) {
                let spectra: &[[i32; WIDTH]; R] = spectra[head..].first_chunk().expect("heads of a harmonic");
                for r in 0..R {
                    for d in 0..D {
                        sums[d][r] = V::dot_vectors(sums[d][r], &self.values[d][s][place], &spectra[r]);
                    }
                }
            }
        }
        for (direction, sums) in self.directions.iter().zip(sums) {
            let mut all = [V::Floats::splat(0.0); WIDTH];
            for r in 0..R {
                all[r] = V::to_floats(sums[r]);
            }
            let mut totals = [0.0; WIDTH];
            V::Floats::sums(all).store(&mut totals);
            for r in 0..R {
                out[r * stride + usize::from(direction.row)] +=
                    totals[r] * (self.weights.steps[head + r] * direction.step);
            }
        }
        R
    }
}
