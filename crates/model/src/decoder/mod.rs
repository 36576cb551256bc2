//! The forward pass: written once for all families, all files and all caches.
//!
//! **Layer by layer over the whole batch.** A layer is computed for all tokens before the next begins, and a prompt's
//! cache is sealed layer by layer: exact keys and values of a whole prompt exist for one layer at a time. Inside a
//! layer rows go in tiles of 512, so the activations that a layer needs besides the residual stream
//! (`[n][width]`) do not grow with the prompt.
//!
//! **Memory** beyond weights and caches: `4 n width` bytes of residual stream, `4 n D` of rotations, and about
//! `4 * 512 * (2 width + 2 H D + 2 G D + 2 hidden)` for a tile.
//!
//! Runs on the workspace's team of threads.

mod batch;
mod layer;
mod tiles;

use std::ops::ControlFlow;
use std::sync::Arc;

use fourier_kv_cache::{AttnRows, CacheContext, CacheShape, KvRows, QueryRows};
use fourier_kv_kernels::activation::swiglu;
use fourier_kv_kernels::linear::linear;
use fourier_kv_kernels::norm::rms_norm;
use fourier_kv_kernels::parts::Chunks;
use fourier_kv_kernels::quant::Matrix;
use fourier_kv_kernels::rope::{Projected, RopePairs, Rotations, order_heads, order_tokens, rotate_heads};
use fourier_kv_kernels::workspace::Workspace;

pub use batch::{ForwardError, LogitRows, Logits, Progress, Sequence};
use layer::{LayerMatrices, LayerVectors};
pub use tiles::TILE;
use tiles::{Segment, Tile, tiles};

use crate::config::ModelConfig;
use crate::error::ModelError;
use crate::output_energy::output_energy;
use crate::source::ModelSource;
use crate::weights::{Role, Weights};

/// A model, ready to compute. Cloning copies no weights.
#[derive(Clone, Debug)]
pub struct Model {
    config: ModelConfig,
    weights: Weights,
    pairs: RopePairs,
    frequencies: Vec<f64>,
    layers: Arc<Vec<LayerVectors>>,
    output_norm: Vec<f32>,
    fingerprint: String,
}

/// Activations of a tile, kept from pass to pass so that decoding allocates nothing.
#[derive(Debug)]
pub struct Activations {
    residual: Vec<f32>,
    normed: Vec<f32>,
    query: Vec<f32>,
    key: Vec<f32>,
    value: Vec<f32>,
    heads: [Vec<f32>; 3],
    attended: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
    added: Vec<f32>,
    state: AttnRows<f32>,
}

/// What computing one tile of one layer needs.
struct Pass<'a> {
    workspace: &'a Workspace,
    matrices: LayerMatrices<'a>,
    vectors: &'a LayerVectors,
    layer: usize,
}

impl Model {
    /// Takes a model's weights for computing.
    ///
    /// # Errors
    /// If a vector of the weights is damaged.
    pub fn new(source: &ModelSource) -> Result<Self, ModelError> {
        let config = source.config.clone();
        let layers: Result<Vec<_>, _> =
            (0..config.layers).map(|l| LayerVectors::new(&config, &source.weights, l)).collect();
        Ok(Model {
            frequencies: config.rope_frequencies(),
            layers: Arc::new(layers?),
            output_norm: source.weights.vector(Role::OutputNorm)?,
            weights: source.weights.clone(),
            pairs: source.pairs,
            fingerprint: source.fingerprint()?,
            config,
        })
    }

    /// The model's sizes and constants.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// What identifies the weights, whatever their quantisation; see [`ModelSource::fingerprint`].
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Bytes of the weights as stored.
    pub fn weight_bytes(&self) -> usize {
        self.weights.bytes()
    }

    /// The sizes that caches are built for.
    pub fn cache_shape(&self) -> CacheShape {
        CacheShape {
            layers: self.config.layers,
            heads: self.config.heads,
            kv_heads: self.config.kv_heads,
            head_dim: self.config.head_dim,
            rope_frequencies: self.frequencies.clone(),
        }
    }

    /// What caches need to know. Reads all output projections once: keep it.
    ///
    /// # Errors
    /// If a weight is missing or damaged.
    pub fn cache_context(&self, workspace: &Workspace) -> Result<CacheContext, ForwardError> {
        let mut energy = Vec::with_capacity(self.config.layers * self.config.kv_heads * self.config.head_dim);
        for layer in 0..self.config.layers {
            let projection = self.weights.matrix(Role::AttentionOutput(layer))?;
            energy.extend(output_energy(&self.config, &projection, workspace)?);
        }
        Ok(CacheContext { shape: Arc::new(self.cache_shape()), output_energy: Arc::new(energy) })
    }

