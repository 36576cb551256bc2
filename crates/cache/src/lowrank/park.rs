//! A low-rank cache on its way to disk and back: of each layer whether it is sealed, how many tokens are projected, and
//! onto how many directions; then head by head sink, bases with coefficients, and tail.

use std::sync::Arc;

use super::head::{Head, HeadSizes};
use super::{Layer, LowRankCache, LowRankSettings};
use crate::CacheShape;
use crate::park::{ParkError, SectionReader, SectionWriter, Tag, check_even, each, rest, yes};

const LAYER: Tag = *b"layr";

impl LowRankCache {
    pub(super) fn park_layers(&self, out: &mut SectionWriter<'_>) -> Result<(), ParkError> {
        check_even(self.layers.iter().flat_map(|layer| &layer.heads).map(Head::len))?;
        for layer in &self.layers {
            let (projected, rank) = layer.heads.first().map_or((0, 0), |head| (head.projected(), head.rank()));
            out.counts(LAYER, &[usize::from(layer.sealed), projected, rank])?;
            layer.heads.iter().try_for_each(|head| head.park(out))?;
        }
        Ok(())
    }

    /// Reads a parked cache.
    pub(crate) fn unpark(
        settings: LowRankSettings,
        shape: Arc<CacheShape>,
        sections: &mut SectionReader<'_>,
    ) -> Result<Self, ParkError> {
        let mut cache = LowRankCache::new(settings, shape)?;
        for number in 0..cache.layers.len() {
            cache.layers[number] = cache.unpark_layer(sections)?;
        }
        Ok(cache)
    }

    fn unpark_layer(&self, sections: &mut SectionReader<'_>) -> Result<Layer, ParkError> {
        let [sealed, projected, rank] = sections.counts(LAYER)?;
        let (sealed, dim) = (yes(LAYER, sealed)?, self.shape.head_dim);
        // Directions are there from the first projected token on.
        let fits = match projected {
            0 => rank == 0,
            _ => sealed && (1..=dim).contains(&rank),
        };
        if !fits {
            let got = format!("{rank} for {projected} projected tokens");
            return Err(ParkError::content(LAYER, format_args!("1 to {dim} directions after the prompt"), got));
        }
        let sink = if projected > 0 { self.settings.sink } else { 0 };
        let tail = rest(LAYER, sections.tokens(), sink.saturating_add(projected))?;
        let sizes = HeadSizes { dim, sink, projected, rank, tail };
        let heads = each(self.shape.kv_heads, |_| Head::unpark(sizes, sections))?;
        Ok(Layer { sealed, heads })
    }
}
