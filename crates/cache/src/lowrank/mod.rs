//! `lowrank`: old tokens as coefficients in the few directions that they vary most in.
//!
//! **Idea.** The keys of a head, before RoPE, and its values lie near a subspace of fewer dims than the head has. A basis
//! of that subspace is kept once, and of each token its coefficients.
//!
//! **Source.** Palu, *Compressing KV-Cache with Low-Rank Projection*, arXiv 2407.21118.
//!
//! **Departures.** Palu decomposes the *weights* of the projections, once a model, and so needs no basis a prompt. This
//! takes the eigenvectors of the Gram matrix of the prompt's own keys and values, less their mean: of all bases of a rank
//! the best for them in the sense of squared errors, so no worse for them than one from the weights, at the price of
//! storing it and the mean. Heads are decomposed one by one (its M-LRD), not in groups; all have one rank, for keys and
//! for values, which Palu shares out by Fisher information. Keys may also be projected after RoPE (`keys=rotated`). The
//! first and the last tokens stay exact: the first are unlike all others, and nearly all attention rests on them. Coefficients are not quantised on top. Values are not rebuilt, as in Palu: outputs are summed
//! as coefficients and turned back once, here by this cache and not by the output projection. Keys are rebuilt as floats,
//! a block of tokens at a time, instead of in one fused kernel: the same numbers.
//!
//! **When.** Nothing is projected before `seal`. Then, and whenever rows are appended later, what has left the last
//! `residual` tokens is projected, 64 tokens at a time. The basis is made when the first are, from all tokens that are
//! held then, and stays: what a later text has outside of it is lost. It takes up to as much as `D` tokens, and so is not
//! made for fewer.
//!
//! **What it stores** for each layer and head: the sink and the tail, `2 D` numbers of `bf16` a token, with room for 64 more. For each
//! projected token `2 r` coefficients in `bf16`. Two bases, `r D` numbers of `f16` each, and two means, `D` of `f32`.
//! `keys=unrotated` adds one table of angles, `256 D / 2` pairs of `f32` for the whole cache.

mod basis;
mod head;
mod park;
mod settings;
mod size;

use std::sync::Arc;

use fourier_kv_kernels::parts::Chunks;

pub use settings::{LowRankSettings, Rank};
pub(crate) use size::expected_bytes;

use crate::bytes::{CacheBytes, held};
use crate::error::check_layer;
use crate::exact::{check_queries, for_heads, for_rows, rows_a_task};
use crate::park::{ParkError, SectionWriter};
use crate::pieces::for_pieces;
use crate::rotary::Rotary;
use crate::{AttnRows, CacheError, CacheKind, CacheShape, KeysAs, KvCache, KvRows, QueryRows, Workspace};
use head::{BLOCK, Head};

/// Tokens a task when one token attends to many.
const PIECE: usize = 4 * BLOCK;

/// A low-rank cache.
#[derive(Clone, Debug)]
pub struct LowRankCache {
    settings: LowRankSettings,
    shape: Arc<CacheShape>,
    /// Set if keys are projected as they were before RoPE.
    rotary: Option<Rotary>,
    layers: Vec<Layer>,
}

#[derive(Clone, Debug)]
struct Layer {
    sealed: bool,
    heads: Vec<Head>,
}

impl LowRankCache {
    /// An empty cache.
    ///
    /// # Errors
    /// If the settings do not fit the shape.
    pub fn new(settings: LowRankSettings, shape: Arc<CacheShape>) -> Result<Self, CacheError> {
        settings.check(&shape)?;
        let layer = || Layer { sealed: false, heads: (0..shape.kv_heads).map(|_| Head::new(shape.head_dim)).collect() };
        let layers = (0..shape.layers).map(|_| layer()).collect();
        Ok(LowRankCache { rotary: rotary(&settings, &shape), settings, shape, layers })
    }

    /// Projects what is due; gives back the tail's memory beyond what it will need.
    fn settle(&mut self, layer: usize, workspace: &Workspace) {
        let LowRankCache { settings, shape, rotary, layers } = self;
        let heads = &mut layers[layer].heads;
        let rank = size::rank(settings, shape, heads.first().map_or(0, Head::len));
        workspace.team().for_parts(Chunks::new(heads, 1), |_, head| {
            head[0].project_first(head[0].due(settings), (settings.sink, rank), rotary.as_ref(), workspace);
        });
    }

