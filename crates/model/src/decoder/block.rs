//! One layer for one tile: attention, then the feed-forward part, each added to the residual stream.
//!
//! Few rows (decoding) take five runs of the team a layer: the projections of queries, keys and values; attention; its
//! output projection; gate and up; down. What lies between them is too little to share out and is done by the caller:
//! every task has at least [`RUN`] numbers.

use fourier_kv_cache::{KvRows, QueryRows};
use fourier_kv_kernels::activation::swiglu;
use fourier_kv_kernels::linear::{Product, linear, linear_many};
use fourier_kv_kernels::norm::rms_norm;
use fourier_kv_kernels::parts::Chunks;
use fourier_kv_kernels::rope::{Projected, Rotation, Rotations, order_heads, order_tokens, rotate_heads};
use fourier_kv_kernels::workspace::Workspace;

use super::Model;
use super::activations::{Rows, Schedule, SegmentRows, sized};
use super::batch::{ForwardError, Sequence};
use super::layer::{LayerMatrices, LayerVectors};
use super::tiles::{Segment, Tile};

/// Numbers that a task works on where each is worked on by itself.
const RUN: usize = 1 << 14;

/// What computing one tile of one layer needs.
pub(super) struct Block<'a> {
    pub(super) model: &'a Model,
    pub(super) workspace: &'a Workspace,
    pub(super) matrices: LayerMatrices<'a>,
    pub(super) vectors: &'a LayerVectors,
    pub(super) layer: usize,
}

/// What one segment's queries, keys and values are taken from.
#[derive(Clone, Copy)]
struct Projections<'a> {
    segment: &'a Segment,
    /// Of its sequence.
    rotations: &'a Rotations,
    /// Queries, keys and values of the whole tile, `[rows][heads][D]`.
    rows: [&'a [f32]; 3],
}

