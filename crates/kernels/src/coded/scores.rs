//! Scores of one token's queries against a superblock.

use super::keys::{RUN, padded};
use crate::isa::{Isa, Operation};
use crate::simd::{Lanes, Simd, WIDTH};

/// Query heads whose scores are held at once.
const MOST_HEADS: usize = 6;
/// Tokens whose scores are held at once: what queries are loaded for.
const TOKENS: usize = 2;

/// Rotary pairs of one key/value head, rebuilt before RoPE, and the queries that meet them.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// `[C/8][B][8][16]`: channels of a tile as [`super::key_channels`] gives them.
    pub channels: &'a [[f32; WIDTH]],
    /// The first channel that is meant: the first dims of `P` pairs stand there, then the second ones.
    pub from: usize,
    /// `P`.
    pub pairs: usize,
    /// `[P][H][2][16]`: queries of the head's group as [`queries_of_lanes`] gives them.
    pub queries: &'a [[f32; WIDTH]],
    /// `[B][D/2]`: cosine and sine of the angle that a pair has turned by at a token of its block.
    pub turns: &'a [(f32, f32)],
    /// `D`.
    pub dim: usize,
    /// The first of the `P` pairs.
    pub first: usize,
}

/// Queries as they meet blocks as if each began at position 0: `P` pairs of queries, `[H][D]`, already turned back to the
/// superblock's first token, become `[P][H][2][16]`, by the angles of the lanes' first tokens, `[P][16]` cosines and sines. The
/// first of the pairs is dims `first` and `first + D/2`.
///
/// # Panics
/// If lengths do not fit.
pub fn queries_of_lanes(
    isa: Isa,
    queries: &[f32],
    lanes: &[[[f32; WIDTH]; 2]],
    first: usize,
    out: &mut [[f32; WIDTH]],
) {
    let heads = out.len() / (2 * lanes.len());
    assert!(
        out.len() == 2 * heads * lanes.len() && queries.len().is_multiple_of(2 * heads),
        "queries of {heads} heads"
    );
    assert!(first + lanes.len() <= queries.len() / heads / 2, "{} pairs", lanes.len());
    isa.run(Queries { queries, lanes, first, out });
}

struct Queries<'a> {
    queries: &'a [f32],
    lanes: &'a [[[f32; WIDTH]; 2]],
    first: usize,
    out: &'a mut [[f32; WIDTH]],
}

impl Operation for Queries<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        let heads = self.out.len() / (2 * self.lanes.len());
        let dim = self.queries.len() / heads;
        let out = self.out.as_chunks_mut::<2>().0.chunks_exact_mut(heads);
        for ((i, [cos, sin]), out) in (self.first..).zip(self.lanes).zip(out) {
            let (cos, sin) = (V::Floats::load(cos), V::Floats::load(sin));
            for (query, [low, high]) in self.queries.chunks_exact(dim).zip(out) {
                let (x, y) = (V::Floats::splat(query[i]), V::Floats::splat(query[dim / 2 + i]));
                // Backwards.
                x.mul_add(cos, y.mul(sin)).store(low);
                x.neg_mul_add(sin, y.mul(cos)).store(high);
            }
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
    let (pairs, heads) = (segment.pairs, segment.queries.len() / (2 * segment.pairs));
    assert!(segment.channels.len() >= padded(segment.from + 2 * pairs) * block, "channels of {pairs} pairs");
    assert!(segment.turns.len() >= block * segment.dim / 2, "turns of {block} tokens");
    assert!(segment.first + pairs <= segment.dim / 2 && segment.queries.len() == 2 * heads * pairs, "pairs of a head");
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
        let heads = segment.queries.len() / (2 * segment.pairs);
        let mut first = 0;
        while first < heads {
            let count = MOST_HEADS.min(heads - first);
            let scores = &mut scores[first * stride..];
            let some = Some { segment: &segment, block, first, heads };
            match count {
                1 => some.heads::<V, 1>(scores, stride),
                2 => some.heads::<V, 2>(scores, stride),
                3 => some.heads::<V, 3>(scores, stride),
                4 => some.heads::<V, 4>(scores, stride),
                5 => some.heads::<V, 5>(scores, stride),
                _ => some.heads::<V, MOST_HEADS>(scores, stride),
            }
            first += count;
        }
    }
}

