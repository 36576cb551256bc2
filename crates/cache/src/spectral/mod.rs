//! `spectral`: old tokens as codes of a block transform, every direction and harmonic with the rate that it deserves.
//!
//! **Idea.** Keys and values are transformed along their channels, by the eigenvectors of their covariance, and along
//! time, by a Fourier basis in blocks. That leaves coefficients of very different sizes that have little to do with one
//! another: large ones get many bits, small ones few or none, so that all errors are of one size; and what errors do is
//! made alike beforehand by weighing keys with the energy of the queries that meet them, and values with the output
//! projection. The bits are those of a trellis code.
//!
//! **Source.** The paper keeps a head dim as it is or as a short spectrum; method.md, section 4, carries that through.
//! The pieces are those of transform coding: Karhunen-Loeve and cosine transforms, reverse water-filling, trellis-coded
//! quantisation ([`fourier_kv_spectral::trellis`]).
//!
//! **When.** Nothing is coded before `seal`. Then, if `least-middle` tokens have left the window, their own statistics
//! give means, directions, sizes and rates, which stay from then on: no text fits a prompt as it does itself. From then
//! on whole blocks are coded as they leave the window; the code of a block depends on nothing before it, so nothing
//! drifts.
//!
//! **What it stores** for each layer: the sink and the window, `2 D` numbers of `bf16` a token and head, with room for a
//! block more. Of coded tokens codes, a fixed number of words a block, in superblocks of sixteen blocks, and their
//! tables: means, `C = G D` numbers of `f32` a side; of each direction that is kept its channels, a byte each, a unit in
//! `f32` and a byte for the size of each harmonic; `C` weights of keys. Codes and tables together are the bits a number
//! that were asked for. What is derived from the model's weights alone is the model's, once for all its caches.

mod attend;
mod attend_one;
mod budget;
mod coded;
mod coding;
mod encode;
mod fit;
mod fit_sides;
mod fitted;
mod key_scores;
mod layer;
mod park;
mod plain;
mod rates;
mod scalar;
mod settings;
mod shares;
mod side;
mod size;
mod slow;
mod stream;
mod tables;
mod tiles;
mod time;
mod weighting;
mod without;

use std::sync::Arc;

pub(crate) use budget::{at_most, within};
pub use fitted::{Coefficient, Fitter, LayerSample, SideFit};
pub use settings::{BITS, Rate, Span, SpectralSettings, USUAL_BITS};
pub use shares::{Shares, SideStatistics};
pub(crate) use size::expected_bytes;
pub use without::Without;

use crate::bytes::{CacheBytes, held};
use crate::error::check_layer;
use crate::exact::check_queries;
use crate::park::{ParkError, SectionWriter};
use crate::{AttnRows, CacheContext, CacheError, CacheKind, CacheShape, KvCache, KvRows, QueryRows, Workspace};
use layer::{Layer, Shared};

/// The version of the codes. Another one loses other parts at a rate, so that plans, which share out rates by what was lost,
/// are to be made anew.
pub const CODES: u32 = 2;

/// A cache of block transform codes.
#[derive(Clone, Debug)]
pub struct SpectralCache {
    shared: Arc<Shared>,
    layers: Vec<Layer>,
}

impl SpectralCache {
    /// An empty cache; `shares` says how rates are shared out over the layers, which all get as much otherwise.
    ///
    /// # Panics
    /// If the shares are not those of so many layers.
    pub fn new(settings: SpectralSettings, context: CacheContext, shares: Option<Arc<Shares>>) -> Self {
        if let Some(Err(wrong)) = shares.as_ref().map(|shares| shares.check(context.shape.layers)) {
            panic!("{wrong}");
        }
        let settings = SpectralSettings { rate: Rate::Bits(settings.rate.bits()), ..settings };
        let layers = (0..context.shape.layers).map(|index| Layer::new(index, &context.shape)).collect();
        let shares = shares.filter(|_| !settings.without.shares);
        // Where all dims count alike, all roots are unit matrices.
        let context = match settings.without.weights {
            true => CacheContext::uniform(CacheShape::clone(&context.shape)),
            false => context,
        };
        SpectralCache { shared: Arc::new(Shared::new(settings, context, shares)), layers }
    }

    /// What the codes of each layer are expected to lose, keys and values; `None` until all layers have some.
    pub fn statistics(&self) -> Option<Vec<[SideStatistics; 2]>> {
        self.layers.iter().map(Layer::statistics).collect()
    }

    /// The coded tokens of one layer as they are attended to: the first of them, and keys, rotated, and values of each
    /// head, `[G][M][D]`. `None` if there are none.
    pub fn rebuilt(&self, layer: usize, workspace: &Workspace) -> Option<(usize, [Vec<f32>; 2])> {
        let layer = self.layers.get(layer)?;
        Some((layer.sink_len(), attend::rebuilt(layer, &self.shared, workspace)?))
    }
}

impl KvCache for SpectralCache {
    fn describe(&self) -> String {
        CacheKind::Spectral(self.shared.settings.clone()).to_string()
    }

    fn shape(&self) -> &CacheShape {
        self.shared.shape()
    }

    fn append(&mut self, layer: usize, rows: KvRows<'_>, workspace: &Workspace) -> Result<(), CacheError> {
        check_layer(layer, self.layers.len())?;
        rows.check(self.shared.shape())?;
        let (shared, layer) = (&self.shared, &mut self.layers[layer]);
        if layer.sealed {
            layer.settle(shared, workspace);
        }
        layer.see(&rows, shared.shape());
        let dim = shared.shape().head_dim;
        crate::exact::for_heads(&mut layer.tails, rows.k.len(), workspace, |g, tail| {
            let (keys, values) = rows.head(g, dim);
            tail.push(keys, values);
        });
        Ok(())
    }

    fn reserve(&mut self, tokens: usize, _: &Workspace) {
        self.layers.iter_mut().for_each(|layer| layer.reserve(tokens, &self.shared.settings));
    }

    fn seal(&mut self, layer: usize, workspace: &Workspace) -> Result<(), CacheError> {
        check_layer(layer, self.layers.len())?;
        self.layers[layer].sealed = true;
        self.layers[layer].settle(&self.shared, workspace);
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
        // The last tokens are all in the tail.
        check_queries(&queries, self.shared.shape(), out, self.layers[layer].tail_len())?;
        attend::attend(&self.layers[layer], &self.shared, queries, workspace, out);
        Ok(())
    }

    fn fork(&self) -> Option<Box<dyn KvCache>> {
        Some(Box::new(self.clone()))
    }

    fn park(&self, out: &mut SectionWriter<'_>) -> Result<(), ParkError> {
        match self.shared.settings.without.any() {
            true => Err(ParkError::Unsupported { kind: self.describe() }),
            false => self.park_layers(out),
        }
    }

    fn len(&self) -> usize {
        self.layers.iter().map(Layer::len).min().unwrap_or(0)
    }

    fn bytes(&self) -> CacheBytes {
        let bookkeeping = held(&self.layers) + Shared::bytes(&self.shared.settings, self.shared.shape());
        let mut bytes = CacheBytes { bookkeeping, ..CacheBytes::default() };
        self.layers.iter().for_each(|layer| bytes += layer.bytes());
        bytes
    }
}
