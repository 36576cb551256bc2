//! Rotary position encoding, and the one place where the order of rotary pairs is made the same for all files.

use crate::isa::{Isa, Operation};
use crate::simd::Simd;

/// How a projection's output orders the two dims of a rotary pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RopePairs {
    /// Pair `i` is the dims `2 i` and `2 i + 1` (GGUF files of the `llama` family).
    Interleaved,
    /// Pair `i` is the dims `i` and `i + D/2` (safetensors, and every other family).
    Halves,
}

/// Cosines and sines of consecutive positions, `[position][D/2]` each.
#[derive(Clone, Debug, Default)]
pub struct Rotations {
    pairs: usize,
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl Rotations {
    /// Rotations of `count` positions from `first` on, by `frequencies` radians a token for each pair.
    ///
    /// Angles are computed in `f64`: at position 100,000 an `f32` angle would be off by 0.004 radians.
    pub fn new(frequencies: &[f64], first: usize, count: usize) -> Self {
        let mut rotations = Rotations::default();
        rotations.fill(frequencies, first, count);
        rotations
    }

    /// The same, in the memory that it has.
    pub fn fill(&mut self, frequencies: &[f64], first: usize, count: usize) {
        self.pairs = frequencies.len();
        self.cos.clear();
        self.sin.clear();
        for position in first..first + count {
            for frequency in frequencies {
                let (sin, cos) = (position as f64 * frequency).sin_cos();
                self.cos.push(cos as f32);
                self.sin.push(sin as f32);
            }
        }
    }

    fn row(&self, position: usize) -> (&[f32], &[f32]) {
        let at = position * self.pairs..(position + 1) * self.pairs;
        (&self.cos[at.clone()], &self.sin[at])
    }
}

/// What [`rotate_heads`] reads: projections of some tokens.
#[derive(Clone, Copy, Debug)]
pub struct Projected<'a> {
    /// `[tokens][heads][D]`.
    pub rows: &'a [f32],
    /// Heads.
    pub heads: usize,
    /// Head dims `D`.
    pub dim: usize,
}

impl<'a> Projected<'a> {
    /// The number of tokens.
    pub fn tokens(&self) -> usize {
        self.rows.len() / (self.heads * self.dim)
    }

    /// One head of one token, `[D]`.
    fn row(&self, token: usize, head: usize) -> &'a [f32] {
        &self.rows[(token * self.heads + head) * self.dim..][..self.dim]
    }
}

/// How tokens are rotated: token `j` gets the rotation `first + j` of `rotations`.
#[derive(Clone, Copy, Debug)]
pub struct Rotation<'a> {
    /// How the projection orders the dims of a pair.
    pub pairs: RopePairs,
    /// The rotations.
    pub rotations: &'a Rotations,
    /// That of the first token.
    pub first: usize,
}

/// Rotates projected queries or keys and orders them head by head: `out` is `[heads][tokens][D]`, pairs in halves, of
/// the heads from `first_head` on.
pub fn rotate_heads(isa: Isa, from: Projected<'_>, rotation: Rotation<'_>, first_head: usize, out: &mut [f32]) {
    isa.run(RotateHeads { from, rotation, first_head, out });
}

/// Orders projected values head by head: `out` is `[heads][tokens][D]`, of the heads from `first_head` on.
pub fn order_heads(from: Projected<'_>, first_head: usize, out: &mut [f32]) {
    let tokens = from.tokens();
    for (i, out) in out.chunks_exact_mut(from.dim).enumerate() {
        out.copy_from_slice(from.row(i % tokens, first_head + i / tokens));
    }
}

/// The inverse of [`order_heads`]: from `[heads][tokens][D]` to `[tokens][heads][D]`, the tokens from `first_token` on.
pub fn order_tokens(from: &[f32], heads: usize, dim: usize, first_token: usize, out: &mut [f32]) {
    let tokens = from.len() / (heads * dim);
    for (i, out) in out.chunks_exact_mut(dim).enumerate() {
        let (token, head) = (first_token + i / heads, i % heads);
        out.copy_from_slice(&from[(head * tokens + token) * dim..][..dim]);
    }
}

