//! Scores of one token's queries against coded keys, two superblocks at a time: of tiles that are rebuilt and of slow ones.

use std::ops::Range;

use fourier_kv_kernels::coded::{
    KeyTile, LANES, Segment, SideTables, SlowSpectra, SlowTile, TOGETHER, TWO, Turning, add_scores, add_slow_scores,
    add_slow_spectra, key_channels, padded, queries_of_lanes, queries_of_nodes,
};
use fourier_kv_kernels::simd::CacheLine;

use super::attend_one::{Attention, Vector};
use super::coded::{Coded, KEYS};
use super::layer::Shared;
use super::slow::pairs_of;
use crate::QueryRows;

/// Working memory for vectors.
pub(super) struct KeyVectors<'a> {
    pub(super) queries: &'a mut Vec<CacheLine>,
    pub(super) channels: &'a mut Vec<CacheLine>,
    /// Spectra of scores.
    pub(super) slow: &'a mut Vec<CacheLine>,
    pub(super) work: &'a mut Vec<CacheLine>,
    /// Queries at nodes.
    pub(super) nodes: &'a mut Vec<f32>,
}

/// Queries `[H][D]`: scaled, divided by what keys were multiplied with, and in the steps of their tiles' channels.
pub(super) fn scaled_queries(
    coded: &Coded,
    shared: &Shared,
    queries: QueryRows<'_>,
    keys: &SideTables,
    out: &mut Vec<f32>,
) {
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

impl Attention<'_> {
    /// Adds to scores, `[H][4][B][16]`, those of two superblocks, `(first, count)`, or of one, whose queries these are.
    pub(super) fn add_scores(
        &self,
        superblocks: (usize, usize),
        turned: &[f32],
        vectors: &mut KeyVectors<'_>,
        scores: &mut [Vector],
    ) {
        let (tiles, dim) = (&self.coded.sides[KEYS].tiles, self.shared.shape().head_dim);
        let head = |tile: usize| usize::from(tiles.channels(tile)[0]) / dim;
        let slow = |tile: usize| self.tables[KEYS].slow.get(tile).copied().flatten();
        let mut most = Turning::Hardly;
        for tile in 0..tiles.count() {
            let Some(turning) = slow(tile) else {
                self.add_scores_of(tile, superblocks, turned, vectors, scores);
                continue;
            };
            // The slow tiles of a head follow one another, and their spectra go to tokens together.
            let goes_on = |other: usize| slow(other).is_some() && head(other) == head(tile);
            if tile == 0 || !goes_on(tile - 1) {
                let out = self.slow_spectra(vectors.slow);
                out.spectra.fill([0.0; LANES]);
                out.means.fill([0.0; LANES]);
                most = turning;
            }
            most = most.max(turning);
            self.add_slow_tile((tile, turning), superblocks, turned, vectors);
            if !goes_on(tile + 1) {
                self.add_slow_scores((head(tile), most), superblocks.1, vectors.slow, scores);
            }
        }
    }

    /// What a tile of keys that is rebuilt gives to the scores.
    fn add_scores_of(
        &self,
        tile: usize,
        (first, count): (usize, usize),
        turned: &[f32],
        vectors: &mut KeyVectors<'_>,
        scores: &mut [Vector],
    ) {
        let (shape, block, isa) = (self.shared.shape(), self.coded.block(), self.workspace.isa());
        let (dim, group, levels) = (shape.head_dim, shape.group(), self.workspace.trellis().pairs());
        let (side, tables) = (&self.coded.sides[KEYS], &self.tables[KEYS]);
        let members = side.tiles.channels(tile);
        let meaning = KeyTile {
            pairs: &tables.pairs,
            starts: &tables.starts[tile * block..=(tile + 1) * block],
            steps: &tables.harmonic_steps[tile * block..(tile + 1) * block],
            directions: &tables.table[tables.table_starts[tile]..tables.table_starts[tile + 1]],
            mean: &tables.mean[side.tiles.start(tile)..][..members.len()],
            cosines: &self.shared.cosines,
        };
        let channels = CacheLine::some(vectors.channels, TWO * padded(members.len()) * block);
        let channels = CacheLine::floats_mut(channels);
        key_channels(isa, meaning, self.words(first, KEYS), levels, channels);
        let pairs = pairs_of(members, dim);
        let dims = 2 * pairs.len();
        let queries = CacheLine::floats_mut(CacheLine::some(vectors.queries, group * dims));
        for (s, channels) in channels.chunks_exact(channels.len() / TWO).take(count).enumerate() {
            for (at, members) in members.chunks_exact(dims).enumerate() {
                let head = usize::from(members[0]) / dim;
                self.queries_of_lanes(s, head, pairs.clone(), turned, queries);
                let segment = Segment {
                    channels,
                    from: at * dims,
                    pairs: pairs.len(),
                    queries,
                    turns: self.shared.rotary.turns(),
                    dim,
                    first: pairs.start,
                };
                let scores = &mut scores[(head * group * TOGETHER + s) * block..];
                add_scores(isa, segment, block, scores, TOGETHER * block);
            }
        }
    }

    /// The queries of a head's group as they meet the pairs of a superblock's blocks.
    fn queries_of_lanes(&self, s: usize, head: usize, pairs: Range<usize>, turned: &[f32], out: &mut [Vector]) {
        let (shape, lanes) = (self.shared.shape(), CacheLine::floats(&self.shared.lanes).as_chunks().0);
        let (dim, group) = (shape.head_dim, shape.group());
        let turned = &turned[(s * shape.heads + head * group) * dim..][..group * dim];
        queries_of_lanes(self.workspace.isa(), turned, &lanes[pairs.clone()], pairs.start, out);
    }

    /// Spectra of the scores of a head's group.
    fn slow_spectra<'b>(&self, lines: &'b mut Vec<CacheLine>) -> SlowSpectra<'b> {
        let (group, block) = (self.shared.shape().group(), self.coded.block());
        let sizes = SlowSpectra::sizes(group, block);
        let all = CacheLine::floats_mut(CacheLine::some(lines, sizes.iter().sum()));
        let (spectra, means) = all.split_at_mut(sizes[0]);
        SlowSpectra { spectra, means }
    }

    /// What a slow tile gives to the spectra of its head's group.
    fn add_slow_tile(
        &self,
        (tile, turning): (usize, Turning),
        (first, count): (usize, usize),
        turned: &[f32],
        vectors: &mut KeyVectors<'_>,
    ) {
        let (shape, block) = (self.shared.shape(), self.coded.block());
        let (side, tables) = (&self.coded.sides[KEYS], &self.tables[KEYS]);
        let members = side.tiles.channels(tile);
        let meaning = SlowTile {
            pairs: &tables.pairs,
            starts: &tables.starts[tile * block..=(tile + 1) * block],
            steps: &tables.harmonic_steps[tile * block..(tile + 1) * block],
            columns: &tables.columns[tables.column_starts[tile]..tables.column_starts[tile + 1]],
            turning,
            nodes: &self.shared.nodes,
            directions: side.kept(tile),
            channels: members.len(),
        };
        let (dim, group) = (shape.head_dim, shape.group());
        let (head, pairs) = (usize::from(members[0]) / dim, pairs_of(members, dim));
        let a_superblock = turning.nodes() * group * members.len();
        let turns = &self.shared.node_turns[turning as usize];
        vectors.nodes.resize(TWO * a_superblock, 0.0);
        for (s, out) in vectors.nodes.chunks_exact_mut(a_superblock).enumerate() {
            // Those of the first again where there is no second, whose spectra nobody reads.
            let turned = &turned[(s.min(count - 1) * shape.heads + head * group) * dim..][..group * dim];
            queries_of_nodes(self.workspace.isa(), turned, turns, (dim, pairs.clone()), out);
        }
        add_slow_spectra(
            self.workspace.isa(),
            meaning,
            self.words(first, KEYS),
            self.workspace.trellis().pairs(),
            vectors.nodes,
            vectors.work,
            self.slow_spectra(vectors.slow),
        );
    }

    /// The spectra of a head's group become scores.
    fn add_slow_scores(
        &self,
        (head, turning): (usize, Turning),
        count: usize,
        slow: &mut Vec<CacheLine>,
        scores: &mut [Vector],
    ) {
        let (group, block) = (self.shared.shape().group(), self.coded.block());
        for s in 0..count {
            let scores = &mut scores[(head * group * TOGETHER + s) * block..];
            let (isa, spectra) = (self.workspace.isa(), self.slow_spectra(slow));
            add_slow_scores(isa, spectra, (s, turning), &self.shared.cosines, scores, TOGETHER * block);
        }
    }
}
