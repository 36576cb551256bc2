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
use super::activations::{Rows, sized};
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

impl Block<'_> {
    /// `x += W_o attention(W_qkv norm(x))` for one tile.
    pub(super) fn attention(
        &self,
        batch: &mut [Sequence<'_>],
        tile: &Tile<'_>,
        rotations: &[Rotations],
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
        for segment in tile.segments {
            self.attend(&mut batch[segment.sequence], segment, &rotations[segment.sequence], rows)?;
        }
        let added = sized(&mut rows.added, count * matrices.attention_output.rows());
        linear(self.workspace, &rows.attended, &matrices.attention_output, vectors.output_bias.as_deref(), added)?;
        self.add(tile, rows);
        Ok(())
    }

    /// Appends one segment's keys and values to its cache and attends for its queries.
    fn attend(
        &self,
        sequence: &mut Sequence<'_>,
        segment: &Segment,
        rotations: &Rotations,
        rows: &mut Rows,
    ) -> Result<(), ForwardError> {
        let (config, tokens) = (self.model.config(), segment.tokens.len());
        let (dim, query_heads, kv_heads) = (config.head_dim, config.heads, config.kv_heads);
        let part = |heads: usize| segment.rows.start * heads * dim..segment.rows.end * heads * dim;
        let rotation = Rotation { pairs: self.model.pairs, rotations, first: segment.tokens.start };
        let [q, k, v] = &mut rows.heads;
        self.rotate(Projected { rows: &rows.query[part(query_heads)], heads: query_heads, dim }, rotation, q);
        self.rotate(Projected { rows: &rows.key[part(kv_heads)], heads: kv_heads, dim }, rotation, k);
        self.order(Projected { rows: &rows.value[part(kv_heads)], heads: kv_heads, dim }, v);
        sequence.cache.append(self.layer, KvRows { q, k, v, tokens }, self.workspace)?;
        rows.state.reset(query_heads * tokens);
        sequence.cache.attend(self.layer, QueryRows { q, tokens }, self.workspace, &mut rows.state)?;
        let (outputs, width) = (rows.state.finish(), query_heads * dim);
        let run = RUN.div_ceil(width);
        let attended = Chunks::new(&mut rows.attended[part(query_heads)], run * width);
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

/// `out = norm(x)`, row by row.
pub(super) fn norm_rows(workspace: &Workspace, x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    let run = RUN.div_ceil(weight.len()) * weight.len();
    workspace.team().for_parts(Chunks::new(out, run), |i, out| {
        rms_norm(workspace.isa(), &x[i * run..][..out.len()], weight, eps, out);
    });
}
