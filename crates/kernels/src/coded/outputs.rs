//! Outputs as coefficients, of one token: values are never rebuilt.

use crate::isa::{Isa, Operation};
use crate::simd::{Lanes, Simd, WIDTH};
use crate::trellis::{Pair, PairLevels, PairReader, PairWords};

/// Harmonics of a block at most.
const MOST_HARMONICS: usize = 64;

/// A direction of a tile of values and its coefficients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Direction {
    /// Its number in its tile.
    pub row: u16,
    /// Its pairs, of two neighbouring harmonics each.
    pub pairs: u16,
}

/// The codes of a tile of values, of one or two superblocks.
#[derive(Clone, Copy, Debug)]
pub struct ValueTile<'a> {
    /// All pairs of the side, direction by direction, tile by tile: two neighbouring harmonics of a direction. A pair's
    /// `place` is the first's number over two.
    pub pairs: &'a [Pair],
    /// The first pair of the tile.
    pub first: usize,
    /// Directions that have pairs.
    pub directions: &'a [Direction],
    /// What a pair's values are in.
    pub step: f32,
}

/// Spectra of attention weights as integers.
#[derive(Clone, Copy, Debug)]
pub struct WeightSpectra<'a> {
    /// `[H][S][B/2][16]`: two neighbouring harmonics in the halves of an integer.
    pub spectra: &'a [[i32; WIDTH]],
    /// `[H]`: what the integers are in.
    pub steps: &'a [f32],
}

/// Spectra of weights, `[H][S][B][16]`, as integers, `[H][S][B/2][16]`, and what those are in, `[H]`: fractions of the largest,
/// so large that sums of products with values' integers do not overflow. `cosines` are an orthonormal DCT-II,
/// `[B harmonics][B tokens]`.
///
/// `B` products a weight.
///
/// # Panics
/// If lengths do not fit.
pub fn weight_spectra(
    isa: Isa,
    weights: &[[f32; WIDTH]],
    cosines: &[f32],
    spectra: &mut [[i32; WIDTH]],
    steps: &mut [f32],
) {
    let block = cosines.len().isqrt();
    assert!(block.is_multiple_of(2) && block <= MOST_HARMONICS, "an even number of tokens a block, at most 64");
    assert!(2 * spectra.len() == weights.len() && weights.len().is_multiple_of(steps.len() * block), "weights of heads");
    isa.run(Spectra { weights, cosines, spectra, steps });
}

struct Spectra<'a> {
    weights: &'a [[f32; WIDTH]],
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
        // Both halves of a sum of products of every harmonic, of two superblocks, stay below 2^31.
        let most = (1 << 15) / block as i32 - 1;
        let heads = weights.chunks_exact(a_head).zip(spectra.chunks_exact_mut(a_head / 2));
        for ((weights, spectra), step) in heads.zip(steps) {
            // A harmonic is at most sqrt(B) times the largest weight.
            let largest = weights.iter().fold(V::Floats::splat(0.0), |most, x| V::Floats::load(x).max(most)).largest();
            *step = largest * (block as f32).sqrt() / most as f32;
            let scale = if *step > 0.0 { 1.0 / *step } else { 0.0 };
            for (weights, spectra) in weights.chunks_exact(block).zip(spectra.chunks_exact_mut(block / 2)) {
                for (cosines, out) in cosines.chunks_exact(2 * block).zip(spectra) {
                    let (first, second) = cosines.split_at(block);
                    let of = |cosines| V::to_integers(harmonic::<V>(cosines, weights).mul(V::Floats::splat(scale)));
                    let low = V::and(of(first), V::integers(0xFFFF));
                    V::store_integers(V::or(low, V::shift_left::<16>(of(second))), out);
                }
            }
        }
    }
}

#[inline(always)]
fn harmonic<V: Simd>(cosines: &[f32], tokens: &[[f32; WIDTH]]) -> V::Floats {
    let mut sums = [V::Floats::splat(0.0); 2];
    for (x, c) in tokens.chunks_exact(2).zip(cosines.chunks_exact(2)) {
        for i in 0..2 {
            sums[i] = V::Floats::load(&x[i]).mul_add(V::Floats::splat(c[i]), sums[i]);
        }
    }
    sums[0].add(sums[1])
}

