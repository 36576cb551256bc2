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
//!
//! **Many sequences of one token** (decoding for many at once) share out attention by sequences, each attended to by one
//! thread, but for those that hold so much of all that one thread would be waited for. Put the longest first.

mod activations;
mod batch;
mod block;
mod layer;
mod tiles;

use std::ops::ControlFlow;
use std::sync::Arc;

use fourier_kv_cache::{CacheContext, CacheShape};
use fourier_kv_kernels::linear::linear;
use fourier_kv_kernels::rope::{RopePairs, Rotations};
use fourier_kv_kernels::workspace::Workspace;

pub use activations::Activations;
use activations::{Rows, Schedule, sized};
pub use batch::{ForwardError, LogitRows, Logits, Progress, Sequence};
use block::{Block, norm_rows};
use layer::{LayerMatrices, LayerVectors};
pub use tiles::TILE;

use crate::config::ModelConfig;
use crate::error::ModelError;
use crate::output_gram::output_gram;
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

    /// The weights, as they lie in the files.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// How the rotary pairs lie in the rows of query and key projections.
    pub fn rope_pairs(&self) -> RopePairs {
        self.pairs
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
        let mut grams = Vec::new();
        for layer in 0..self.config.layers {
            let projection = self.weights.matrix(Role::AttentionOutput(layer))?;
            grams.extend(output_gram(&self.config, &projection, workspace)?);
        }
        Ok(CacheContext::new(self.cache_shape(), grams))
    }

    /// Activations for this model.
    pub fn activations(&self) -> Activations {
        Activations::new()
    }

    /// Computes the tokens of a batch of sequences, appending to their caches, and returns the logits asked for. They
    /// stay in `activations` until the next pass.
    ///
    /// `watch` is told of the progress after each tile and may stop the pass. A pass over no more rows than an earlier
    /// one allocates nothing, but for what the caches do.
    ///
    /// # Errors
    /// If a token or a cache does not fit the model, or `watch` said to stop. A cache that was being appended to is
    /// of no further use then.
    pub fn forward<'a>(
        &self,
        batch: &mut [Sequence<'_>],
        workspace: &Workspace,
        activations: &'a mut Activations,
        watch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<&'a Logits, ForwardError> {
        let Activations { schedule, rows, logits } = activations;
        logits.rows.clear();
        self.check(batch)?;
        self.embed(batch, workspace, rows)?;
        self.schedule(batch, schedule);
        let count: usize = batch.iter().map(|s| s.tokens.len()).sum();
        let mut progress = Progress { done: 0, total: count * self.config.layers };
        for (layer, vectors) in self.layers.iter().enumerate() {
            let matrices = LayerMatrices::new(&self.weights, layer)?;
            let block = Block { model: self, workspace, matrices, vectors, layer };
            for tile in schedule.tiles.iter() {
                block.attention(batch, &tile, schedule, rows)?;
                block.feed_forward(&tile, rows)?;
                progress.done += tile.rows.len();
                if watch(progress).is_break() {
                    return Err(ForwardError::Stopped);
                }
            }
            for sequence in batch.iter_mut().filter(|s| s.end_of_prompt) {
                sequence.cache.seal(layer, workspace)?;
            }
        }
        self.logits(batch, workspace, rows, logits)?;
        workspace.level(if batch.len() > 1 { 2 } else { 1 });
        Ok(logits)
    }

    /// Cuts the batch into tiles, and computes the rotations of its tokens.
    fn schedule(&self, batch: &[Sequence<'_>], to: &mut Schedule) {
        to.tiles.fill(batch.iter().map(|s| s.tokens.len()));
        to.rotations.resize_with(batch.len(), Rotations::default);
        to.held.clear();
        for (sequence, rotations) in batch.iter().zip(&mut to.rotations) {
            let held = sequence.cache.len();
            rotations.fill(&self.frequencies, held, sequence.tokens.len());
            to.held.push(held);
        }
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
    fn embed(&self, batch: &[Sequence<'_>], workspace: &Workspace, to: &mut Rows) -> Result<(), ForwardError> {
        let (table, width) = (self.weights.matrix(Role::TokenEmbedding)?, self.config.width);
        let tokens = batch.iter().flat_map(|s| s.tokens);
        to.residual.resize(batch.iter().map(|s| s.tokens.len()).sum::<usize>() * width, 0.0);
        for (&token, row) in tokens.zip(to.residual.chunks_exact_mut(width)) {
            table.dequantise(workspace.isa(), token as usize, row)?;
        }
        Ok(())
    }

    /// The logits of the rows that were asked for.
    fn logits(
        &self,
        batch: &[Sequence<'_>],
        workspace: &Workspace,
        rows: &mut Rows,
        to: &mut Logits,
    ) -> Result<(), ForwardError> {
        let (width, vocabulary, eps) = (self.config.width, self.config.vocabulary, self.config.norm_eps);
        let wanted = |s: &Sequence<'_>| s.tokens.len() - s.logits.first(s.tokens.len());
        let count: usize = batch.iter().map(wanted).sum();
        let normed = sized(&mut rows.normed, count * width);
        let (mut end, mut done) = (0, 0);
        for sequence in batch {
            end += sequence.tokens.len();
            let count = wanted(sequence);
            let residual = &rows.residual[(end - count) * width..end * width];
            norm_rows(workspace, residual, &self.output_norm, eps, &mut normed[done * width..(done + count) * width]);
            done += count;
        }
        to.vocabulary = vocabulary;
        to.make_room(count);
        Ok(linear(workspace, normed, &self.weights.matrix(Role::Output)?, None, &mut to.rows)?)
    }
}