struct RotateHeads<'a> {
    from: Projected<'a>,
    rotation: Rotation<'a>,
    first_head: usize,
    out: &'a mut [f32],
}

impl Operation for RotateHeads<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        let RotateHeads { from, rotation, first_head, out } = self;
        let (tokens, dim) = (from.tokens(), from.dim);
        for (i, out) in out.chunks_exact_mut(dim).enumerate() {
            let row = from.row(i % tokens, first_head + i / tokens);
            let (cos, sin) = rotation.rotations.row(rotation.first + i % tokens);
            let (low, high) = out.split_at_mut(dim / 2);
            for i in 0..dim / 2 {
                let (x, y) = match rotation.pairs {
                    RopePairs::Halves => (row[i], row[i + dim / 2]),
                    RopePairs::Interleaved => (row[2 * i], row[2 * i + 1]),
                };
                low[i] = x * cos[i] - y * sin[i];
                high[i] = x * sin[i] + y * cos[i];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_orders_of_pairs_give_the_same_rotation() {
        let (heads, dim, tokens) = (3, 8, 5);
        let frequencies: Vec<f64> = (0..dim / 2).map(|i| 10f64.powi(-(i as i32))).collect();
        let rotations = Rotations::new(&frequencies, 90, 20);
        let halves: Vec<f32> = (0..tokens * heads * dim).map(|i| (i as f32).sin()).collect();
        let mut interleaved = halves.clone();
        for (a, b) in halves.chunks_exact(dim).zip(interleaved.chunks_exact_mut(dim)) {
            for i in 0..dim / 2 {
                b[2 * i] = a[i];
                b[2 * i + 1] = a[i + dim / 2];
            }
        }
        for isa in Isa::available() {
            let (mut a, mut b) = (vec![0.0; halves.len()], vec![0.0; halves.len()]);
            // All heads at once, and one by one.
            let rotation = |pairs| Rotation { pairs, rotations: &rotations, first: 3 };
            rotate_heads(isa, Projected { rows: &halves, heads, dim }, rotation(RopePairs::Halves), 0, &mut a);
            for (head, out) in b.chunks_exact_mut(tokens * dim).enumerate() {
                let from = Projected { rows: &interleaved, heads, dim };
                rotate_heads(isa, from, rotation(RopePairs::Interleaved), head, out);
            }
            assert_eq!(a, b);
            let (head, token, pair) = (2, 4, 1);
            let (x, y) =
                (halves[(token * heads + head) * dim + pair], halves[(token * heads + head) * dim + pair + dim / 2]);
            let angle = 97.0 * frequencies[pair];
            let expected = f64::from(x) * angle.cos() - f64::from(y) * angle.sin();
            assert!((f64::from(a[(head * tokens + token) * dim + pair]) - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn orders_are_inverse() {
        let (heads, dim, tokens) = (3, 4, 5);
        let rows: Vec<f32> = (0..tokens * heads * dim).map(|i| i as f32).collect();
        let (mut by_head, mut back) = (vec![0.0; rows.len()], vec![0.0; rows.len()]);
        let (first, others) = by_head.split_at_mut(tokens * dim);
        order_heads(Projected { rows: &rows, heads, dim }, 0, first);
        order_heads(Projected { rows: &rows, heads, dim }, 1, others);
        let (first, others) = back.split_at_mut(2 * heads * dim);
        order_tokens(&by_head, heads, dim, 0, first);
        order_tokens(&by_head, heads, dim, 2, others);
        assert_eq!(rows, back);
        assert_eq!(by_head[tokens * dim], dim as f32, "head 1 of token 0 follows all of head 0");
    }
}
