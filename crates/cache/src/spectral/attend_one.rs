//! Attention of one token over the coded tokens of a layer, in place: keys are rebuilt a tile at a time in working memory
//! that stays in a core's caches, values not at all.
//!
//! Keys of two superblocks at a time, and values of four, so that what is the same for all blocks is read less often.

use fourier_kv_kernels::attention::state::{AttnRows, AttnRowsMut};
use fourier_kv_kernels::coded::{
    CodedScratch, LANES, SideTables, TOGETHER, TWO, ValueTile, WeightSpectra, add_outputs, exponentials, largest,
    weight_spectra,
};
use fourier_kv_kernels::isa::Operation;
use fourier_kv_kernels::parts::Chunks;
use fourier_kv_kernels::simd::{CacheLine, Simd};
use fourier_kv_kernels::trellis::PairWords;
use fourier_kv_kernels::workspace::Scratch;

use super::attend::unweigh;
use super::coded::{Coded, KEYS, VALUES};
use super::key_scores::{KeyVectors, scaled_queries};
use super::layer::{Layer, Shared};
use super::tables;
use crate::{QueryRows, Workspace};

/// A vector, one block a lane.
pub(super) type Vector = [f32; LANES];

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
    // Pieces depend on how many tokens are held, not on how many threads there are: so do the sums' roundings.
    let pieces = coded.superblocks().div_ceil(TOGETHER);
    workspace.with_scratch(|kept| {
        let CodedScratch { tables, singles: [scaled, ..], .. } = &mut kept.coded;
        workspace.team().for_parts(Chunks::new(tables, 1), |side, tables| match side {
            KEYS => tables::of_keys(&coded.sides[KEYS], shared, &mut tables[0]),
            _ => tables::of_values(&coded.sides[VALUES], &mut tables[0]),
        });
        scaled_queries(coded, shared, queries, &tables[KEYS], scaled);
        let attention = Attention { coded, layer, shared, workspace, tables, queries: scaled };
        let stride = attention.stride();
        // [pieces][H], with outputs as coefficients.
        kept.states.reshape(pieces * shape.heads, stride);
        let runs = kept.states.all().runs(shape.heads, shape.heads);
        workspace.team().for_parts(runs, |_, (piece, _, mut states)| {
            workspace.with_scratch(|scratch| attention.piece(piece * TOGETHER, &mut scratch.coded, &mut states));
        });
        let states = &kept.states;
        workspace.team().for_parts(out.all().runs(1, 1), |_, (head, _, mut out)| {
            workspace.with_scratch(|scratch| attention.turn_back(head, states, scratch, &mut out));
        });
    });
}

