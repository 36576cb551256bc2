//! Caches that drop tokens: `streaming`, `snapkv`, `pyramidkv`.
//!
//! What they share stands here: tokens are kept whole, in `bf16`; at the end of the prompt each head keeps some and
//! drops the others for good; tokens that come later are kept, but that `streaming` goes on dropping. Each method's
//! own file says which are kept. A prompt no longer than the budget stays whole.

mod park;
mod pyramidkv;
mod settings;
mod snapkv;
mod streaming;
mod votes;

use std::sync::Arc;

use fourier_kv_kernels::attention::Queries;
use fourier_kv_kernels::attention::exact::{Mask, attend_exact};
use fourier_kv_kernels::element::Element;
use half::bf16;

pub use settings::{Budget, Choice, EvictingSettings, Pool};

use crate::bytes::{CacheBytes, held};
use crate::error::check_layer;
use crate::exact::{check_queries, for_heads, for_rows, rows_a_task};
use crate::expected::PromptSize;
use crate::kind::CacheKind;
use crate::park::{ParkError, SectionWriter};
use crate::tokens::{Tokens, room_after};
use crate::{AttnRows, CacheError, CacheShape, KvCache, KvRows, QueryRows, Workspace};

/// Tokens that leave the window of `streaming` together.
const STEP: usize = 64;

/// A cache that drops tokens.
#[derive(Clone, Debug)]
pub struct EvictingCache {
    settings: EvictingSettings,
    shape: Arc<CacheShape>,
    layers: Vec<Layer>,
}

#[derive(Clone, Debug)]
struct Layer {
    /// Tokens that it was given.
    seen: usize,
    /// Tokens that are kept at most, once that is decided.
    most: Option<usize>,
    /// `[G]`, each with as many tokens.
    heads: Vec<Tokens<bf16>>,
    /// Queries of the prompt's last tokens, `[H][n][D]`, of the window's length at most.
    observed: Vec<f32>,
}

impl EvictingCache {
    /// An empty cache.
    pub fn new(settings: EvictingSettings, shape: Arc<CacheShape>) -> Self {
        let layer = || Layer {
            seen: 0,
            most: None,
            heads: vec![Tokens::new(shape.head_dim); shape.kv_heads],
            observed: Vec::new(),
        };
        EvictingCache { layers: (0..shape.layers).map(|_| layer()).collect(), settings, shape }
    }
}

impl Layer {
    fn held(&self) -> usize {
        self.heads.first().map_or(0, Tokens::len)
    }

    /// Notes the queries of the last `window` tokens.
    fn observe(&mut self, rows: QueryRows<'_>, shape: &CacheShape, window: usize) {
        let dim = shape.head_dim;
        let before = self.observed.len() / (shape.heads * dim);
        let new = rows.tokens.min(window);
        let old = before.min(window - new);
        let mut observed = Vec::with_capacity(shape.heads * (old + new) * dim);
        for head in 0..shape.heads {
            observed.extend_from_slice(&self.observed[(head * before + before - old) * dim..(head + 1) * before * dim]);
            observed.extend_from_slice(&rows.q[((head + 1) * rows.tokens - new) * dim..(head + 1) * rows.tokens * dim]);
        }
        self.observed = observed;
    }

    /// Chooses the tokens that stay of the prompt.
    fn evict(&mut self, settings: &EvictingSettings, shape: &CacheShape, keep: usize, workspace: &Workspace) {
        let held = self.held();
        let observed = std::mem::take(&mut self.observed);
        self.most = Some(keep);
        if keep >= held {
            return;
        }
        let queries = QueryRows { tokens: observed.len() / (shape.heads * shape.head_dim), q: &observed };
        for_heads(&mut self.heads, usize::MAX, workspace, |g, head| {
            let kept = match settings.choice {
                Choice::Streaming => streaming::kept(held, keep, settings.sink),
                Choice::Snap | Choice::Pyramid => {
                    let keys: Vec<f32> = head.region().keys.iter().map(|x| x.load()).collect();
                    snapkv::kept(queries.group(g, shape), &keys, keep, settings)
                }
            };
            head.keep(&kept);
        });
    }

    /// Drops what has left the window of `streaming`, in whole steps.
    fn slide(&mut self, sink: usize) {
        let (held, most) = (self.held(), self.most.unwrap_or(usize::MAX));
        let over = held.saturating_sub(most) / STEP * STEP;
        if over > 0 {
            let kept = streaming::kept(held, held - over, sink);
            self.heads.iter_mut().for_each(|head| head.keep(&kept));
        }
    }
}

