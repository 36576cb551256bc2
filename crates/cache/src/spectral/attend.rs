//! Attention over all of a layer, tokens rebuilt a few superblocks at a time: the plain way, for any number of queries.

use fourier_kv_kernels::attention::exact::{ExactRegion, Mask, attend_exact};
use fourier_kv_kernels::coded::{LANES, Tile, rebuild};
use fourier_kv_kernels::isa::{Isa, Operation};
use fourier_kv_kernels::parts::Chunks;
use fourier_kv_kernels::simd::Simd;
use fourier_kv_kernels::workspace::Scratch;

use super::attend_one::attend_one;
use super::coded::{Coded, KEYS, ORDERS, VALUES};
use super::layer::{Layer, Shared};
use super::stream::Stream;
use super::time::cosines;
use crate::exact::{for_rows, rows_a_task};
use crate::rotary::Way;
use crate::{AttnRows, QueryRows, Workspace};

/// Superblocks that are rebuilt before they are attended to.
const TOGETHER: usize = 8;

/// Merges attention over the whole past of a layer into `out`.
pub(super) fn attend(
    layer: &Layer,
    shared: &Shared,
    queries: QueryRows<'_>,
    workspace: &Workspace,
    out: &mut AttnRows<f32>,
) {
    if let Some(coded) = layer.coded.as_ref().filter(|_| queries.tokens == 1 && shared.coding.is_usual()) {
        attend_one(coded, layer, shared, queries, workspace, out);
    } else if let Some(coded) = &layer.coded {
        workspace.with_scratch(|kept| {
            kept.states.reshape(out.count(), out.dim());
            attend_coded(coded, layer, shared, queries, workspace, &mut kept.states);
            merge_values((layer, shared), queries.tokens, workspace.isa(), &mut kept.states, out);
        });
    }
    let rows = rows_a_task(queries.tokens, shared.shape().group());
    for_rows(shared.shape(), queries, workspace, out, rows, |g, q, state| {
        workspace.with_scratch(|scratch| {
            let exact = &mut scratch.exact;
            attend_exact(workspace.isa(), q, layer.sinks[g].region(), Mask::None, exact, state);
            attend_exact(workspace.isa(), q, layer.tails[g].region(), Mask::Causal, exact, state);
        });
    });
}

/// Attention over the coded tokens, with weighted values.
fn attend_coded(
    coded: &Coded,
    layer: &Layer,
    shared: &Shared,
    queries: QueryRows<'_>,
    workspace: &Workspace,
    states: &mut AttnRows<f32>,
) {
    let shape = shared.shape();
    let rebuilder = Rebuilder::new(coded, layer.sink_len(), shared);
    let head = LANES * coded.block() * shape.head_dim;
    let size = 2 * shape.kv_heads * head;
    let rows = rows_a_task(queries.tokens, shape.group());
    workspace.with_scratch(|Scratch { floats, .. }| {
        for first in (0..coded.superblocks()).step_by(TOGETHER) {
            let count = TOGETHER.min(coded.superblocks() - first);
            floats.resize(count * size, 0.0);
            workspace.team().for_parts(Chunks::new(floats, size), |i, rows| {
                rebuilder.rebuild(first + i, workspace, rows);
            });
            for_rows(shape, queries, workspace, states, rows, |g, q, state| {
                for (i, rows) in floats.chunks_exact(size).enumerate() {
                    let length = coded.tokens_of(first + i) * shape.head_dim;
                    let (keys, values) = rows.split_at(size / 2);
                    let own = g * head..g * head + length;
                    let region = ExactRegion { keys: &keys[own.clone()], values: &values[own] };
                    workspace.with_scratch(|scratch| {
                        attend_exact(workspace.isa(), q, region, Mask::None, &mut scratch.exact, state);
                    });
                }
            });
        }
    });
}

/// The coded tokens of a layer: keys, rotated, and values, `[G][M][D]`.
pub(super) fn rebuilt(layer: &Layer, shared: &Shared, workspace: &Workspace) -> Option<[Vec<f32>; 2]> {
    let (coded, shape) = (layer.coded.as_ref()?, shared.shape());
    let (rebuilder, dim) = (Rebuilder::new(coded, layer.sink_len(), shared), shape.head_dim);
    let (tokens, head) = (coded.tokens(), LANES * coded.block() * dim);
    let mut sides = [KEYS, VALUES].map(|_| vec![0.0; shape.kv_heads * tokens * dim]);
    let mut rows = vec![0.0; 2 * shape.kv_heads * head];
    for superblock in 0..coded.superblocks() {
        rebuilder.rebuild(superblock, workspace, &mut rows);
        let length = coded.tokens_of(superblock) * dim;
        for (i, from) in rows.chunks_exact(head).enumerate() {
            let (side, g) = (i / shape.kv_heads, i % shape.kv_heads);
            let to = &mut sides[side][g * tokens * dim + superblock * head..][..length];
            to.copy_from_slice(&from[..length]);
        }
    }
    for (g, values) in sides[VALUES].chunks_exact_mut(tokens * dim).enumerate() {
        let inverse = shared.context.output_roots().inverse(layer.index() * shape.kv_heads + g);
        let mut sums = vec![0.0; dim];
        for row in values.chunks_exact_mut(dim) {
            unweigh(workspace.isa(), row, inverse, &mut sums);
            row.copy_from_slice(&sums);
        }
    }
    Some(sides)
}

