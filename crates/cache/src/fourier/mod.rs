//! `fourier`: old tokens as a short spectrum along time, of the head dims that allow it.
//!
//! **Idea.** Head dims play different roles: some carry nearby context, some the long range. Between the first tokens
//! (the *sink*) and the last thousand (the *window*), which stay exact, the dims that do not need the long range are
//! kept as `N` Fourier coefficients along time, however long the middle grows; the others stay exact. Attention is
//! done in the spectrum, see [`fourier_kv_kernels::attention::fourier`].
//!
//! **Source.** FourierAttention, *Beyond Homogeneous Attention*, arXiv 2506.11886.
//!
//! **Departures**, each with its measured effect in docs/method.md: the inverse is the projection onto the band; dims
//! are ranked by the error of the very numbers that are stored, times what the error does; keys may be kept around the
//! frequency at which RoPE turns them (`band=carrier`); periods are integers; one clock; a prompt that starts short
//! and grows is compressed too; the period does not depend on how much may be generated.
//!
//! **When.** Nothing is compressed before `seal`. From then on, whenever rows are appended, what had left the window
//! before them goes into the middle, 64 tokens at a time. The middle is a list of *stretches*, each with one spectrum:
//! - A stretch is begun when `least-middle` tokens wait (at `seal` if the prompt is long enough, else later).
//! - Its period is fixed then, from the tokens that wait or from the `capacity` setting.
//! - When a stretch is full, the tokens that follow stay exact until they are enough for the next one. So growth
//!   beyond the planned capacity costs one more spectrum every `P` tokens, loses nothing of what is already held, and
//!   never transforms again what was transformed.
//! - Which dims are spectral is decided once, at the first stretch, by a plan or from the tokens at hand.
//!
//! **What it stores** for each layer and head: the sink and up to `W + 64` tokens, `2 D` numbers each; for each stretch
//! `2 N` numbers a spectral dim (a pair of keys in the carrier band: `4 N - 2`), one number a token and exact dim, in
//! steps of 64 tokens, and one mean a spectral dim.

mod attend;
pub mod budget;
pub mod calibration;
pub mod choice;
mod head;
pub mod losses;
mod park;
pub mod settings;
mod size;
mod store;
mod stretch;
pub mod track;

use std::sync::Arc;

use fourier_kv_kernels::element::Element;
use fourier_kv_kernels::parts::Chunks;

pub use settings::{Band, FourierSettings, Rank};
pub(crate) use size::expected_bytes;

use crate::bytes::{CacheBytes, held};
use crate::error::check_layer;
use crate::exact::{check_queries, for_heads};
use crate::park::{ParkError, SectionWriter};
use crate::plan::{HeadPlan, Plan};
use crate::{
    AttnRows, CacheContext, CacheError, CacheKind, CacheShape, KvCache, KvRows, PromptSize, QueryRows, Workspace,
};
use head::{Compression, Head};

/// The `fourier` cache: exact numbers in `S`, spectra in `C`.
#[derive(Clone, Debug)]
pub struct FourierCache<S, C> {
    settings: FourierSettings,
    context: CacheContext,
    plan: Option<Arc<Plan>>,
    layers: Vec<Layer<S, C>>,
}

#[derive(Clone, Debug)]
struct Layer<S, C> {
    sealed: bool,
    heads: Vec<Head<S, C>>,
}

impl<S: Element, C: Element> FourierCache<S, C> {
    /// An empty cache.
    ///
    /// # Errors
    /// If the plan does not fit the shape or the band.
    pub fn new(settings: FourierSettings, context: CacheContext, plan: Option<Arc<Plan>>) -> Result<Self, CacheError> {
        if let Some(plan) = &plan {
            plan.check(&context.shape, settings.band)?;
        }
        let shape = &context.shape;
        let layers = (0..shape.layers)
            .map(|_| Layer { sealed: false, heads: (0..shape.kv_heads).map(|_| Head::new(shape.head_dim)).collect() })
            .collect();
        Ok(FourierCache { settings, context, plan, layers })
    }

