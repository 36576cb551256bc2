//! Scores of one token's queries against a superblock.

use crate::isa::{Isa, Operation};
use crate::simd::{Lanes, Simd, WIDTH};

/// Query heads whose scores are held at once.
const MOST_HEADS: usize = 6;
/// Tokens whose scores are held at once: what queries are loaded for.
const TOKENS: usize = 2;

/// Rotary pairs of one key/value head, rebuilt before RoPE, and the queries that meet them.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// `[2 P][B][16]`: the first dims of `P` pairs, then the second ones.
    pub channels: &'a [[f32; WIDTH]],
    /// `[H][D][16]`: queries of the head's group as [`queries_of_lanes`] gives them.
    pub queries: &'a [[f32; WIDTH]],
    /// `[B][D/2]`: cosine and sine of the angle that a pair has turned by at a token of its block.
    pub turns: &'a [(f32, f32)],
    /// `D`.
    pub dim: usize,
    /// The first of the `P` pairs.
    pub first: usize,
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

/// Adds what these pairs give to the scores, `[H][stride][16]` of which the first `B` vectors a head are the block's.
///
/// `2 P B (2 + H)` products of vectors.
///
/// # Panics
/// If lengths do not fit.
pub fn add_scores(isa: Isa, segment: Segment<'_>, block: usize, scores: &mut [[f32; WIDTH]], stride: usize) {
    let (pairs, heads) = (segment.channels.len() / (2 * block), segment.queries.len() / segment.dim);
    assert_eq!(segment.channels.len(), 2 * pairs * block, "channels of {pairs} pairs");
    assert!(segment.turns.len() >= block * segment.dim / 2, "turns of {block} tokens");
    assert!(segment.first + pairs <= segment.dim / 2 && segment.queries.len() == heads * segment.dim, "pairs of a head");
    assert!(block <= stride && scores.len() >= (heads - 1) * stride + block, "scores of {heads} heads");
    isa.run(Scores { segment, block, scores, stride });
}

struct Scores<'a> {
    segment: Segment<'a>,
    block: usize,
    scores: &'a mut [[f32; WIDTH]],
    stride: usize,
}

impl Operation for Scores<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        let Scores { segment, block, scores, stride } = self;
        let heads = segment.queries.len() / segment.dim;
        let mut first = 0;
        while first < heads {
            let count = MOST_HEADS.min(heads - first);
            let queries = &segment.queries[first * segment.dim..(first + count) * segment.dim];
            let (segment, scores) = (Segment { queries, ..segment }, &mut scores[first * stride..]);
            match count {
                1 => some_heads::<V, 1>(&segment, block, scores, stride),
                2 => some_heads::<V, 2>(&segment, block, scores, stride),
                3 => some_heads::<V, 3>(&segment, block, scores, stride),
                4 => some_heads::<V, 4>(&segment, block, scores, stride),
                5 => some_heads::<V, 5>(&segment, block, scores, stride),
                _ => some_heads::<V, MOST_HEADS>(&segment, block, scores, stride),
            }
            first += count;
        }
    }
}

/// The scores of `R` heads.
#[inline(always)]
fn some_heads<V: Simd, const R: usize>(segment: &Segment<'_>, block: usize, scores: &mut [[f32; WIDTH]], stride: usize) {
    let mut t = 0;
    while t + TOKENS <= block {
        some_tokens::<V, R, TOKENS>(segment, block, t, scores, stride);
        t += TOKENS;
    }
    while t < block {
        some_tokens::<V, R, 1>(segment, block, t, scores, stride);
        t += 1;
    }
}

/// The scores of `R` heads at `T` tokens from `first` on.
#[inline(always)]
fn some_tokens<V: Simd, const R: usize, const T: usize>(
    segment: &Segment<'_>,
    block: usize,
    first: usize,
    scores: &mut [[f32; WIDTH]],
    stride: usize,
) {
    let half = segment.dim / 2;
    let (low, high) = segment.channels.split_at(segment.channels.len() / 2);
    let pairs = low.len() / block;
    let mut sums = [[V::Floats::splat(0.0); T]; R];
    for r in 0..R {
        for t in 0..T {
            sums[r][t] = V::Floats::load(&scores[r * stride + first + t]);
        }
    }
    for p in 0..pairs {
        let pair = segment.first + p;
        let (mut a, mut b) = ([V::Floats::splat(0.0); T], [V::Floats::splat(0.0); T]);
        for t in 0..T {
            let (cos, sin) = segment.turns[(first + t) * half + pair];
            let (cos, sin) = (V::Floats::splat(cos), V::Floats::splat(sin));
            let at = p * block + first + t;
            let (x, y) = (V::Floats::load(&low[at]), V::Floats::load(&high[at]));
            (a[t], b[t]) = (y.neg_mul_add(sin, x.mul(cos)), x.mul_add(sin, y.mul(cos)));
        }
        for r in 0..R {
            let own = &segment.queries[r * segment.dim..(r + 1) * segment.dim];
            let (q, k) = (V::Floats::load(&own[pair]), V::Floats::load(&own[half + pair]));
            for t in 0..T {
                sums[r][t] = k.mul_add(b[t], q.mul_add(a[t], sums[r][t]));
            }
        }
    }
    for r in 0..R {
        for t in 0..T {
            sums[r][t].store(&mut scores[r * stride + first + t]);
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