/// `sums = row R^-1`, where the inverse is symmetric.
pub(super) fn unweigh(isa: Isa, row: &[f32], inverse: &[f32], sums: &mut [f32]) {
    isa.run(Unweigh { row, inverse, sums });
}

struct Unweigh<'a> {
    row: &'a [f32],
    inverse: &'a [f32],
    sums: &'a mut [f32],
}

impl Operation for Unweigh<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        self.sums.fill(0.0);
        for (x, inverse) in self.row.iter().zip(self.inverse.chunks_exact(self.sums.len())) {
            self.sums.iter_mut().zip(inverse).for_each(|(sum, y)| *sum = V::mul_add(*x, *y, *sum));
        }
    }
}

/// Turns sums of weighted values back and merges them.
fn merge_values(
    (layer, shared): (&Layer, &Shared),
    tokens: usize,
    isa: Isa,
    states: &mut AttnRows<f32>,
    out: &mut AttnRows<f32>,
) {
    let (shape, roots) = (shared.shape(), shared.context.output_roots());
    let (mut states, mut out) = (states.all(), out.all());
    let mut sums = vec![0.0; shape.head_dim];
    for r in 0..states.count() {
        let head = layer.index() * shape.kv_heads + r / (shape.group() * tokens);
        let row = states.row(r);
        unweigh(isa, row.out, roots.inverse(head), &mut sums);
        out.row(r).absorb(*row.max, *row.sum, &sums);
    }
}

/// Rebuilds superblocks as rows.
struct Rebuilder<'a> {
    coded: &'a Coded,
    sink: usize,
    shared: &'a Shared,
    streams: [Stream; 2],
    by_harmonics: [Vec<u32>; 2],
    cosines: Vec<f32>,
    /// Directions of each tile, as floats.
    directions: [Vec<Vec<f32>>; 2],
}

impl<'a> Rebuilder<'a> {
    fn new(coded: &'a Coded, sink: usize, shared: &'a Shared) -> Self {
        let directions = [KEYS, VALUES].map(|s| {
            let side = &coded.sides[s];
            (0..side.tiles.count()).map(|tile| side.directions(tile)).collect()
        });
        let streams = [KEYS, VALUES].map(|s| Stream::new(&coded.sides[s], ORDERS[s]));
        let by_harmonics = streams.each_ref().map(Stream::by_harmonics);
        Rebuilder { coded, sink, shared, streams, by_harmonics, cosines: cosines(coded.block()), directions }
    }

    /// Rows `[2][G][16 B][D]`: keys with RoPE, then weighted values. Tokens that are not there are rubbish.
    fn rebuild(&self, superblock: usize, workspace: &Workspace, rows: &mut [f32]) {
        let (shape, half) = (self.shared.shape(), rows.len() / 2);
        let (keys, values) = rows.split_at_mut(half);
        self.side(KEYS, superblock, workspace, keys);
        self.side(VALUES, superblock, workspace, values);
        let first = self.sink + superblock * LANES * self.coded.block();
        for (head, keys) in keys.chunks_exact_mut(half / shape.kv_heads).enumerate() {
            let weights = &self.coded.key_weights[head * shape.head_dim..][..shape.head_dim];
            for row in keys.chunks_exact_mut(shape.head_dim) {
                row.iter_mut().zip(weights).for_each(|(x, w)| *x /= w);
            }
            self.shared.rotary.turn(keys, first, Way::Forward);
        }
    }

    /// Weighted rows of one side, `[G][16 B][D]`.
    fn side(&self, s: usize, superblock: usize, workspace: &Workspace, rows: &mut [f32]) {
        let (side, stream, dim) = (&self.coded.sides[s], &self.streams[s], self.shared.shape().head_dim);
        if !side.coding.is_usual() {
            let codes = self.coded.codes(superblock, s);
            return super::plain::rebuild((side, stream), codes, workspace, dim, rows);
        }
        let block = side.block();
        let values = side.coding.decode(self.coded.codes(superblock, s), stream, workspace);
        let ordered: Vec<[f32; LANES]> = self.by_harmonics[s].iter().map(|&i| values[i as usize]).collect();
        let (mut first, mut channels) = (0, Vec::new());
        for tile in 0..side.tiles.count() {
            let members = side.tiles.channels(tile);
            let count = stream.present[tile].iter().map(Vec::len).sum::<usize>();
            channels.resize(members.len() * block, [0.0; LANES]);
            let meaning = Tile {
                directions: &self.directions[s][tile],
                mean: &side.mean[side.tiles.start(tile)..][..members.len()],
                present: &stream.present[tile],
                cosines: &self.cosines,
            };
            rebuild(workspace.isa(), meaning, &ordered[first..first + count], &mut channels);
            first += count;
            for (&member, tokens) in members.iter().zip(channels.chunks_exact(block)) {
                let (head, d) = (usize::from(member) / dim, usize::from(member) % dim);
                let head = &mut rows[head * LANES * block * dim..];
                for (t, lanes) in tokens.iter().enumerate() {
                    lanes.iter().enumerate().for_each(|(lane, &x)| head[(lane * block + t) * dim + d] = x);
                }
            }
        }
    }
}