impl Block<'_> {
    /// `x += W_o attention(W_qkv norm(x))` for one tile.
    pub(super) fn attention(
        &self,
        batch: &mut [Sequence<'_>],
        tile: &Tile<'_>,
        schedule: &Schedule,
        rows: &mut Rows,
    ) -> Result<(), ForwardError> {
        let (vectors, matrices, count) = (self.vectors, &self.matrices, tile.rows.len());
        self.norm(tile, &vectors.attention_norm, rows);
        let product = |weight, bias, out| Product { weight, bias, out };
        let products = [
            product(
                matrices.query,
                vectors.query_bias.as_deref(),
                sized(&mut rows.query, count * matrices.query.rows()),
            ),
            product(matrices.key, vectors.key_bias.as_deref(), sized(&mut rows.key, count * matrices.key.rows())),
            product(
                matrices.value,
                vectors.value_bias.as_deref(),
                sized(&mut rows.value, count * matrices.value.rows()),
            ),
        ];
        linear_many(self.workspace, &rows.normed, products)?;
        sized(&mut rows.attended, count * matrices.query.rows());
        self.attend_all(batch, tile.segments, schedule, rows)?;
        let added = sized(&mut rows.added, count * matrices.attention_output.rows());
        linear(self.workspace, &rows.attended, &matrices.attention_output, vectors.output_bias.as_deref(), added)?;
        self.add(tile, rows);
        Ok(())
    }

    /// Attends for every segment: for one after another on all threads, then for the others on a thread each.
    fn attend_all(
        &self,
        batch: &mut [Sequence<'_>],
        segments: &[Segment],
        schedule: &Schedule,
        rows: &mut Rows,
    ) -> Result<(), ForwardError> {
        let Rows { query, key, value, segments: own, attended, .. } = rows;
        let (projected, rotations) = ([&**query, &**key, &**value], &schedule.rotations);
        let (config, team) = (self.model.config(), self.workspace.team());
        let width = config.heads * config.head_dim;
        let alone = alone(segments, &schedule.held, team.threads());
        let room = alone.min(1).max(segments.len() - alone);
        if own.len() < room {
            own.resize_with(room, || SegmentRows::new(config.head_dim));
        }
        for segment in &segments[..alone] {
            let attended = &mut attended[segment.rows.start * width..segment.rows.end * width];
            let from = Projections { segment, rotations: &rotations[segment.sequence], rows: projected };
            self.attend(&mut batch[segment.sequence], from, &mut own[0], attended)?;
        }
        let Some(first) = segments.get(alone) else { return Ok(()) };
        let own = Chunks::new(&mut own[..room], 1);
        let attended = Chunks::new(&mut attended[first.rows.start * width..], width);
        let sequences = Chunks::new(&mut batch[first.sequence..], 1);
        team.try_for_parts((sequences, (own, attended)), |i, (sequence, (own, attended))| {
            let segment = &segments[alone + i];
            let from = Projections { segment, rotations: &rotations[segment.sequence], rows: projected };
            self.attend(&mut sequence[0], from, &mut own[0], attended)
        })
    }

    /// Appends one segment's keys and values to its cache and attends for its queries.
    fn attend(
        &self,
        sequence: &mut Sequence<'_>,
        from: Projections<'_>,
        own: &mut SegmentRows,
        attended: &mut [f32],
    ) -> Result<(), ForwardError> {
        let Projections { segment, rotations, rows: [query, key, value] } = from;
        let (config, tokens) = (self.model.config(), segment.tokens.len());
        let (dim, query_heads, kv_heads) = (config.head_dim, config.heads, config.kv_heads);
        let part = |heads: usize| segment.rows.start * heads * dim..segment.rows.end * heads * dim;
        let rotation = Rotation { pairs: self.model.pairs, rotations, first: segment.tokens.start };
        let SegmentRows { heads: [q, k, v], state } = own;
        self.rotate(Projected { rows: &query[part(query_heads)], heads: query_heads, dim }, rotation, q);
        self.rotate(Projected { rows: &key[part(kv_heads)], heads: kv_heads, dim }, rotation, k);
        self.order(Projected { rows: &value[part(kv_heads)], heads: kv_heads, dim }, v);
        sequence.cache.append(self.layer, KvRows { q, k, v, tokens }, self.workspace)?;
        state.reset(query_heads * tokens);
        sequence.cache.attend(self.layer, QueryRows { q, tokens }, self.workspace, state)?;
        let (outputs, width) = (state.finish(), query_heads * dim);
        let run = RUN.div_ceil(width);
        let attended = Chunks::new(attended, run * width);
        self.workspace.team().for_parts(attended, |i, out| order_tokens(outputs, query_heads, dim, i * run, out));
        Ok(())
    }

    /// `x += W_down (silu(W_gate norm(x)) * W_up norm(x))` for one tile.
    pub(super) fn feed_forward(&self, tile: &Tile<'_>, rows: &mut Rows) -> Result<(), ForwardError> {
        let (matrices, isa, count) = (&self.matrices, self.workspace.isa(), tile.rows.len());
        self.norm(tile, &self.vectors.feed_forward_norm, rows);
        let product = |weight, out| Product { weight, bias: None, out };
        let products = [
            product(matrices.gate, sized(&mut rows.gate, count * matrices.gate.rows())),
            product(matrices.up, sized(&mut rows.up, count * matrices.up.rows())),
        ];
        linear_many(self.workspace, &rows.normed, products)?;
        let up = &rows.up;
        let gate = Chunks::new(&mut rows.gate, RUN);
        self.workspace.team().for_parts(gate, |i, gate| swiglu(isa, gate, &up[i * RUN..][..gate.len()]));
        linear(self.workspace, &rows.gate, &matrices.down, None, sized(&mut rows.added, count * matrices.down.rows()))?;
        self.add(tile, rows);
        Ok(())
    }

    /// `normed = norm(x)` for one tile.
    fn norm(&self, tile: &Tile<'_>, weight: &[f32], rows: &mut Rows) {
        let residual = &rows.residual[tile.rows.start * weight.len()..tile.rows.end * weight.len()];
        let normed = sized(&mut rows.normed, residual.len());
        norm_rows(self.workspace, residual, weight, self.model.config().norm_eps, normed);
    }

    /// `x += added` for one tile.
    fn add(&self, tile: &Tile<'_>, rows: &mut Rows) {
        let (width, added) = (self.model.config().width, &rows.added);
        let residual = &mut rows.residual[tile.rows.start * width..tile.rows.end * width];
        self.workspace.team().for_parts(Chunks::new(residual, RUN), |i, residual| {
            for (x, a) in residual.iter_mut().zip(&added[i * RUN..]) {
                *x += a;
            }
        });
    }

    fn rotate(&self, from: Projected<'_>, rotation: Rotation<'_>, out: &mut Vec<f32>) {
        let isa = self.workspace.isa();
        self.head_by_head(from, out, |first, out| rotate_heads(isa, from, rotation, first, out));
    }

    fn order(&self, from: Projected<'_>, out: &mut Vec<f32>) {
        self.head_by_head(from, out, |first, out| order_heads(from, first, out));
    }

    /// Calls `task` for runs of heads of `out`, `[heads][tokens][D]`, with the first head of each.
    fn head_by_head(&self, from: Projected<'_>, out: &mut Vec<f32>, task: impl Fn(usize, &mut [f32]) + Sync) {
        let head = from.tokens() * from.dim;
        let heads = (RUN / head.max(1)).max(1);
        let out = Chunks::new(sized(out, from.rows.len()), heads * head);
        self.workspace.team().for_parts(out, |i, out| task(i * heads, out));
    }
}

/// How many segments, from the first on, are attended to by all threads, one after another; the others by a thread each:
/// if they are one token of each of the sequences that follow, and hold so little of all that no thread waits long for
/// another. Results are the same either way.
fn alone(segments: &[Segment], held: &[usize], threads: usize) -> usize {
    let total: usize = segments.iter().map(|s| held[s.sequence] + 1).sum();
    let is_large = |s: &Segment| (held[s.sequence] + 1) * threads * 2 > total;
    let alone = segments.iter().take_while(|s| is_large(s)).count();
    let first = segments.get(alone).map_or(0, |s| s.sequence);
    let mut others = segments[alone..].iter().enumerate();
    match threads > 1 && others.all(|(i, s)| s.tokens.len() == 1 && s.sequence == first + i) {
        true => alone,
        false => segments.len(),
    }
}

/// `out = norm(x)`, row by row.
pub(super) fn norm_rows(workspace: &Workspace, x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    let run = RUN.div_ceil(weight.len()) * weight.len();
    workspace.team().for_parts(Chunks::new(out, run), |i, out| {
        rms_norm(workspace.isa(), &x[i * run..][..out.len()], weight, eps, out);
    });
}
