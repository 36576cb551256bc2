//! Attention of one token over the coded tokens of a layer, in place: keys are rebuilt a tile at a time in working memory
//! that stays in a core's caches, values not at all.

use fourier_kv_kernels::attention::state::{AttnRows, AttnRowsMut};
use fourier_kv_kernels::coded::{
    LANES, Segment, Tile, Weights, add_outputs, add_scores, exponentials, largest, queries_of_lanes, rebuild,
};
use fourier_kv_kernels::isa::Isa;

use super::attend::unweigh;
use super::coded::{Coded, KEYS, ORDERS, VALUES};
use super::layer::{Layer, Shared};
use super::side::Side;
use super::stream::Stream;
use super::time::cosines;
use crate::rotary::Way;
use crate::{QueryRows, Workspace};

/// Superblocks a task. Pieces depend on how many tokens are held, not on how many threads there are: so do the sums'
/// roundings.
const PIECE: usize = 4;

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
    let attention = Attention::new(coded, layer, shared, queries);
    let pieces = coded.superblocks().div_ceil(PIECE);
    let stride = attention.stride();
    workspace.with_scratch(|kept| {
        // [pieces][H], with outputs as coefficients.
        kept.states.reshape(pieces * shape.heads, stride);
        let runs = kept.states.all().runs(shape.heads, shape.heads);
        workspace.team().for_parts(runs, |_, (piece, _, mut states)| {
            let first = piece * PIECE;
            let last = (first + PIECE).min(coded.superblocks());
            (first..last).for_each(|superblock| attention.superblock(superblock, workspace, &mut states));
        });
        let mut parts = kept.states.all();
        let mut whole = AttnRows::new(shape.heads, stride);
        let mut all = whole.all();
        for row in 0..parts.count() {
            let part = parts.row(row);
            all.row(row % shape.heads).absorb(*part.max, *part.sum, part.out);
        }
        attention.turn_back(&mut all, out);
    });
}

/// One token's attention over one layer's codes.
struct Attention<'a> {
    coded: &'a Coded,
    layer: &'a Layer,
    shared: &'a Shared,
    streams: [Stream; 2],
    cosines: Vec<f32>,
    /// Directions of each tile of keys, as floats.
    key_directions: Vec<Vec<f32>>,
    /// `[H][D]`: scaled, and divided by what keys were multiplied with.
    queries: Vec<f32>,
    /// `[D/2]` cosines and sines of the lanes' first tokens.
    lanes: Vec<[Vector; 2]>,
    /// `[tiles]`: cosines and sines of each token of a block for each pair of a segment, `[B][P]`.
    turns: Vec<Vec<(f32, f32)>>,
    /// `[tiles]`: where the directions of a tile of values stand among those of its heads.
    places: Vec<usize>,
}

impl<'a> Attention<'a> {
    fn new(coded: &'a Coded, layer: &'a Layer, shared: &'a Shared, queries: QueryRows<'_>) -> Self {
        let (shape, keys) = (shared.shape(), &coded.sides[KEYS]);
        let (dim, block) = (shape.head_dim, coded.block());
        let scale = 1.0 / (dim as f32).sqrt();
        let weights = |head: usize| &coded.key_weights[head / shape.group() * dim..][..dim];
        let rows = queries.q.chunks_exact(dim).enumerate();
        let queries = rows.flat_map(|(head, q)| q.iter().zip(weights(head)).map(|(q, w)| q * scale / w)).collect();
        Attention {
            streams: [KEYS, VALUES].map(|s| Stream::new(&coded.sides[s], ORDERS[s])),
            cosines: cosines(block),
            key_directions: (0..keys.tiles.count()).map(|tile| keys.directions(tile)).collect(),
            queries,
            lanes: (0..dim / 2).map(|pair| shared.rotary.vectors(pair, block)).collect(),
            turns: (0..keys.tiles.count()).map(|tile| turns(keys, tile, block, shared)).collect(),
            places: places(&coded.sides[VALUES], dim),
            coded,
            layer,
            shared,
        }
    }

    /// Directions of values that a head has at most.
    fn stride(&self) -> usize {
        let side = &self.coded.sides[VALUES];
        (0..side.tiles.count()).map(|tile| self.places[tile] + side.kept(tile)).max().unwrap_or(0)
    }