impl KvCache for EvictingCache {
    fn describe(&self) -> String {
        CacheKind::Evicting(self.settings.clone()).to_string()
    }

    fn shape(&self) -> &CacheShape {
        &self.shape
    }

    fn append(&mut self, layer: usize, rows: KvRows<'_>, workspace: &Workspace) -> Result<(), CacheError> {
        check_layer(layer, self.shape.layers)?;
        rows.check(&self.shape)?;
        let EvictingCache { settings, shape, layers } = self;
        let layer = &mut layers[layer];
        match settings.choice {
            Choice::Streaming => layer.slide(settings.sink),
            _ if layer.most.is_none() => layer.observe(rows.queries(), shape, settings.window),
            _ => {}
        }
        for_heads(&mut layer.heads, rows.k.len(), workspace, |g, head| {
            let (keys, values) = rows.head(g, shape.head_dim);
            head.push(keys, values);
        });
        layer.seen += rows.tokens;
        Ok(())
    }

    fn seal(&mut self, layer: usize, workspace: &Workspace) -> Result<(), CacheError> {
        check_layer(layer, self.shape.layers)?;
        let (settings, shape, number) = (&self.settings, &self.shape, layer);
        let layer = &mut self.layers[layer];
        if layer.most.is_none() && layer.seen > 0 {
            let keep = kept_of(settings, number, shape.layers, layer.seen);
            layer.evict(settings, shape, keep, workspace);
        }
        Ok(())
    }

    fn attend(
        &self,
        layer: usize,
        queries: QueryRows<'_>,
        workspace: &Workspace,
        out: &mut AttnRows<f32>,
    ) -> Result<(), CacheError> {
        check_layer(layer, self.shape.layers)?;
        let layer = &self.layers[layer];
        check_queries(&queries, &self.shape, out, layer.held())?;
        let rows = rows_a_task(queries.tokens, self.shape.group());
        for_rows(&self.shape, queries, workspace, out, rows, |g, q: Queries<'_, f32>, state| {
            workspace.with_scratch(|scratch| {
                // The tokens being computed are the last ones held.
                attend_exact(workspace.isa(), q, layer.heads[g].region(), Mask::Causal, &mut scratch.exact, state);
            });
        });
        Ok(())
    }

    fn reserve(&mut self, tokens: usize, _: &Workspace) {
        let streaming = self.settings.choice == Choice::Streaming;
        for layer in &mut self.layers {
            // A window that moves grows by a step at most.
            let most = layer.most.filter(|_| streaming).map_or(usize::MAX, |most| most + STEP);
            let more = tokens.min(most.saturating_sub(layer.held()));
            layer.heads.iter_mut().for_each(|head| head.reserve(more));
        }
    }

    fn fork(&self) -> Option<Box<dyn KvCache>> {
        Some(Box::new(self.clone()))
    }

    fn park(&self, out: &mut SectionWriter<'_>) -> Result<(), ParkError> {
        self.park_layers(out)
    }

    fn len(&self) -> usize {
        self.layers.iter().map(|layer| layer.seen).min().unwrap_or(0)
    }

    fn bytes(&self) -> CacheBytes {
        let mut bytes = CacheBytes { bookkeeping: held(&self.layers), ..CacheBytes::default() };
        for layer in &self.layers {
            bytes.tokens += layer.heads.iter().map(Tokens::bytes).sum::<usize>();
            bytes.bookkeeping += held(&layer.heads) + held(&layer.observed);
        }
        bytes
    }
}

/// Tokens that a layer keeps of a prompt of `tokens`.
fn kept_of(settings: &EvictingSettings, layer: usize, layers: usize, tokens: usize) -> usize {
    let keep = settings.keep_of(tokens);
    match settings.choice {
        Choice::Pyramid if keep < tokens => pyramidkv::share(layer, layers, tokens, keep, settings.window),
        _ => keep,
    }
}

/// What the cache holds once a prompt has been appended and sealed.
pub(crate) fn expected_bytes(settings: &EvictingSettings, shape: &CacheShape, prompt: PromptSize) -> CacheBytes {
    let one = CacheShape { layers: 1, ..shape.clone() };
    let kept = |layer| match kept_of(settings, layer, shape.layers, prompt.tokens) {
        keep if keep < prompt.tokens => keep,
        _ => room_after(prompt.tokens, prompt.tile),
    };
    CacheBytes {
        tokens: (0..shape.layers).map(|layer| one.exact_bytes(kept(layer), size_of::<bf16>())).sum(),
        bookkeeping: shape.layers * (size_of::<Layer>() + shape.kv_heads * size_of::<Tokens<bf16>>()),
        ..CacheBytes::default()
    }
}
