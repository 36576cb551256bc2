//! What errors of keys and values matter: rows are weighted so that errors of a size matter alike.

use fourier_kv_kernels::isa::{Isa, Operation};
use fourier_kv_kernels::simd::Simd;

use super::tiles::Tiles;
use crate::park::{ParkError, SectionReader, SectionWriter, Tag};
use crate::{CacheShape, KvRows};

const SEEN: Tag = *b"seen";
const ENERGY: Tag = *b"enrg";

/// Weights are no smaller than this part of the largest: what is silent in one prompt may be asked for in the next.
const LEAST_WEIGHT: f64 = 1e-3;

/// Energy of the queries that a layer has seen.
#[derive(Clone, Debug)]
pub(super) struct QueryEnergy {
    /// `[G][D/2]`: sums of squares over tokens, the group's query heads and both dims of a pair.
    sums: Vec<f64>,
    tokens: usize,
}

impl QueryEnergy {
    pub(super) fn new(shape: &CacheShape) -> Self {
        QueryEnergy { sums: vec![0.0; shape.kv_heads * shape.head_dim / 2], tokens: 0 }
    }

    /// Of sums over `tokens` tokens for each dim, `[G][D]`.
    pub(super) fn of(sums: &[f64], tokens: usize, dim: usize) -> Self {
        let pairs = sums.chunks_exact(dim).flat_map(|head| (0..dim / 2).map(|i| head[i] + head[dim / 2 + i]));
        QueryEnergy { sums: pairs.collect(), tokens }
    }

    /// Takes note of queries.
    pub(super) fn add(&mut self, rows: &KvRows<'_>, shape: &CacheShape) {
        let (dim, half) = (shape.head_dim, shape.head_dim / 2);
        for (row, q) in rows.q.chunks_exact(dim).enumerate() {
            let head = row / (shape.group() * rows.tokens);
            let sums = &mut self.sums[head * half..][..half];
            for ((sum, x), y) in sums.iter_mut().zip(&q[..half]).zip(&q[half..]) {
                *sum += f64::from(x * x + y * y);
            }
        }
        self.tokens = self.tokens.saturating_add(rows.tokens);
    }

    /// `[G D]`: what keys are multiplied with so that an error, squared, is that of a score. Rotary pairs have one weight:
    /// it does not matter whether it is applied before RoPE or after. If `all_alike`, all have the root of the mean square.
    pub(super) fn key_weights(&self, shape: &CacheShape, all_alike: bool) -> Vec<f32> {
        let half = shape.head_dim / 2;
        // Two dims a pair, and scores are divided by the root of `D`.
        let count = self.tokens.max(1) as f64 * (2 * shape.group() * shape.head_dim) as f64;
        let roots: Vec<f64> = self.sums.iter().map(|sum| (sum / count).sqrt()).collect();
        let roots = if all_alike { vec![mean_root(&roots); roots.len()] } else { roots };
        let largest = roots.iter().copied().filter(|x| x.is_finite()).fold(0.0, f64::max);
        let weight = |root: f64| match largest > 0.0 {
            true => root.max(largest * LEAST_WEIGHT).min(largest) as f32,
            false => 1.0,
        };
        let twice = roots.chunks_exact(half).flat_map(|head| head.iter().chain(head));
        twice.map(|&root| weight(root)).collect()
    }

    pub(super) fn park(&self, out: &mut SectionWriter<'_>) -> Result<(), ParkError> {
        out.counts(SEEN, &[self.tokens])?;
        out.numbers(ENERGY, &self.sums)
    }

    pub(super) fn unpark(&mut self, sections: &mut SectionReader<'_>) -> Result<(), ParkError> {
        [self.tokens] = sections.counts(SEEN)?;
        self.sums = sections.numbers(ENERGY, self.sums.len())?;
        Ok(())
    }

    pub(super) fn bytes(&self) -> usize {
        crate::bytes::held(&self.sums)
    }
}

/// The root of the mean square.
fn mean_root(roots: &[f64]) -> f64 {
    (roots.iter().map(|root| root * root).sum::<f64>() / roots.len().max(1) as f64).sqrt()
}

/// Writes key rows of one head, `[n][D]`, into weighted rows, `[n][C]`, in the order of channels.
pub(super) fn weigh_keys(rows: &[f32], head: usize, weights: &[f32], out: &mut [f32]) {
    let (channels, dim) = (weights.len(), dim_of(rows, weights.len(), out));
    let weights = &weights[head * dim..][..dim];
    for (row, out) in rows.chunks_exact(dim).zip(out.chunks_exact_mut(channels)) {
        let to = &mut out[head * dim..][..dim];
        to.iter_mut().zip(row).zip(weights).for_each(|((to, x), w)| *to = x * w);
    }
}

/// The same for value rows, by the root of the head's Gram matrix, `[D][D]`.
pub(super) fn weigh_values(isa: Isa, rows: &[f32], head: usize, root: &[f32], out: &mut [f32]) {
    isa.run(WeighValues { rows, head, root, out });
}

struct WeighValues<'a> {
    rows: &'a [f32],
    head: usize,
    root: &'a [f32],
    out: &'a mut [f32],
}

impl Operation for WeighValues<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        let dim = self.root.len().isqrt();
        let channels = self.out.len() / (self.rows.len() / dim).max(1);
        for (row, out) in self.rows.chunks_exact(dim).zip(self.out.chunks_exact_mut(channels.max(1))) {
            let to = &mut out[self.head * dim..][..dim];
            to.fill(0.0);
            for (x, root) in row.iter().zip(self.root.chunks_exact(dim)) {
                to.iter_mut().zip(root).for_each(|(to, r)| *to += x * r);
            }
        }
    }
}

fn dim_of(rows: &[f32], channels: usize, out: &[f32]) -> usize {
    rows.len() / (out.len() / channels)
}

/// Puts the channels of rows, `[n][C]`, into the order of tiles.
pub(super) fn to_tile_order(tiles: &Tiles, rows: &mut [f32]) {
    let mut spare = Vec::with_capacity(tiles.all().len());
    for row in rows.chunks_exact_mut(tiles.all().len()) {
        spare.clear();
        spare.extend_from_slice(row);
        row.iter_mut().zip(tiles.all()).for_each(|(to, &c)| *to = spare[usize::from(c)]);
    }
}