/// One token's attention over one layer's codes.
pub(super) struct Attention<'a> {
    pub(super) coded: &'a Coded,
    layer: &'a Layer,
    pub(super) shared: &'a Shared,
    pub(super) workspace: &'a Workspace,
    pub(super) tables: &'a [SideTables; 2],
    /// `[H][D]`.
    queries: &'a [f32],
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

    /// Attention over up to four superblocks from `first` on.
    fn piece(&self, first: usize, scratch: &mut CodedScratch, states: &mut AttnRowsMut<'_, f32>) {
        let (heads, dim, block) = (self.shared.shape().heads, self.shared.shape().head_dim, self.coded.block());
        let CodedScratch { vectors, singles: [_, turned, steps, nodes], .. } = scratch;
        let [queries, channels, slow, work, scores, spectra] = vectors;
        let mut keys = KeyVectors { queries, channels, slow, work, nodes };
        let scores = CacheLine::floats_mut(CacheLine::some(scores, TOGETHER * heads * block));
        scores.fill([0.0; LANES]);
        let last = self.coded.superblocks().min(first + TOGETHER);
        self.turned(first, last, turned);
        for from in (first..last).step_by(TWO) {
            let turned = &turned[(from - first) * heads * dim..];
            self.add_scores((from, TWO.min(last - from)), turned, &mut keys, &mut scores[(from - first) * block..]);
        }
        self.weigh(first, scores, states);
        let spectra = CacheLine::integers_mut(CacheLine::some(spectra, scores.len() / 2));
        steps.resize(heads, 0.0);
        weight_spectra(self.workspace.isa(), scores, &self.shared.cosines, spectra, steps);
        self.add_values(first, spectra, steps, states);
    }

    /// Queries turned back to the first tokens of superblocks, `[superblocks][H][D]`.
    fn turned(&self, first: usize, last: usize, out: &mut Vec<f32>) {
        let superblock = LANES * self.coded.block();
        let positions = (self.layer.sink_len() + first * superblock, superblock, last - first);
        self.shared.rotary.turned_back(self.workspace.isa(), self.queries, positions, out);
    }

    /// The words of superblocks from `first` on, of the last one again where there are not as many.
    pub(super) fn words<const S: usize>(&self, first: usize, side: usize) -> [PairWords<'_>; S] {
        let last = self.coded.superblocks() - 1;
        std::array::from_fn(|s| {
            PairWords::new(self.coded.codes((first + s).min(last), side), self.tables[side].trellis_words)
        })
    }

    /// Scores become weights, those of blocks that are not there nothing.
    fn weigh(&self, first: usize, scores: &mut [Vector], states: &mut AttnRowsMut<'_, f32>) {
        let (block, isa) = (self.coded.block(), self.workspace.isa());
        for (head, scores) in scores.chunks_exact_mut(TOGETHER * block).enumerate() {
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
    fn add_values(&self, first: usize, spectra: &[[i32; LANES]], steps: &[f32], states: &mut AttnRowsMut<'_, f32>) {
        let (side, tables) = (&self.coded.sides[VALUES], &self.tables[VALUES]);
        let (stride, words) = (states.dim(), self.words(first, VALUES));
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
                    superblocks: self.coded.superblocks() - first,
                },
                words,
                self.workspace.trellis().pairs(),
                WeightSpectra { spectra, steps, heads: (heads.start, heads.end) },
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

    /// One head's sums of coefficients of all pieces, `[pieces][H]`, become an output, which is merged into `out`.
    fn turn_back(&self, head: usize, parts: &AttnRows<f32>, scratch: &mut Scratch, out: &mut AttnRowsMut<'_, f32>) {
        let (side, shape) = (&self.coded.sides[VALUES], self.shared.shape());
        let (dim, roots) = (shape.head_dim, self.shared.context.output_roots());
        scratch.states.reshape(1, parts.dim());
        let mut all = scratch.states.all();
        for row in (head..parts.count()).step_by(shape.heads) {
            let (max, sum, out) = parts.row(row);
            all.row(0).absorb(max, sum, out);
        }
        let own = head / shape.group();
        let state = all.row(0);
        let [weighted, row] = [&mut scratch.floats, &mut scratch.more_floats];
        weighted.clear();
        weighted.resize(dim, 0.0);
        for tile in 0..side.tiles.count() {
            if self.query_heads(tile).contains(&head) {
                self.turn_tile(tile, own, &state.out[self.place(tile)..], *state.sum, row, weighted);
            }
        }
        let inverse = roots.inverse(self.layer.index() * shape.kv_heads + own);
        row.resize(dim, 0.0);
        unweigh(self.workspace.isa(), weighted, inverse, row);
        out.row(0).absorb(*state.max, *state.sum, row);
    }

    /// What the coefficients of a tile give to the channels of a head.
    fn turn_tile(&self, tile: usize, head: usize, sums: &[f32], weight: f32, row: &mut Vec<f32>, out: &mut [f32]) {
        let (side, dim) = (&self.coded.sides[VALUES], self.shared.shape().head_dim);
        let channels = side.tiles.channels(tile);
        let (bytes, units) = side.direction_bytes(tile);
        let is_own = |c: &u16| usize::from(*c) / dim == head;
        // Channels of one head follow one another.
        let first = channels.iter().position(is_own).unwrap_or(0);
        let own = channels[first..].iter().take_while(|c| is_own(c)).count();
        row.clear();
        row.extend(side.mean[side.tiles.start(tile) + first..][..own].iter().map(|x| x * weight));
        let rows = bytes.chunks_exact(channels.len()).map(|row| &row[first..first + own]);
        let factors = units.iter().zip(sums).map(|(unit, sum)| unit * sum);
        self.workspace.isa().run(Sum { rows: rows.zip(factors), out: row });
        channels[first..].iter().zip(&*row).for_each(|(&channel, x)| out[usize::from(channel) % dim] = *x);
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
