//! Outputs as coefficients: values are never rebuilt.

use crate::isa::{Isa, Operation};
use crate::simd::{Lanes, Simd, WIDTH};

/// Query heads whose sums are held at once.
const MOST_HEADS: usize = 6;

/// A direction's coefficients in a stream that goes direction by direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Direction {
    /// Its number in its tile.
    pub row: u16,
    /// The harmonics that it has coefficients at, in the stream's order.
    pub harmonics: Vec<u8>,
}

/// Attention weights of one token's query heads over a superblock.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    /// `[H][B][16]`.
    pub weights: &'a [[f32; WIDTH]],
    /// Orthonormal DCT-II, `[B harmonics][B tokens]`.
    pub cosines: &'a [f32],
    /// Tokens a block.
    pub block: usize,
}

/// Adds sums of weighted values, as coefficients of directions, to `out`, `[H][stride]`: the product of a spectrum of
/// weights with a spectrum of values is that of their tokens. `spectrum`, `[H][B][16]`, is overwritten.
///
/// `H` products a coefficient, and `H B B` for the spectrum.
///
/// # Panics
/// If lengths do not fit.
pub fn add_outputs(
    isa: Isa,
    weights: Weights<'_>,
    directions: &[Direction],
    coefficients: &[[f32; WIDTH]],
    spectrum: &mut [[f32; WIDTH]],
    (out, stride): (&mut [f32], usize),
) {
    let heads = weights.weights.len() / weights.block;
    assert_eq!(spectrum.len(), weights.weights.len(), "room for a spectrum of {heads} heads");
    let last = directions.iter().map(|d| usize::from(d.row)).max().unwrap_or(0);
    assert!(heads > 0 && last < stride && out.len() > (heads - 1) * stride + last, "outputs of {heads} heads");
    assert_eq!(coefficients.len(), directions.iter().map(|d| d.harmonics.len()).sum::<usize>(), "coefficients");
    isa.run(Outputs { weights, directions, coefficients, spectrum, out, stride });
}

struct Outputs<'a> {
    weights: Weights<'a>,
    directions: &'a [Direction],
    coefficients: &'a [[f32; WIDTH]],
    spectrum: &'a mut [[f32; WIDTH]],
    out: &'a mut [f32],
    stride: usize,
}

impl Operation for Outputs<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        let Outputs { weights, directions, coefficients, spectrum, out, stride } = self;
        let Weights { weights, cosines, block } = weights;
        for (weights, spectrum) in weights.chunks_exact(block).zip(spectrum.chunks_exact_mut(block)) {
            to_harmonics::<V>(cosines, weights, spectrum);
        }
        let heads = weights.len() / block;
        let mut first = 0;
        while first < heads {
            let count = MOST_HEADS.min(heads - first);
            let (spectrum, out) = (&spectrum[first * block..], &mut out[first * stride..]);
            match count {
                1 => some_heads::<V, 1>(directions, coefficients, spectrum, block, out, stride),
                2 => some_heads::<V, 2>(directions, coefficients, spectrum, block, out, stride),
                3 => some_heads::<V, 3>(directions, coefficients, spectrum, block, out, stride),
                4 => some_heads::<V, 4>(directions, coefficients, spectrum, block, out, stride),
                5 => some_heads::<V, 5>(directions, coefficients, spectrum, block, out, stride),
                _ => some_heads::<V, MOST_HEADS>(directions, coefficients, spectrum, block, out, stride),
            }
            first += count;
        }
    }
}

#[inline(always)]
fn to_harmonics<V: Simd>(cosines: &[f32], tokens: &[[f32; WIDTH]], harmonics: &mut [[f32; WIDTH]]) {
    for (to, cosines) in harmonics.iter_mut().zip(cosines.chunks_exact(tokens.len())) {
        let mut sum = V::Floats::splat(0.0);
        for (x, &c) in tokens.iter().zip(cosines) {
            sum = V::Floats::load(x).mul_add(V::Floats::splat(c), sum);
        }
        sum.store(to);
    }
}

#[inline(always)]
fn some_heads<V: Simd, const R: usize>(
    directions: &[Direction],
    coefficients: &[[f32; WIDTH]],
    spectrum: &[[f32; WIDTH]],
    block: usize,
    out: &mut [f32],
    stride: usize,
) {
    let mut rest = coefficients;
    for direction in directions {
        let (own, later) = rest.split_at(direction.harmonics.len());
        rest = later;
        let mut sums = [V::Floats::splat(0.0); WIDTH];
        for (x, &f) in own.iter().zip(&direction.harmonics) {
            let x = V::Floats::load(x);
            for r in 0..R {
                sums[r] = V::Floats::load(&spectrum[r * block + usize::from(f)]).mul_add(x, sums[r]);
            }
        }
        let mut all = [0.0; WIDTH];
        V::Floats::sums(sums).store(&mut all);
        for r in 0..R {
            out[r * stride + usize::from(direction.row)] += all[r];
        }
    }
}