    /// Attention of one token: a task for each piece of coefficients and for what is whole.
    fn attend_in_pieces(&self, heads: &[Head], queries: QueryRows<'_>, workspace: &Workspace, out: &mut AttnRows<f32>) {
        let old = heads.first().map_or(0, Head::projected);
        for_pieces(&self.shape, old.div_ceil(PIECE) + 1, queries, workspace, out, |g, i, q, state| match i * PIECE {
            from if from < old => {
                let tokens = from..old.min(from + PIECE);
                heads[g].attend_projected(self.rotary.as_ref(), tokens, q, workspace, state);
            }
            _ => heads[g].attend_whole(q, workspace, state),
        });
    }
}

fn rotary(settings: &LowRankSettings, shape: &CacheShape) -> Option<Rotary> {
    (settings.keys == KeysAs::Unrotated).then(|| Rotary::new(&shape.rope_frequencies, BLOCK))
}

impl KvCache for LowRankCache {
    fn describe(&self) -> String {
        CacheKind::LowRank(self.settings.clone()).to_string()
    }

    fn shape(&self) -> &CacheShape {
        &self.shape
    }

    fn append(&mut self, layer: usize, rows: KvRows<'_>, workspace: &Workspace) -> Result<(), CacheError> {
        check_layer(layer, self.layers.len())?;
        rows.check(&self.shape)?;
        // All heads hold as many tokens: what is due in one is due in all.
        let Layer { sealed, heads } = &self.layers[layer];
        if *sealed && heads.first().is_some_and(|head| head.due(&self.settings) > 0) {
            self.settle(layer, workspace);
        }
        let LowRankCache { shape, layers, .. } = self;
        for_heads(&mut layers[layer].heads, rows.k.len(), workspace, |g, head| {
            let (keys, values) = rows.head(g, shape.head_dim);
            head.push(keys, values);
        });
        Ok(())
    }

    fn reserve(&mut self, tokens: usize, _: &Workspace) {
        for head in self.layers.iter_mut().flat_map(|layer| &mut layer.heads) {
            head.reserve(tokens, &self.settings);
        }
    }

    fn seal(&mut self, layer: usize, workspace: &Workspace) -> Result<(), CacheError> {
        check_layer(layer, self.layers.len())?;
        self.layers[layer].sealed = true;
        self.settle(layer, workspace);
        Ok(())
    }

    fn attend(
        &self,
        layer: usize,
        queries: QueryRows<'_>,
        workspace: &Workspace,
        out: &mut AttnRows<f32>,
    ) -> Result<(), CacheError> {
        check_layer(layer, self.layers.len())?;
        let heads = &self.layers[layer].heads;
        // The last tokens are all in the tail.
        check_queries(&queries, &self.shape, out, heads.first().map_or(0, Head::tail_len))?;
        if queries.tokens == 1 && heads.first().is_some_and(|head| head.projected() > 0) {
            self.attend_in_pieces(heads, queries, workspace, out);
            return Ok(());
        }
        let rows = rows_a_task(queries.tokens, self.shape.group());
        for_rows(&self.shape, queries, workspace, out, rows, |g, q, state| {
            heads[g].attend(self.rotary.as_ref(), q, workspace, state);
        });
        Ok(())
    }

    fn fork(&self) -> Option<Box<dyn KvCache>> {
        Some(Box::new(self.clone()))
    }

    fn park(&self, out: &mut SectionWriter<'_>) -> Result<(), ParkError> {
        self.park_layers(out)
    }

    fn len(&self) -> usize {
        self.layers.iter().filter_map(|layer| layer.heads.first()).map(Head::len).min().unwrap_or(0)
    }

    fn bytes(&self) -> CacheBytes {
        let table = self.rotary.as_ref().map_or(0, Rotary::bytes);
        let mut bytes = CacheBytes { bookkeeping: held(&self.layers) + table, ..CacheBytes::default() };
        for layer in &self.layers {
            bytes.bookkeeping += held(&layer.heads);
            for head in &layer.heads {
                bytes += head.bytes();
            }
        }
        bytes
    }
}