    fn superblock(&self, superblock: usize, workspace: &Workspace, states: &mut AttnRowsMut<'_, f32>) {
        let (heads, block) = (self.shared.shape().heads, self.coded.block());
        let mut scores = vec![[0.0; LANES]; heads * block];
        self.add_scores(superblock, workspace, &mut scores);
        self.weigh(superblock, workspace.isa(), &mut scores, states);
        self.add_values(superblock, workspace, &scores, states);
    }

    /// Scores, `[H][B][16]`.
    fn add_scores(&self, superblock: usize, workspace: &Workspace, scores: &mut [Vector]) {
        let (shape, block, isa) = (self.shared.shape(), self.coded.block(), workspace.isa());
        let (dim, half, group) = (shape.head_dim, shape.head_dim / 2, shape.group());
        let queries = self.queries_at(superblock, workspace);
        let side = &self.coded.sides[KEYS];
        let coefficients = self.coefficients(KEYS, superblock, workspace);
        let (mut first, mut channels, mut own) = (0, Vec::new(), Vec::new());
        for tile in 0..side.tiles.count() {
            let members = side.tiles.channels(tile);
            channels.resize(members.len() * block, [0.0; LANES]);
            let count = self.streams[KEYS].counts[tile];
            rebuild(isa, self.tile(side, tile), &coefficients[first..first + count], &mut channels);
            first += count;
            let pairs = self.turns[tile].len() / block;
            for (segment, channels) in members.chunks_exact(2 * pairs).zip(channels.chunks_exact(2 * pairs * block)) {
                let (head, from) = (usize::from(segment[0]) / dim, usize::from(segment[0]) % dim);
                own.clear();
                for query in queries[head * group * dim..(head + 1) * group * dim].chunks_exact(dim) {
                    own.extend_from_slice(&query[from..from + pairs]);
                    own.extend_from_slice(&query[half + from..half + from + pairs]);
                }
                let segment = Segment { channels, queries: &own, turns: &self.turns[tile] };
                add_scores(isa, segment, block, &mut scores[head * group * block..(head + 1) * group * block]);
            }
        }
    }

    /// Queries as they meet the lanes of a superblock, `[H][D][16]`.
    fn queries_at(&self, superblock: usize, workspace: &Workspace) -> Vec<Vector> {
        let dim = self.shared.shape().head_dim;
        let first = self.layer.sink_len() + superblock * LANES * self.coded.block();
        let mut queries = self.queries.clone();
        self.shared.rotary.turn_all(&mut queries, first, Way::Back);
        let mut vectors = vec![[0.0; LANES]; queries.len()];
        for (query, vectors) in queries.chunks_exact(dim).zip(vectors.chunks_exact_mut(dim)) {
            queries_of_lanes(workspace.isa(), query, &self.lanes, vectors);
        }
        vectors
    }