    /// The shares of spectral dims of a layer that begins its first stretch now; later ones take the same dims.
    fn shares(&self, layer: usize) -> budget::Shares {
        let shape = &self.context.shape;
        let shares = budget::shares(layer, shape.layers);
        let held = self.layers[layer].heads.first().filter(|head| head.middle().is_empty()).map_or(0, Head::len);
        match held {
            0 => shares,
            tokens => {
                let prompt = PromptSize { tokens, tile: tokens };
                shares.pushed(size::push(&self.settings, shape, self.plan.is_some(), prompt))
            }
        }
    }

    fn settle(&mut self, layer: usize, workspace: &Workspace) {
        let shares = self.shares(layer);
        let FourierCache { settings, context, plan, layers } = self;
        let heads = Chunks::new(&mut layers[layer].heads, 1);
        workspace.team().for_parts(heads, |g, head| {
            let with = Compression {
                settings,
                frequencies: &context.shape.rope_frequencies,
                shares,
                output_energy: context.output_energy(layer, g),
                plan: plan.as_deref().map(|p| p.head(layer, g)),
            };
            head[0].settle(with, workspace);
        });
    }
}

impl<S: Element, C: Element> KvCache for FourierCache<S, C> {
    fn describe(&self) -> String {
        CacheKind::Fourier(self.settings.clone()).to_string()
    }

    fn shape(&self) -> &CacheShape {
        &self.context.shape
    }

    fn append(&mut self, layer: usize, rows: KvRows<'_>, workspace: &Workspace) -> Result<(), CacheError> {
        check_layer(layer, self.layers.len())?;
        rows.check(&self.context.shape)?;
        // All heads hold as many tokens: what is due in one is due in all.
        let Layer { sealed, heads } = &self.layers[layer];
        if *sealed && heads.first().is_some_and(|head| head.is_due(&self.settings)) {
            self.settle(layer, workspace);
        }
        let shape = &self.context.shape;
        for_heads(&mut self.layers[layer].heads, rows.q.len(), workspace, |g, head| {
            let (keys, values) = rows.head(g, shape.head_dim);
            head.push(rows.queries().group(g, shape), keys, values);
        });
        Ok(())
    }

    fn reserve(&mut self, tokens: usize, workspace: &Workspace) {
        let FourierCache { settings, context, layers, .. } = self;
        for head in layers.iter_mut().flat_map(|layer| &mut layer.heads) {
            head.reserve(tokens, settings, &context.shape.rope_frequencies, workspace);
        }
    }

    fn seal(&mut self, layer: usize, workspace: &Workspace) -> Result<(), CacheError> {
        check_layer(layer, self.layers.len())?;
        self.layers[layer].sealed = true;
        self.settle(layer, workspace);
        self.layers[layer].heads.iter_mut().for_each(Head::trim);
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
        let shape = &self.context.shape;
        check_queries(&queries, shape, out, heads.first().map_or(0, Head::tail_len))?;
        attend::attend(heads, shape, queries, workspace, out);
        Ok(())
    }

    fn fork(&self) -> Option<Box<dyn KvCache>> {
        Some(Box::new(self.clone()))
    }

    fn park(&self, out: &mut SectionWriter<'_>) -> Result<(), ParkError> {
        self.park_layers(out)
    }

    fn len(&self) -> usize {
        self.layers.iter().filter_map(|l| l.heads.first()).map(Head::len).min().unwrap_or(0)
    }

    fn bytes(&self) -> CacheBytes {
        let mut bytes = CacheBytes { bookkeeping: held(&self.layers), ..CacheBytes::default() };
        for layer in &self.layers {
            bytes.bookkeeping += held(&layer.heads);
            for head in &layer.heads {
                bytes += head.bytes();
            }
        }
        bytes
    }
}

/// The spectral tracks that a cache chose, when every head has chosen.
impl<S: Element, C: Element> FourierCache<S, C> {
    /// Which tracks of each layer and head are spectral: `[L][G]`; `None` before the first stretch is made.
    pub fn chosen(&self) -> Option<Vec<Vec<HeadPlan>>> {
        self.layers.iter().map(|layer| layer.heads.iter().map(Head::plan).collect()).collect()
    }
}
