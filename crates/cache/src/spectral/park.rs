//! A spectral cache on its way to disk and back: how rates are shared out, if a plan said so; then of each layer whether
//! it is sealed, how many tokens are coded, its tables and codes, and head by head sink and tail.

use std::sync::Arc;

use super::coded::Coded;
use super::layer::{Layer, Shared};
use super::shares::Shares;
use super::{SpectralCache, SpectralSettings};
use crate::park::{ParkError, SectionReader, SectionWriter, Tag, check_even, each, rest, yes};
use crate::tokens::Tokens;
use crate::{CacheContext, CacheKind};

const PLAN: Tag = *b"plan";
const SHARES: Tag = *b"shar";
const LAYER: Tag = *b"layr";

impl SpectralCache {
    pub(super) fn park_layers(&self, out: &mut SectionWriter<'_>) -> Result<(), ParkError> {
        check_even(self.layers.iter().map(Layer::len))?;
        let shares = self.shared.shares.as_deref();
        out.counts(PLAN, &[shares.map_or(0, |shares| shares.rates.len())])?;
        if let Some(shares) = shares {
            let numbers: Vec<f64> =
                shares.rates.iter().chain(shares.bits.iter().flatten().flatten()).copied().collect();
            out.numbers(SHARES, &numbers)?;
        }
        self.layers.iter().try_for_each(|layer| layer.park(out))
    }

    /// Reads a parked cache.
    pub(crate) fn unpark(
        settings: SpectralSettings,
        context: CacheContext,
        sections: &mut SectionReader<'_>,
    ) -> Result<Self, ParkError> {
        if settings.without.any() {
            return Err(ParkError::Unsupported { kind: CacheKind::Spectral(settings).to_string() });
        }
        let shares = read_shares(context.shape.layers, sections)?;
        let mut cache = SpectralCache::new(settings, context, shares.map(Arc::new));
        for index in 0..cache.layers.len() {
            cache.layers[index].unpark(&cache.shared, sections)?;
        }
        Ok(cache)
    }
}

fn read_shares(layers: usize, sections: &mut SectionReader<'_>) -> Result<Option<Shares>, ParkError> {
    const MOST_RATES: usize = 64;
    let [rates] = sections.counts(PLAN)?;
    if rates > MOST_RATES {
        return Err(ParkError::content(PLAN, format!("at most {MOST_RATES} rates"), rates));
    }
    if rates == 0 {
        return Ok(None);
    }
    let numbers: Vec<f64> = sections.numbers(SHARES, rates * (1 + 2 * layers))?;
    let (means, bits) = numbers.split_at(rates);
    let pairs = |row: &[f64]| row.chunks_exact(2).map(|pair| [pair[0], pair[1]]).collect();
    let shares = Shares { rates: means.to_vec(), bits: bits.chunks_exact(2 * layers).map(pairs).collect() };
    match shares.check(layers) {
        Ok(()) => Ok(Some(shares)),
        Err(wrong) => Err(ParkError::content(SHARES, "shares of a plan".to_owned(), wrong)),
    }
}

impl Layer {
    fn park(&self, out: &mut SectionWriter<'_>) -> Result<(), ParkError> {
        out.counts(LAYER, &[usize::from(self.sealed), self.coded_tokens()])?;
        match &self.coded {
            Some(coded) => coded.park(out)?,
            None => self.energy.park(out)?,
        }
        self.sinks.iter().chain(&self.tails).try_for_each(|tokens| tokens.park(out))
    }

    /// Takes the place of an empty layer.
    fn unpark(&mut self, shared: &Shared, sections: &mut SectionReader<'_>) -> Result<(), ParkError> {
        let (settings, shape) = (&shared.settings, shared.shape());
        let [sealed, coded] = sections.counts(LAYER)?;
        self.sealed = yes(LAYER, sealed)?;
        if !coded.is_multiple_of(settings.block) || coded > 0 && !self.sealed {
            let expected = format!("whole blocks of {} coded tokens, after the prompt", settings.block);
            return Err(ParkError::content(LAYER, expected, coded));
        }
        let sink = if coded > 0 { settings.sink } else { 0 };
        let tail = rest(LAYER, sections.tokens(), coded + sink)?;
        match coded {
            0 => self.energy.unpark(sections)?,
            _ => self.coded = Some(Coded::unpark(coded, settings, shape, sections)?),
        }
        let tokens = |count: usize, sections: &mut SectionReader<'_>| {
            each(shape.kv_heads, |_| Tokens::unpark(shape.head_dim, count, sections))
        };
        self.sinks = tokens(sink, sections)?;
        self.tails = tokens(tail, sections)?;
        Ok(())
    }
}