    fn tile(&'a self, side: &'a Side, tile: usize) -> Tile<'a> {
        Tile {
            directions: &self.key_directions[tile],
            mean: &side.mean[side.tiles.start(tile)..][..side.tiles.channels(tile).len()],
            present: &self.streams[KEYS].present[tile],
            cosines: &self.cosines,
        }
    }

    /// The coefficients of one side, in the order of its stream.
    fn coefficients(&self, side: usize, superblock: usize, workspace: &Workspace) -> Vec<Vector> {
        let stream = &self.streams[side];
        let mut values = vec![[0.0; LANES]; stream.bits.len()];
        let codes = self.coded.codes(superblock, side);
        workspace.trellis().decode(workspace.isa(), codes, &stream.bits, &stream.sizes, &mut values);
        values
    }

    /// Scores become weights, those of blocks that are not there nothing.
    fn weigh(&self, superblock: usize, isa: Isa, scores: &mut [Vector], states: &mut AttnRowsMut<'_, f32>) {
        let block = self.coded.block();
        let there = self.coded.tokens_of(superblock) / block;
        for (head, scores) in scores.chunks_exact_mut(block).enumerate() {
            scores.iter_mut().for_each(|lanes| lanes[there..].fill(f32::NEG_INFINITY));
            let largest = states.raise(head, largest(isa, scores));
            *states.row(head).sum += exponentials(isa, scores, largest);
        }
    }

    /// Adds weighted values as coefficients.
    fn add_values(
        &self,
        superblock: usize,
        workspace: &Workspace,
        weights: &[Vector],
        states: &mut AttnRowsMut<'_, f32>,
    ) {
        let (side, block, stride) = (&self.coded.sides[VALUES], self.coded.block(), states.dim());
        let coefficients = self.coefficients(VALUES, superblock, workspace);
        let mut spectrum = vec![[0.0; LANES]; weights.len()];
        let mut first = 0;
        for tile in 0..side.tiles.count() {
            let heads = self.query_heads(side, tile);
            let count = self.streams[VALUES].counts[tile];
            let weights = Weights {
                weights: &weights[heads.start * block..heads.end * block],
                cosines: &self.cosines,
                block,
            };
            add_outputs(
                workspace.isa(),
                weights,
                &self.streams[VALUES].directions[tile],
                &coefficients[first..first + count],
                &mut spectrum[heads.start * block..heads.end * block],
                (&mut states.outputs()[heads.start * stride + self.places[tile]..heads.end * stride], stride),
            );
            first += count;
        }
    }

    /// The query heads that a tile's channels are for.
    fn query_heads(&self, side: &Side, tile: usize) -> std::ops::Range<usize> {
        let (channels, shape) = (side.tiles.channels(tile), self.shared.shape());
        let head = |c: &u16| usize::from(*c) / shape.head_dim;
        let (first, last) = (head(&channels[0]), head(&channels[channels.len() - 1]));
        first * shape.group()..(last + 1) * shape.group()
    }

    /// Sums of coefficients become outputs, and are merged into `out`.
    fn turn_back(&self, sums: &mut AttnRowsMut<'_, f32>, out: &mut AttnRows<f32>) {
        let (side, shape) = (&self.coded.sides[VALUES], self.shared.shape());
        let (dim, roots) = (shape.head_dim, self.shared.context.output_roots());
        let (mut weighted, mut row) = (vec![0.0; dim], vec![0.0; dim]);
        let directions: Vec<Vec<f32>> = (0..side.tiles.count()).map(|tile| side.directions(tile)).collect();
        let mut out = out.all();
        for head in 0..shape.heads {
            let own = head / shape.group();
            let state = sums.row(head);
            weighted.fill(0.0);
            for tile in 0..side.tiles.count() {
                if self.query_heads(side, tile).contains(&head) {
                    let (channels, mean) = (side.tiles.channels(tile), &side.mean[side.tiles.start(tile)..]);
                    for (at, &channel) in channels.iter().enumerate().filter(|(_, c)| usize::from(**c) / dim == own) {
                        let column = directions[tile].iter().skip(at).step_by(channels.len());
                        let sum: f32 = column.zip(&state.out[self.places[tile]..]).map(|(u, x)| u * x).sum();
                        weighted[usize::from(channel) % dim] = sum + *state.sum * mean[at];
                    }
                }
            }
            unweigh(&weighted, roots.inverse(self.layer.index() * shape.kv_heads + own), &mut row);
            out.row(head).absorb(*state.max, *state.sum, &row);
        }
    }
}

/// Where the directions of each tile stand among those of the same heads.
fn places(values: &Side, dim: usize) -> Vec<usize> {
    let head = |tile: usize| usize::from(values.tiles.channels(tile)[0]) / dim;
    (0..values.tiles.count())
        .map(|tile| (0..tile).filter(|&t| head(t) == head(tile)).map(|t| values.kept(t)).sum())
        .collect()
}

/// Cosines and sines of each token of a block, `[B][P]`, of the pairs of a tile's segments: the same in all of them.
fn turns(keys: &Side, tile: usize, block: usize, shared: &Shared) -> Vec<(f32, f32)> {
    let (channels, dim) = (keys.tiles.channels(tile), shared.shape().head_dim);
    let pairs: Vec<usize> = channels.iter().map(|&c| usize::from(c)).take_while(|c| c % dim < dim / 2).collect();
    // In a tile of several heads each has all pairs, the first of them first.
    let pairs = pairs.iter().take_while(|c| *c / dim == pairs[0] / dim).map(|c| c % dim);
    let pairs: Vec<usize> = pairs.collect();
    (0..block).flat_map(|t| pairs.iter().map(move |&i| shared.rotary.angle(t, i))).collect()
}
