//! A cache that drops tokens on its way to disk and back: of each layer whether its prompt is complete, how many tokens it
//! keeps then, and how many it holds; the queries that are to vote; then head by head the tokens.

use std::sync::Arc;

use super::{Choice, EvictingCache, EvictingSettings, Layer};
use crate::CacheShape;
use crate::park::{ParkError, SectionReader, SectionWriter, Tag, check_count, check_even, each, rest, yes};
use crate::settings::MOST;
use crate::tokens::Tokens;

const LAYER: Tag = *b"layr";
const OBSERVED: Tag = *b"obsv";

impl EvictingCache {
    pub(super) fn park_layers(&self, out: &mut SectionWriter<'_>) -> Result<(), ParkError> {
        check_even(self.layers.iter().map(|layer| layer.seen))?;
        for layer in &self.layers {
            let most = layer.most.unwrap_or(0);
            out.counts(LAYER, &[usize::from(layer.most.is_some()), most, layer.held()])?;
            out.numbers(OBSERVED, &layer.observed)?;
            layer.heads.iter().try_for_each(|head| head.park(out))?;
        }
        Ok(())
    }

    /// Reads a parked cache.
    pub(crate) fn unpark(
        settings: EvictingSettings,
        shape: Arc<CacheShape>,
        sections: &mut SectionReader<'_>,
    ) -> Result<Self, ParkError> {
        let layers = each(shape.layers, |_| Layer::unpark(&settings, &shape, sections))?;
        Ok(EvictingCache { settings, shape, layers })
    }
}

impl Layer {
    fn unpark(
        settings: &EvictingSettings,
        shape: &CacheShape,
        sections: &mut SectionReader<'_>,
    ) -> Result<Self, ParkError> {
        let seen = sections.tokens();
        let [sealed, most, held] = sections.counts(LAYER)?;
        let most = yes(LAYER, sealed)?.then_some(most);
        match most {
            None => check_count(LAYER, "tokens before the prompt is complete", seen, held)?,
            Some(most) => check_kept(settings, [seen, most, held])?,
        }
        // Votes are of the last tokens of a prompt that is not complete.
        let voters = if most.is_none() && settings.choice != Choice::Streaming { seen.min(settings.window) } else { 0 };
        let observed = sections.numbers(OBSERVED, voters.saturating_mul(shape.heads * shape.head_dim))?;
        let heads = each(shape.kv_heads, |_| Tokens::unpark(shape.head_dim, held, sections))?;
        Ok(Layer { seen, most, heads, observed })
    }
}

/// Checks what a layer of a complete prompt holds: no more than it was given, and a window that has room for its sink.
fn check_kept(settings: &EvictingSettings, [seen, most, held]: [usize; 3]) -> Result<(), ParkError> {
    rest(LAYER, seen, held)?;
    let least = if settings.choice == Choice::Streaming { settings.sink + 1 } else { 0 };
    match (least..=seen.saturating_add(2 * MOST)).contains(&most) {
        true => Ok(()),
        false => Err(ParkError::content(LAYER, format_args!("a budget of {least} tokens or more"), most)),
    }
}