/// Adds sums of weighted values, as coefficients of directions, to `out`, `[H][stride]`: the product of a spectrum of
/// weights with a spectrum of values is that of their tokens.
///
/// `H` products a coefficient.
///
/// # Panics
/// If lengths do not fit, or there are not one or two superblocks.
pub fn add_outputs(
    isa: Isa,
    tile: ValueTile<'_>,
    words: &[PairWords<'_>],
    levels: &PairLevels,
    weights: WeightSpectra<'_>,
    (out, stride): (&mut [f32], usize),
) {
    let heads = weights.steps.len();
    let last = tile.directions.iter().map(|d| usize::from(d.row)).max().unwrap_or(0);
    assert!(heads > 0 && last < stride && out.len() > (heads - 1) * stride + last, "outputs of {heads} heads");
    assert!(weights.spectra.len().is_multiple_of(heads * words.len()), "spectra of {heads} heads");
    match *words {
        [one] => isa.run_integers(Outputs { tile, words: [one], levels, weights, out, stride }),
        [one, other] => isa.run_integers(Outputs { tile, words: [one, other], levels, weights, out, stride }),
        _ => panic!("expected one or two superblocks, got {}", words.len()),
    }
}

struct Outputs<'a, const S: usize> {
    tile: ValueTile<'a>,
    words: [PairWords<'a>; S],
    levels: &'a PairLevels,
    weights: WeightSpectra<'a>,
    out: &'a mut [f32],
    stride: usize,
}

impl<const S: usize> Operation for Outputs<'_, S> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        let Outputs { tile, words, levels, weights, out, stride } = self;
        let mut reader = PairReader::<V, S>::new(words, levels, tile.first);
        let mut values = [[[0; WIDTH]; S]; MOST_HARMONICS / 2];
        let (heads, mut next) = (weights.steps.len(), tile.first);
        for direction in tile.directions {
            let pairs = &tile.pairs[next..next + usize::from(direction.pairs)];
            next += pairs.len();
            for (pair, values) in pairs.iter().zip(&mut values) {
                let both = reader.read(pair);
                for s in 0..S {
                    V::store_integers(both[s], &mut values[s]);
                }
            }
            let mut first = 0;
            while first < heads {
                let of = Some { pairs, values: &values, weights, first };
                let (sums, count) = match heads - first {
                    1 => (of.heads::<V, 1>(), 1),
                    2 => (of.heads::<V, 2>(), 2),
                    3 => (of.heads::<V, 3>(), 3),
                    4 | 5 => (of.heads::<V, 4>(), 4),
                    6..12 => (of.heads::<V, 6>(), 6),
                    _ => (of.heads::<V, 12>(), 12),
                };
                for (head, sum) in (first..).zip(sums).take(count) {
                    out[head * stride + usize::from(direction.row)] += sum * (weights.steps[head] * tile.step);
                }
                first += count;
            }
        }
    }
}

/// The pairs of a direction and the heads that meet them.
struct Some<'a, const S: usize> {
    pairs: &'a [Pair],
    values: &'a [[[i32; WIDTH]; S]; MOST_HARMONICS / 2],
    weights: WeightSpectra<'a>,
    first: usize,
}

impl<const S: usize> Some<'_, S> {
    /// Sums of products of `R` heads.
    #[inline(always)]
    fn heads<V: Simd, const R: usize>(&self) -> [f32; WIDTH] {
        let a_head = self.weights.spectra.len() / self.weights.steps.len();
        let spectra = &self.weights.spectra[self.first * a_head..(self.first + R) * a_head];
        let mut sums = [V::integers(0); R];
        for (pair, values) in self.pairs.iter().zip(self.values) {
            for s in 0..S {
                let at = s * (a_head / S) + usize::from(pair.place);
                for r in 0..R {
                    sums[r] = V::dot_vectors(sums[r], &spectra[r * a_head + at], &values[s]);
                }
            }
        }
        let mut all = [V::Floats::splat(0.0); WIDTH];
        for r in 0..R {
            all[r] = V::to_floats(sums[r]);
        }
        let mut out = [0.0; WIDTH];
        V::Floats::sums(all).store(&mut out);
        out
    }
}
