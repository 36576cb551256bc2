//! Attention of one token over the coded tokens of a layer, in place: keys are rebuilt a tile at a time in working memory
//! that stays in a core's caches, values not at all.
//!
//! Two superblocks at a time, so that what is the same for all blocks is read half as often.

use fourier_kv_kernels::attention::state::{AttnRows, AttnRowsMut};
use fourier_kv_kernels::coded::{
    CodedScratch, KeyTile, LANES, Segment, SideTables, ValueTile, WeightSpectra, add_outputs, add_scores, exponentials,
    key_channels, largest, queries_of_lanes, weight_spectra,
};
use fourier_kv_kernels::isa::Operation;
use fourier_kv_kernels::simd::Simd;
use fourier_kv_kernels::trellis::PairWords;

use super::attend::unweigh;
use super::coded::{Coded, KEYS, VALUES};
use super::layer::{Layer, Shared};
use super::tables;
use super::time::cosines;
use crate::rotary::Way;
use crate::{QueryRows, Workspace};

/// Superblocks a task. Pieces depend on how many tokens are held, not on how many threads there are: so do the sums'
/// roundings.
const PIECE: usize = 4;
/// Superblocks that are read together.
const TOGETHER: usize = 2;

/// A vector, one block a lane.
type Vector = [f32; LANES];

/// Merges attention of one token over the coded tokens into `out`, `[H]`.
pub(super) fn attend_one(
    coded: &Coded,
    layer: &Layer,
    shared: &Shared,
    queries: QueryRows<'_>,
    workspace: &Workspace,
    out: &mut AttnRows<f32>,
) {
    let shape = shared.shape();
    let pieces = coded.superblocks().div_ceil(PIECE);
    workspace.with_scratch(|kept| {
        let CodedScratch { tables, floats: [lanes, ..], singles: [scaled, rows, _], .. } = &mut kept.coded;
        tables::fill(&coded.sides, tables);
        scaled_queries(coded, shared, queries, &tables[KEYS], scaled);
        lanes.clear();
        lanes.extend((0..shape.head_dim / 2).flat_map(|pair| shared.rotary.vectors(pair, coded.block())));
        let attention = Attention {
            coded,
            layer,
            shared,
            workspace,
            tables,
            queries: scaled,
            lanes: lanes.as_chunks().0,
            cosines: &cosines(coded.block()),
        };
        let stride = attention.stride();
        // [pieces][H], with outputs as coefficients.
        kept.states.reshape(pieces * shape.heads, stride);
        let runs = kept.states.all().runs(shape.heads, shape.heads);
        workspace.team().for_parts(runs, |_, (piece, _, mut states)| {
            let first = piece * PIECE;
            let last = (first + PIECE).min(coded.superblocks());
            workspace.with_scratch(|scratch| {
                for first in (first..last).step_by(TOGETHER) {
                    attention.superblocks(first, TOGETHER.min(last - first), &mut scratch.coded, &mut states);
                }
            });
        });
        let mut parts = kept.states.all();
        attention.turn_back(&mut parts, rows, out);
    });
}

/// Queries `[H][D]`: scaled, divided by what keys were multiplied with, and in the steps of their tiles' channels.
fn scaled_queries(coded: &Coded, shared: &Shared, queries: QueryRows<'_>, keys: &SideTables, out: &mut Vec<f32>) {
    let (shape, tiles) = (shared.shape(), &coded.sides[KEYS].tiles);
    let dim = shape.head_dim;
    let scale = 1.0 / (dim as f32).sqrt();
    out.clear();
    out.extend_from_slice(queries.q);
    for (tile, step) in keys.steps.iter().enumerate() {
        for &channel in tiles.channels(tile) {
            let (channel, head) = (usize::from(channel), usize::from(channel) / dim);
            let factor = step * scale / coded.key_weights[channel];
            let heads = head * shape.group()..(head + 1) * shape.group();
            heads.for_each(|h| out[h * dim + channel % dim] *= factor);
        }
    }
}

/// One token's attention over one layer's codes.
struct Attention<'a> {
    coded: &'a Coded,
    layer: &'a Layer,
    shared: &'a Shared,
    workspace: &'a Workspace,
    tables: &'a [SideTables; 2],
    /// `[H][D]`.
    queries: &'a [f32],
    /// `[D/2]` cosines and sines of the lanes' first tokens.
    lanes: &'a [[Vector; 2]],
    cosines: &'a [f32],
}

