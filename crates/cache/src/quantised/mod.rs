//! `int8`, `int4`, `int3`, `int2`, `q8_0`, `q4_0`: old tokens in a few bits a number.
//!
//! **Idea.** Keys and values survive rough rounding, if numbers that share a scale are of one size. Keys have dims that
//! are large in every token, so the `int` caches give every key dim a scale of its own, over a group of tokens; values
//! have no such dims, and get one for a few dims of each token. The block formats, those that weights have in files,
//! treat both alike, 32 dims of a token at a time; a Walsh-Hadamard transform of the head dims can even out the large
//! ones first.
//!
//! **Source.** `int`: KIVI, *A Tuning-Free Asymmetric 2bit Quantization for KV Cache*, arXiv 2402.02750, which has 4 and
//! 2 bits. `q8_0`, `q4_0`: llama.cpp's `--cache-type-k` and `--cache-type-v`, from the formats' definition in ggml.
//!
//! **Departures** of `int` from KIVI: keys may be coded as they were before RoPE (`keys=unrotated`, as KVQuant, arXiv
//! 2401.18079, found better; there by dims over a whole calibration); values leave the exact tail in groups together
//! with their keys, not one by one, so the tail has `residual` to `residual + group` tokens for both; least number and
//! step are rounded outward, so nothing is clipped; groups of values end with their head, whatever its size. Attention
//! rebuilds a block of tokens as floats and attends to that, instead of one fused kernel: the same numbers. Of the block
//! formats from llama.cpp: the prompt attends to itself exactly and is coded, from `bf16`, when it is complete, as in
//! every cache here, while llama.cpp codes each of its batches before attending to it; queries and weights stay floats,
//! which llama.cpp rounds to 8 bits and 16; the transform is one of the whole head (of its largest power of two), its
//! place is before coding of keys *and* values, and outputs are turned back here, not by the output projection.
//!
//! **When.** Nothing is coded before `seal`. From then on, whenever rows are appended, the whole groups that had left the
//! last `residual` tokens before them are coded; what is being computed is exact. With `residual=0`, the default of the
//! block formats, their tokens are coded as they come, and attended to, by themselves too, as coded.
//!
//! **What it stores** for each layer and head: the tail, `2 D` numbers of `bf16` a token, with room for a group more. For
//! each coded token `2 D` numbers of `b` bits packed without gaps, and for each group of them, of keys and of values,
//! least number and step in `f16`: `b + 32 / group` bits a number, 5 for `int4` in groups of 32. The block formats keep a
//! scale alone: 8.5 and 4.5 bits. `keys=unrotated` adds one table of angles, `256 D / 2` pairs of `f32` for the whole
//! cache.

mod affine;
mod attend;
mod blocks;
mod by_channel;
mod by_token;
mod coder;
mod coding;
mod hadamard;
mod head;
mod packed;
mod park;
mod settings;
mod size;

use std::sync::Arc;

use fourier_kv_kernels::parts::Chunks;

pub use settings::{Bits, BlockFormat, QuantisedSettings, Scheme};
pub(crate) use size::expected_bytes;

use crate::bytes::{CacheBytes, held};
use crate::error::check_layer;
use crate::exact::{check_queries, for_heads};
use crate::park::{ParkError, SectionWriter};
use crate::{AttnRows, CacheError, CacheKind, CacheShape, KvCache, KvRows, QueryRows, Workspace};
use coder::Coder;
use head::Head;

/// A quantised cache.
#[derive(Clone, Debug)]
pub struct QuantisedCache {
    settings: QuantisedSettings,
    shape: Arc<CacheShape>,
    coder: Coder,
    layers: Vec<Layer>,
}

#[derive(Clone, Debug)]
struct Layer {
    sealed: bool,
    heads: Vec<Head>,
}

impl QuantisedCache {
    /// An empty cache.
    ///
    /// # Errors
    /// If a setting is out of range.
    pub fn new(settings: QuantisedSettings, shape: Arc<CacheShape>) -> Result<Self, CacheError> {
        settings.check()?;
        let coder = Coder::new(&settings, &shape);
        let layers = (0..shape.layers)
            .map(|_| Layer { sealed: false, heads: (0..shape.kv_heads).map(|_| Head::new(shape.head_dim)).collect() })
            .collect();
        Ok(QuantisedCache { settings, shape, coder, layers })
    }

    /// Codes what has left the tail; gives back the tail's memory beyond what it will need.
    fn settle(&mut self, layer: usize, workspace: &Workspace) {
        let (settings, coder) = (&self.settings, &self.coder);
        workspace.team().for_parts(Chunks::new(&mut self.layers[layer].heads, 1), |_, head| {
            let count = settings.due(head[0].tail_len());
            head[0].code_first(coder, count, settings.spare(), workspace);
        });
    }
}

impl KvCache for QuantisedCache {
    fn describe(&self) -> String {
        CacheKind::Quantised(self.settings.clone()).to_string()
    }

    fn shape(&self) -> &CacheShape {
        &self.shape
    }

    fn append(&mut self, layer: usize, rows: KvRows<'_>, workspace: &Workspace) -> Result<(), CacheError> {
        check_layer(layer, self.layers.len())?;
        rows.check(&self.shape)?;
        // All heads hold as many tokens: what is due in one is due in all.
        let Layer { sealed, heads } = &self.layers[layer];
        let at_once = *sealed && self.settings.codes_at_once();
        if *sealed && heads.first().is_some_and(|head| self.settings.due(head.tail_len()) > 0) {
            self.settle(layer, workspace);
        }
        let QuantisedCache { shape, coder, layers, .. } = self;
        for_heads(&mut layers[layer].heads, rows.k.len(), workspace, |g, head| {
            let (keys, values) = rows.head(g, shape.head_dim);
            match at_once {
                true => head.push_coded(coder, keys, values, workspace),
                false => head.push(keys, values),
            }
        });
        Ok(())
    }

    fn reserve(&mut self, tokens: usize, _: &Workspace) {
        for head in self.layers.iter_mut().flat_map(|layer| &mut layer.heads) {
            head.reserve(tokens, &self.coder, &self.settings);
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
        // The last tokens are all in the tail, or all in codes.
        let held = heads.first().map_or(0, |head| if head.tail_len() > 0 { head.tail_len() } else { head.coded() });
        check_queries(&queries, &self.shape, out, held)?;
        attend::attend(heads, &self.coder, &self.shape, queries, workspace, out);
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
        let mut bytes = CacheBytes { bookkeeping: held(&self.layers) + self.coder.bytes(), ..CacheBytes::default() };
        for layer in &self.layers {
            bytes.bookkeeping += held(&layer.heads);
            for head in &layer.heads {
                bytes += head.bytes();
            }
        }
        bytes
    }
}