/// Some of the heads, from `first` on.
struct Some<'a> {
    segment: &'a Segment<'a>,
    block: usize,
    first: usize,
    heads: usize,
}

impl Some<'_> {
    /// The scores of `R` heads.
    #[inline(always)]
    fn heads<V: Simd, const R: usize>(&self, scores: &mut [[f32; WIDTH]], stride: usize) {
        let mut t = 0;
        while t + TOKENS <= self.block {
            self.tokens::<V, R, TOKENS>(t, scores, stride);
            t += TOKENS;
        }
        while t < self.block {
            self.tokens::<V, R, 1>(t, scores, stride);
            t += 1;
        }
    }

    /// The scores of `R` heads at `T` tokens from `first` on.
    #[inline(always)]
    fn tokens<V: Simd, const R: usize, const T: usize>(
        &self,
        first: usize,
        scores: &mut [[f32; WIDTH]],
        stride: usize,
    ) {
        let segment = self.segment;
        let mut sums = [[V::Floats::splat(0.0); T]; R];
        for r in 0..R {
            for t in 0..T {
                sums[r][t] = V::Floats::load(&scores[r * stride + first + t]);
            }
        }
        let mut p = 0;
        while p < segment.pairs {
            // Whole runs where pairs follow one another on both sides.
            let is_whole = [segment.from + p, segment.from + segment.pairs + p].iter().all(|c| c.is_multiple_of(RUN));
            if is_whole && p + RUN <= segment.pairs {
                self.pairs::<V, R, T, RUN>(p, first, &mut sums);
                p += RUN;
            } else {
                self.pairs::<V, R, T, 1>(p, first, &mut sums);
                p += 1;
            }
        }
        for r in 0..R {
            for t in 0..T {
                sums[r][t].store(&mut scores[r * stride + first + t]);
            }
        }
    }

    /// What `P` pairs from `p` on give.
    #[inline(always)]
    fn pairs<V: Simd, const R: usize, const T: usize, const P: usize>(
        &self,
        p: usize,
        first: usize,
        sums: &mut [[V::Floats; T]; R],
    ) {
        let (segment, pair) = (self.segment, self.segment.first + p);
        let (runs, queries) = (segment.channels.as_chunks::<RUN>().0, segment.queries.as_chunks::<2>().0);
        let row = |t: usize| -> (&[_; P], &[_; P], &[_; P]) {
            let at = |c: usize| {
                let run = &runs[c / RUN * self.block + first + t];
                run[c % RUN..].first_chunk().expect("channels of a run")
            };
            let turns = &segment.turns[(first + t) * segment.dim / 2 + pair..];
            let turns = turns.first_chunk().expect("turns of all pairs");
            (at(segment.from + p), at(segment.from + segment.pairs + p), turns)
        };
        let mut rows = [row(0); T];
        for t in 1..T {
            rows[t] = row(t);
        }
        for i in 0..P {
            let (mut a, mut b) = ([V::Floats::splat(0.0); T], [V::Floats::splat(0.0); T]);
            for t in 0..T {
                let (lows, highs, turns) = rows[t];
                let (cos, sin): (f32, f32) = turns[i];
                let (cos, sin) = (V::Floats::splat(cos), V::Floats::splat(sin));
                let (x, y) = (V::Floats::load(&lows[i]), V::Floats::load(&highs[i]));
                (a[t], b[t]) = (y.neg_mul_add(sin, x.mul(cos)), x.mul_add(sin, y.mul(cos)));
            }
            let own = &queries[(p + i) * self.heads + self.first..];
            let own: &[_; R] = own.first_chunk().expect("queries of all heads");
            for r in 0..R {
                let (q, k) = (V::Floats::load(&own[r][0]), V::Floats::load(&own[r][1]));
                for t in 0..T {
                    sums[r][t] = k.mul_add(b[t], q.mul_add(a[t], sums[r][t]));
                }
            }
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