impl Attention<'_> {
    /// Directions of values that a head has at most.
    fn stride(&self) -> usize {
        let side = &self.coded.sides[VALUES];
        (0..side.tiles.count()).map(|tile| self.place(tile) + side.kept(tile)).max().unwrap_or(0)
    }

    /// Where the directions of a tile of values stand among those of the same heads.
    fn place(&self, tile: usize) -> usize {
        let side = &self.coded.sides[VALUES];
        let head = |tile: usize| usize::from(side.tiles.channels(tile)[0]) / self.shared.shape().head_dim;
        (0..tile).filter(|&t| head(t) == head(tile)).map(|t| side.kept(t)).sum()
    }

    /// Attention over `count` superblocks, 1 or 2, from `first` on.
    fn superblocks(
        &self,
        first: usize,
        count: usize,
        scratch: &mut CodedScratch,
        states: &mut AttnRowsMut<'_, f32>,
    ) {
        let (heads, dim, block) = (self.shared.shape().heads, self.shared.shape().head_dim, self.coded.block());
        let CodedScratch { floats: [_, queries, channels, scores], integers, singles: [_, turned, steps], .. } = scratch;
        queries.resize(count * heads * dim, [0.0; LANES]);
        for (s, queries) in queries.chunks_exact_mut(heads * dim).enumerate() {
            self.queries_at(first + s, turned, queries);
        }
        scores.clear();
        scores.resize(count * heads * block, [0.0; LANES]);
        self.add_scores(first, count, queries, channels, scores);
        self.weigh(first, count, scores, states);
        integers.resize(scores.len() / 2, [0; LANES]);
        steps.resize(heads, 0.0);
        weight_spectra(self.workspace.isa(), scores, self.cosines, integers, steps);
        self.add_values(first, count, WeightSpectra { spectra: integers, steps }, states);
    }

    /// Queries as they meet the lanes of a superblock, `[H][D][16]`.
    fn queries_at(&self, superblock: usize, turned: &mut Vec<f32>, out: &mut [Vector]) {
        let dim = self.shared.shape().head_dim;
        let first = self.layer.sink_len() + superblock * LANES * self.coded.block();
        turned.clear();
        turned.extend_from_slice(self.queries);
        self.shared.rotary.turn_all(turned, first, Way::Back);
        for (query, vectors) in turned.chunks_exact(dim).zip(out.chunks_exact_mut(dim)) {
            queries_of_lanes(self.workspace.isa(), query, self.lanes, vectors);
        }
    }

    /// The words of one side.
    fn words(&self, superblock: usize, side: usize) -> PairWords<'_> {
        PairWords::new(self.coded.codes(superblock, side), self.tables[side].trellis_words)
    }

    /// Scores, `[H][count][B][16]`, of queries `[count][H][D][16]`.
    fn add_scores(
        &self,
        first: usize,
        count: usize,
        queries: &[Vector],
        channels: &mut Vec<Vector>,
        scores: &mut [Vector],
    ) {
        let (shape, block, isa) = (self.shared.shape(), self.coded.block(), self.workspace.isa());
        let (dim, group, levels) = (shape.head_dim, shape.group(), self.workspace.trellis().pairs());
        let (side, tables) = (&self.coded.sides[KEYS], &self.tables[KEYS]);
        let words = [self.words(first, KEYS), self.words(first + count - 1, KEYS)];
        for tile in 0..side.tiles.count() {
            let members = side.tiles.channels(tile);
            let meaning = KeyTile {
                pairs: &tables.pairs,
                starts: &tables.starts[tile * block..=(tile + 1) * block],
                directions: &tables.table[tables.table_starts[tile]..tables.table_starts[tile + 1]],
                mean: &tables.mean[side.tiles.start(tile)..][..members.len()],
                cosines: self.cosines,
            };
            channels.resize(count * members.len() * block, [0.0; LANES]);
            key_channels(isa, meaning, &words[..count], levels, channels);
            let (from, segment) = segment_of(members, dim);
            for (at, channels) in channels.chunks_exact(segment * block).enumerate() {
                let (s, members) = (at * segment / members.len(), &members[at * segment % members.len()..]);
                let head = usize::from(members[0]) / dim * group;
                let queries = &queries[(s * shape.heads + head) * dim..][..group * dim];
                let segment = Segment { channels, queries, turns: self.shared.rotary.turns(), dim, first: from };
                add_scores(isa, segment, block, &mut scores[(head * count + s) * block..], count * block);
            }
        }
    }

    /// Scores become weights, those of blocks that are not there nothing.
    fn weigh(&self, first: usize, count: usize, scores: &mut [Vector], states: &mut AttnRowsMut<'_, f32>) {
        let (block, isa) = (self.coded.block(), self.workspace.isa());
        for (head, scores) in scores.chunks_exact_mut(count * block).enumerate() {
            for (s, scores) in scores.chunks_exact_mut(block).enumerate() {
                let there = self.coded.tokens_of(first + s) / block;
                if there < LANES {
                    scores.iter_mut().for_each(|lanes| lanes[there..].fill(f32::NEG_INFINITY));
                }
            }
            let largest = states.raise(head, largest(isa, scores));
            *states.row(head).sum += exponentials(isa, scores, largest);
        }
    }

    /// Adds weighted values as coefficients.
    fn add_values(&self, first: usize, count: usize, weights: WeightSpectra<'_>, states: &mut AttnRowsMut<'_, f32>) {
        let (side, tables) = (&self.coded.sides[VALUES], &self.tables[VALUES]);
        let (stride, a_head) = (states.dim(), weights.spectra.len() / weights.steps.len());
        let words = [self.words(first, VALUES), self.words(first + count - 1, VALUES)];
        for tile in 0..side.tiles.count() {
            let heads = self.query_heads(tile);
            let [from, to] = [tables.tiles[tile], tables.tiles[tile + 1]];
            let place = self.place(tile);
            add_outputs(
                self.workspace.isa(),
                ValueTile {
                    pairs: &tables.pairs,
                    first: from[1] as usize,
                    directions: &tables.directions[from[0] as usize..to[0] as usize],
                    step: tables.steps[tile],
                },
                &words[..count],
                self.workspace.trellis().pairs(),
                WeightSpectra {
                    spectra: &weights.spectra[heads.start * a_head..heads.end * a_head],
                    steps: &weights.steps[heads.clone()],
                },
                (&mut states.outputs()[heads.start * stride + place..heads.end * stride], stride),
            );
        }
    }

    /// The query heads that a tile of values is for.
    fn query_heads(&self, tile: usize) -> std::ops::Range<usize> {
        let (channels, shape) = (self.coded.sides[VALUES].tiles.channels(tile), self.shared.shape());
        let head = |c: &u16| usize::from(*c) / shape.head_dim;
        let (first, last) = (head(&channels[0]), head(&channels[channels.len() - 1]));
        first * shape.group()..(last + 1) * shape.group()
    }

    /// Sums of coefficients of all pieces, `[pieces][H]`, become outputs, and are merged into `out`.
    fn turn_back(&self, parts: &mut AttnRowsMut<'_, f32>, rows: &mut Vec<f32>, out: &mut AttnRows<f32>) {
        let (side, shape) = (&self.coded.sides[VALUES], self.shared.shape());
        let (dim, roots, heads) = (shape.head_dim, self.shared.context.output_roots(), shape.heads);
        // The first piece's states take in all others.
        for row in heads..parts.count() {
            let part = parts.row(row);
            let (max, sum) = (*part.max, *part.sum);
            rows.clear();
            rows.extend_from_slice(part.out);
            parts.row(row % heads).absorb(max, sum, rows);
        }
        let mut out = out.all();
        rows.resize(2 * dim, 0.0);
        let (weighted, row) = rows.split_at_mut(dim);
        for head in 0..heads {
            let own = head / shape.group();
            let state = parts.row(head);
            weighted.fill(0.0);
            for tile in 0..side.tiles.count() {
                if self.query_heads(tile).contains(&head) {
                    self.turn_tile(tile, own, &state.out[self.place(tile)..], *state.sum, weighted);
                }
            }
            let inverse = roots.inverse(self.layer.index() * shape.kv_heads + own);
            unweigh(self.workspace.isa(), weighted, inverse, row);
            out.row(head).absorb(*state.max, *state.sum, row);
        }
    }

    /// What the coefficients of a tile give to the channels of a head.
    fn turn_tile(&self, tile: usize, head: usize, sums: &[f32], weight: f32, out: &mut [f32]) {
        let (side, dim) = (&self.coded.sides[VALUES], self.shared.shape().head_dim);
        let channels = side.tiles.channels(tile);
        let (bytes, units) = side.direction_bytes(tile);
        let is_own = |c: &u16| usize::from(*c) / dim == head;
        // Channels of one head follow one another.
        let first = channels.iter().position(is_own).unwrap_or(0);
        let own = channels[first..].iter().take_while(|c| is_own(c)).count();
        let mut row: Vec<f32> = side.mean[side.tiles.start(tile) + first..][..own].iter().map(|x| x * weight).collect();
        let rows = bytes.chunks_exact(channels.len()).map(|row| &row[first..first + own]);
        let factors = units.iter().zip(sums).map(|(unit, sum)| unit * sum);
        self.workspace.isa().run(Sum { rows: rows.zip(factors), out: &mut row });
        channels[first..].iter().zip(&row).for_each(|(&channel, x)| out[usize::from(channel) % dim] = *x);
    }
}

/// Adds rows of bytes times factors.
struct Sum<'a, I> {
    rows: I,
    out: &'a mut [f32],
}

impl<'a, I: Iterator<Item = (&'a [i8], f32)>> Operation for Sum<'_, I> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        for (row, factor) in self.rows {
            self.out.iter_mut().zip(row).for_each(|(o, &x)| *o = V::mul_add(factor, f32::from(x), *o));
        }
    }
}

/// The first rotary pair of a tile, and the channels of each of its heads.
fn segment_of(channels: &[u16], dim: usize) -> (usize, usize) {
    let first = usize::from(channels[0]);
    (first % dim, channels.iter().take_while(|&&c| usize::from(c) / dim == first / dim).count())
}
