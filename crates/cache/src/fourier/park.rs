//! A `fourier` cache on its way to disk and back: its plan; of each layer whether it is sealed, and tokens and period of
//! its stretches; then head by head sink, tracks, stretches, and tail. What is not decided yet is decided later from the
//! energy of queries, which is there in the tracks' place until then.

use std::sync::Arc;

use fourier_kv_kernels::element::Element;
use fourier_kv_spectral::period::{PERIOD_STEP, fast_period};

use super::head::{Head, Layout};
use super::stretch::{Span, Stretch};
use super::{FourierCache, FourierSettings, Layer};
use crate::CacheContext;
use crate::park::{ParkError, SectionReader, SectionWriter, Tag, check_even, each, rest, yes};
use crate::plan::{MAX_PLAN_BYTES, Plan};

const PLAN: Tag = *b"plan";
const LAYER: Tag = *b"layr";
const SPANS: Tag = *b"span";

impl<S: Element, C: Element> FourierCache<S, C> {
    pub(super) fn park_layers(&self, out: &mut SectionWriter<'_>) -> Result<(), ParkError> {
        check_even(self.layers.iter().flat_map(|layer| &layer.heads).map(Head::len))?;
        out.text(PLAN, &self.plan.as_ref().map_or_else(String::new, |plan| plan.to_json()))?;
        for Layer { sealed, heads } in &self.layers {
            let stretches = heads.first().map_or(&[][..], Head::middle);
            out.counts(LAYER, &[usize::from(*sealed), stretches.len()])?;
            let spans: Vec<usize> = stretches.iter().map(Stretch::span).flat_map(|s| [s.tokens, s.period]).collect();
            out.counts(SPANS, &spans)?;
            heads.iter().try_for_each(|head| head.park(out))?;
        }
        Ok(())
    }

    /// Reads a parked cache.
    pub(crate) fn unpark(
        settings: FourierSettings,
        context: CacheContext,
        sections: &mut SectionReader<'_>,
    ) -> Result<Self, ParkError> {
        let plan = match sections.text(PLAN, MAX_PLAN_BYTES as usize)? {
            none if none.is_empty() => None,
            text => Some(Arc::new(Plan::from_json(text.as_bytes())?)),
        };
        let mut cache = FourierCache::new(settings, context, plan)?;
        for number in 0..cache.layers.len() {
            cache.layers[number] = cache.unpark_layer(sections)?;
        }
        Ok(cache)
    }

    fn unpark_layer(&self, sections: &mut SectionReader<'_>) -> Result<Layer<S, C>, ParkError> {
        let [sealed, stretches] = sections.counts(LAYER)?;
        let sealed = yes(LAYER, sealed)?;
        // All but the last are full, and none is shorter than a period can be.
        let most = if sealed { sections.tokens() / PERIOD_STEP + 1 } else { 0 };
        rest(LAYER, most, stretches)?;
        let spans = unpark_spans(&self.settings, stretches, sections)?;
        let sink = if stretches > 0 { self.settings.sink } else { 0 };
        let middle = spans.iter().fold(0, |sum: usize, span| sum.saturating_add(span.tokens));
        let tail = rest(SPANS, sections.tokens(), middle.saturating_add(sink))?;
        let frequencies = &self.context.shape.rope_frequencies;
        let layout = Layout { settings: &self.settings, frequencies, sink, spans: &spans, tail };
        let heads = each(self.context.shape.kv_heads, |_| Head::unpark(layout, sections))?;
        Ok(Layer { sealed, heads })
    }
}

fn unpark_spans(
    settings: &FourierSettings,
    stretches: usize,
    sections: &mut SectionReader<'_>,
) -> Result<Vec<Span>, ParkError> {
    let counts: Vec<u64> = sections.numbers(SPANS, 2 * stretches)?;
    let periods = settings.period_for(1)..=settings.period_for(sections.tokens());
    each(stretches, |number| {
        let at = |i: usize| usize::try_from(counts[2 * number + i]).unwrap_or(usize::MAX);
        let span = Span { tokens: at(0), period: at(1) };
        let is_period = periods.contains(&span.period) && fast_period(span.period) == span.period;
        let is_full = span.tokens == span.period;
        let has_room = number + 1 == stretches && (1..span.period).contains(&span.tokens);
        match is_period && (is_full || has_room) {
            true => Ok(span),
            false => Err(ParkError::content(SPANS, "full stretches, and a last one, of periods of the settings", {
                format!("{} tokens of {}", span.tokens, span.period)
            })),
        }
    })
}
