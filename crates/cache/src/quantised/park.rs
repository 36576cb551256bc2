//! A quantised cache on its way to disk and back: of each layer whether it is sealed and how many tokens are coded, then
//! head by head codes and tail.

use std::sync::Arc;

use super::head::Head;
use super::{Layer, QuantisedCache, QuantisedSettings};
use crate::CacheShape;
use crate::park::{ParkError, SectionReader, SectionWriter, Tag, check_even, each, rest, yes};

const LAYER: Tag = *b"layr";

impl QuantisedCache {
    pub(super) fn park_layers(&self, out: &mut SectionWriter<'_>) -> Result<(), ParkError> {
        check_even(self.layers.iter().flat_map(|layer| &layer.heads).map(Head::len))?;
        for layer in &self.layers {
            let coded = layer.heads.first().map_or(0, Head::coded);
            out.counts(LAYER, &[usize::from(layer.sealed), coded])?;
            layer.heads.iter().try_for_each(|head| head.park(out))?;
        }
        Ok(())
    }

    /// Reads a parked cache.
    pub(crate) fn unpark(
        settings: QuantisedSettings,
        shape: Arc<CacheShape>,
        sections: &mut SectionReader<'_>,
    ) -> Result<Self, ParkError> {
        let mut cache = QuantisedCache::new(settings, shape)?;
        for number in 0..cache.layers.len() {
            cache.layers[number] = cache.unpark_layer(sections)?;
        }
        Ok(cache)
    }

    fn unpark_layer(&self, sections: &mut SectionReader<'_>) -> Result<Layer, ParkError> {
        let [sealed, coded] = sections.counts(LAYER)?;
        let sealed = yes(LAYER, sealed)?;
        let tail = rest(LAYER, sections.tokens(), coded)?;
        if !coded.is_multiple_of(self.coder.unit()) || coded > 0 && !sealed {
            let expected = format!("whole groups of {} coded tokens, after the prompt", self.coder.unit());
            return Err(ParkError::content(LAYER, expected, coded));
        }
        let dim = self.shape.head_dim;
        let heads = each(self.shape.kv_heads, |_| Head::unpark(&self.coder, dim, [coded, tail], sections))?;
        Ok(Layer { sealed, heads })
    }
}