    /// Activations for this model.
    pub fn activations(&self) -> Activations {
        let empty = Vec::new;
        Activations {
            residual: empty(),
            normed: empty(),
            query: empty(),
            key: empty(),
            value: empty(),
            heads: Default::default(),
            attended: empty(),
            gate: empty(),
            up: empty(),
            added: empty(),
            state: AttnRows::new(0, self.config.head_dim),
        }
    }

    /// Computes the tokens of a batch of sequences, appending to their caches, and returns the logits asked for.
    ///
    /// `watch` is told of the progress after each tile and may stop the pass.
    ///
    /// # Errors
    /// If a token or a cache does not fit the model, or `watch` said to stop. A cache that was being appended to is
    /// of no further use then.
    pub fn forward(
        &self,
        batch: &mut [Sequence<'_>],
        workspace: &Workspace,
        activations: &mut Activations,
        watch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Logits, ForwardError> {
        self.check(batch)?;
        self.embed(batch, workspace, activations)?;
        let rotations: Vec<Rotations> =
            batch.iter().map(|s| Rotations::new(&self.frequencies, s.cache.len(), s.tokens.len())).collect();
        let lengths: Vec<usize> = batch.iter().map(|s| s.tokens.len()).collect();
        let tiles = tiles(&lengths);
        let rows: usize = lengths.iter().sum();
        let mut progress = Progress { done: 0, total: rows * self.config.layers };
        for layer in 0..self.config.layers {
            let matrices = LayerMatrices::new(&self.weights, layer)?;
            let pass = Pass { workspace, matrices, vectors: &self.layers[layer], layer };
            for tile in &tiles {
                self.attention(&pass, batch, tile, &rotations, activations)?;
                self.feed_forward(&pass, tile, activations)?;
                progress.done += tile.rows.len();
                if watch(progress).is_break() {
                    return Err(ForwardError::Stopped);
                }
            }
            for sequence in batch.iter_mut().filter(|s| s.end_of_prompt) {
                sequence.cache.seal(layer, workspace)?;
            }
        }
        self.logits(batch, workspace, activations)
    }

    fn check(&self, batch: &[Sequence<'_>]) -> Result<(), ForwardError> {
        let vocabulary = self.config.vocabulary;
        let sizes = |s: &CacheShape| (s.layers, s.heads, s.kv_heads, s.head_dim);
        let expected = (self.config.layers, self.config.heads, self.config.kv_heads, self.config.head_dim);
        for sequence in batch {
            let got = sizes(sequence.cache.shape());
            if got != expected {
                let text = |(l, h, g, d)| format!("{l} layers of {h} heads, {g} of them keys and values, of {d} dims");
                return Err(ForwardError::Shape { expected: text(expected), got: text(got) });
            }
            if let Some(&token) = sequence.tokens.iter().find(|&&t| t as usize >= vocabulary) {
                return Err(ForwardError::Token { token, vocabulary });
            }
        }
        Ok(())
    }

    /// The residual stream begins as the tokens' embeddings.
    fn embed(&self, batch: &[Sequence<'_>], workspace: &Workspace, to: &mut Activations) -> Result<(), ForwardError> {
        let (table, width) = (self.weights.matrix(Role::TokenEmbedding)?, self.config.width);
        let tokens = batch.iter().flat_map(|s| s.tokens);
        to.residual.resize(batch.iter().map(|s| s.tokens.len()).sum::<usize>() * width, 0.0);
        for (&token, row) in tokens.zip(to.residual.chunks_exact_mut(width)) {
            table.dequantise(workspace.isa(), token as usize, row)?;
        }
        Ok(())
    }

    /// `x += W_o attention(W_qkv norm(x))` for one tile.
    fn attention(
        &self,
        pass: &Pass<'_>,
        batch: &mut [Sequence<'_>],
        tile: &Tile,
        rotations: &[Rotations],
        a: &mut Activations,
    ) -> Result<(), ForwardError> {
        let c = &self.config;
        let (vectors, matrices) = (pass.vectors, pass.matrices);
        let residual = &a.residual[tile.rows.start * c.width..tile.rows.end * c.width];
        norm_rows(pass.workspace, residual, &vectors.attention_norm, c.norm_eps, &mut a.normed);
        project(pass, &a.normed, &matrices.query, vectors.query_bias.as_deref(), &mut a.query)?;
        project(pass, &a.normed, &matrices.key, vectors.key_bias.as_deref(), &mut a.key)?;
        project(pass, &a.normed, &matrices.value, vectors.value_bias.as_deref(), &mut a.value)?;
        a.attended.resize(tile.rows.len() * c.heads * c.head_dim, 0.0);
        for segment in &tile.segments {
            let sequence = &mut batch[segment.sequence];
            self.attend(pass, sequence, segment, &rotations[segment.sequence], a)?;
        }
        project(pass, &a.attended, &matrices.attention_output, vectors.output_bias.as_deref(), &mut a.added)?;
        add(&mut a.residual[tile.rows.start * c.width..], &a.added);
        Ok(())
    }

    /// Appends one segment's keys and values to its cache and attends for its queries.
    fn attend(
        &self,
        pass: &Pass<'_>,
        sequence: &mut Sequence<'_>,
        segment: &Segment,
        rotations: &Rotations,
        a: &mut Activations,
    ) -> Result<(), ForwardError> {
        let (dim, isa) = (self.config.head_dim, pass.workspace.isa());
        let part = |heads: usize| segment.rows.start * heads * dim..segment.rows.end * heads * dim;
        let (query_part, kv_part) = (part(self.config.heads), part(self.config.kv_heads));
        let [q, k, v] = &mut a.heads;
        let rotate = |rows, heads, out: &mut Vec<f32>| {
            let from = Projected { rows, heads, dim };
            out.resize(rows.len(), 0.0);
            rotate_heads(isa, from, self.pairs, rotations, segment.tokens.start, out);
        };
        rotate(&a.query[query_part.clone()], self.config.heads, q);
        rotate(&a.key[kv_part.clone()], self.config.kv_heads, k);
        v.resize(kv_part.len(), 0.0);
        order_heads(Projected { rows: &a.value[kv_part], heads: self.config.kv_heads, dim }, v);
        let tokens = segment.tokens.len();
        sequence.cache.append(pass.layer, KvRows { q, k, v, tokens }, pass.workspace)?;
        a.state.reset(self.config.heads * tokens);
        sequence.cache.attend(pass.layer, QueryRows { q, tokens }, pass.workspace, &mut a.state)?;
        order_tokens(a.state.finish(), self.config.heads, dim, &mut a.attended[query_part]);
        Ok(())
    }

    /// `x += W_down (silu(W_gate norm(x)) * W_up norm(x))` for one tile.
    fn feed_forward(&self, pass: &Pass<'_>, tile: &Tile, a: &mut Activations) -> Result<(), ForwardError> {
        let width = self.config.width;
        let residual = &a.residual[tile.rows.start * width..tile.rows.end * width];
        let isa = pass.workspace.isa();
        norm_rows(pass.workspace, residual, &pass.vectors.feed_forward_norm, self.config.norm_eps, &mut a.normed);
        project(pass, &a.normed, &pass.matrices.gate, None, &mut a.gate)?;
        project(pass, &a.normed, &pass.matrices.up, None, &mut a.up)?;
        let (gate, up) = (Chunks::new(&mut a.gate, PARALLEL_RUN), &a.up);
        pass.workspace.team().for_parts(gate, |i, gate| swiglu(isa, gate, &up[i * PARALLEL_RUN..][..gate.len()]));
        project(pass, &a.gate, &pass.matrices.down, None, &mut a.added)?;
        add(&mut a.residual[tile.rows.start * width..], &a.added);
        Ok(())
    }

    /// The logits of the rows that were asked for.
    fn logits(
        &self,
        batch: &[Sequence<'_>],
        workspace: &Workspace,
        a: &mut Activations,
    ) -> Result<Logits, ForwardError> {
        let (width, vocabulary) = (self.config.width, self.config.vocabulary);
        let mut wanted = Vec::new();
        let mut end = 0;
        for sequence in batch {
            let first = end + sequence.logits.first(sequence.tokens.len());
            end += sequence.tokens.len();
            wanted.extend_from_slice(&a.residual[first * width..end * width]);
        }
        norm_rows(workspace, &wanted, &self.output_norm, self.config.norm_eps, &mut a.normed);
        let mut rows = vec![0.0; wanted.len() / width * vocabulary];
        linear(workspace, &a.normed, &self.weights.matrix(Role::Output)?, None, &mut rows)?;
        Ok(Logits { vocabulary, rows })
    }
}

/// Numbers an element-wise task works on at once.
const PARALLEL_RUN: usize = 1 << 14;

fn norm_rows(workspace: &Workspace, x: &[f32], weight: &[f32], eps: f32, out: &mut Vec<f32>) {
    out.resize(x.len(), 0.0);
    let run = PARALLEL_RUN.div_ceil(weight.len()) * weight.len();
    workspace.team().for_parts(Chunks::new(out, run), |i, out| {
        rms_norm(workspace.isa(), &x[i * run..][..out.len()], weight, eps, out);
    });
}

fn project(
    pass: &Pass<'_>,
    x: &[f32],
    weight: &Matrix<'_>,
    bias: Option<&[f32]>,
    out: &mut Vec<f32>,
) -> Result<(), ForwardError> {
    out.resize(x.len() / weight.cols() * weight.rows(), 0.0);
    Ok(linear(pass.workspace, x, weight, bias, out)?)
}

fn add(to: &mut [f32], what: &[f32]) {
    for (t, w) in to.iter_mut().zip(what) {
        *t += w;
    }
}
