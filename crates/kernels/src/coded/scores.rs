//! Scores of one token's queries against a superblock.

use crate::isa::{Isa, Operation};
use crate::simd::{Lanes, Simd, WIDTH};

/// Query heads whose scores are held at once.
const MOST_HEADS: usize = 4;

/// Rotary pairs of one key/value head, rebuilt before RoPE, and the queries that meet them.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// `[2 P][B][16]`: the first dims of `P` pairs, then the second ones.
    pub channels: &'a [[f32; WIDTH]],
    /// `[H][2 P][16]`: queries as [`queries_of_lanes`] gives them, of these dims.
    pub queries: &'a [[f32; WIDTH]],
    /// `[B][P]`: cosine and sine of the angle that a pair has turned by at a token of its block.
    pub turns: &'a [(f32, f32)],
}

/// Queries as they meet blocks as if each began at position 0: a query of
/// one head, `[D]`, already turned back to the superblock's first token, becomes `[D][16]`, by the angles of the lanes' first
/// tokens, `[D/2][16]` cosines and sines.
///
/// # Panics
/// If lengths do not fit.
pub fn queries_of_lanes(isa: Isa, query: &[f32], lanes: &[[[f32; WIDTH]; 2]], out: &mut [[f32; WIDTH]]) {
    assert!(query.len() == 2 * lanes.len() && out.len() == query.len(), "a query of {} pairs", lanes.len());
    isa.run(Queries { query, lanes, out });
}

struct Queries<'a> {
    query: &'a [f32],
    lanes: &'a [[[f32; WIDTH]; 2]],
    out: &'a mut [[f32; WIDTH]],
}

impl Operation for Queries<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        let half = self.lanes.len();
        for (i, [cos, sin]) in self.lanes.iter().enumerate() {
            let (cos, sin) = (V::Floats::load(cos), V::Floats::load(sin));
            let (x, y) = (V::Floats::splat(self.query[i]), V::Floats::splat(self.query[half + i]));
            // Backwards.
            x.mul_add(cos, y.mul(sin)).store(&mut self.out[i]);
            x.neg_mul_add(sin, y.mul(cos)).store(&mut self.out[half + i]);
        }
    }
}

/// Adds what these pairs give to the scores, `[H][B][16]`.
///
/// `2 P B (2 + H)` products of vectors.
///
/// # Panics
/// If lengths do not fit.
pub fn add_scores(isa: Isa, segment: Segment<'_>, block: usize, scores: &mut [[f32; WIDTH]]) {
    let (pairs, heads) = (segment.turns.len() / block, scores.len() / block);
    assert!(segment.turns.len() == pairs * block && scores.len() == heads * block, "tokens of blocks of {block}");
    assert_eq!(segment.channels.len(), 2 * pairs * block, "channels of {pairs} pairs");
    assert_eq!(segment.queries.len(), 2 * pairs * heads, "queries of {heads} heads");
    isa.run(Scores { segment, block, scores });
}

struct Scores<'a> {
    segment: Segment<'a>,
    block: usize,
    scores: &'a mut [[f32; WIDTH]],
}

impl Operation for Scores<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        let Scores { segment, block, scores } = self;
        let heads = scores.len() / block;
        let mut first = 0;
        while first < heads {
            let count = MOST_HEADS.min(heads - first);
            match count {
                1 => some_heads::<V, 1>(&segment, block, first, scores),
                2 => some_heads::<V, 2>(&segment, block, first, scores),
                3 => some_heads::<V, 3>(&segment, block, first, scores),
                _ => some_heads::<V, MOST_HEADS>(&segment, block, first, scores),
            }
            first += count;
        }
    }
}

/// The scores of `R` heads from `first` on.
#[inline(always)]
fn some_heads<V: Simd, const R: usize>(
    segment: &Segment<'_>,
    block: usize,
    first: usize,
    scores: &mut [[f32; WIDTH]],
) {
    let pairs = segment.turns.len() / block;
    let queries = &segment.queries[first * 2 * pairs..(first + R) * 2 * pairs];
    let (low, high) = segment.channels.split_at(pairs * block);
    for t in 0..block {
        let mut sums = [V::Floats::splat(0.0); R];
        for r in 0..R {
            sums[r] = V::Floats::load(&scores[(first + r) * block + t]);
        }
        let turns = &segment.turns[t * pairs..(t + 1) * pairs];
        for (p, &(cos, sin)) in turns.iter().enumerate() {
            let (x, y) = (V::Floats::load(&low[p * block + t]), V::Floats::load(&high[p * block + t]));
            let (cos, sin) = (V::Floats::splat(cos), V::Floats::splat(sin));
            let (a, b) = (y.neg_mul_add(sin, x.mul(cos)), x.mul_add(sin, y.mul(cos)));
            for r in 0..R {
                let own = &queries[r * 2 * pairs..(r + 1) * 2 * pairs];
                sums[r] = V::Floats::load(&own[p]).mul_add(a, sums[r]);
                sums[r] = V::Floats::load(&own[pairs + p]).mul_add(b, sums[r]);
            }
        }
        for r in 0..R {
            sums[r].store(&mut scores[(first + r) * block + t]);
        }
    }
}

/// The largest of scores.
pub fn largest(isa: Isa, scores: &[[f32; WIDTH]]) -> f32 {
    isa.run(Largest { scores })
}

struct Largest<'a> {
    scores: &'a [[f32; WIDTH]],
}

impl Operation for Largest<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<V: Simd>(self) -> f32 {
        let mut largest = V::Floats::splat(f32::NEG_INFINITY);
        for x in self.scores {
            largest = V::Floats::load(x).max(largest);
        }
        largest.largest()
    }
}

/// Scores become `exp(score - largest)`; returns their sum.
pub fn exponentials(isa: Isa, scores: &mut [[f32; WIDTH]], largest: f32) -> f32 {
    isa.run(Exponentials { scores, largest })
}

struct Exponentials<'a> {
    scores: &'a mut [[f32; WIDTH]],
    largest: f32,
}

impl Operation for Exponentials<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<V: Simd>(self) -> f32 {
        let (largest, mut sum) = (V::Floats::splat(self.largest), V::Floats::splat(0.0));
        for x in self.scores {
            let weights = V::Floats::load(x).sub(largest).exp();
            weights.store(x);
            sum = sum.add(weights);
        }
        sum.sum()
    }
}
