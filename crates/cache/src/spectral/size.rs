//! How many bytes coded tokens may take, and how many a prompt will take: in numbers of tokens alone, whatever its
//! content.

use fourier_kv_kernels::coded::LANES;

use super::layer::{Layer, Shared};
use super::settings::{Span, SpectralSettings};
use super::shares::Shares;
use super::tiles::Tiles;
use crate::expected::PromptSize;
use crate::tokens::{Tokens, room_after};
use crate::{CacheBytes, CacheShape};

/// Tables are paid for over no fewer tokens than this: a short past will grow.
const LEAST_TOKENS: usize = 4096;
/// The largest part of a side's bytes that its table may take, before a smaller span is taken.
const LARGEST_TABLE: f64 = 0.25;

/// How the bytes of coded tokens are divided.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room<'a> {
    settings: &'a SpectralSettings,
    shape: &'a CacheShape,
    /// How a plan shares rates out; all layers get as much without one.
    shares: Option<&'a Shares>,
    /// Channels that are transformed together, of keys and values.
    pub(super) spans: [Span; 2],
    /// Bits that are left for the codes of a number, on average over all layers.
    rate: f64,
    /// Words of 32 bits for a block's codes, keys and values, where all layers get as many.
    pub(super) words: usize,
}

impl<'a> Room<'a> {
    /// The division for a past of which `tokens` are coded at first.
    pub(super) fn new(
        settings: &'a SpectralSettings,
        shape: &'a CacheShape,
        shares: Option<&'a Shares>,
        tokens: usize,
    ) -> Self {
        let spans = spans(settings, shape, budget(settings, shape, tokens.max(LEAST_TOKENS)));
        Room::with_spans(settings, shape, shares, tokens, spans)
    }

    /// The same, with these channels transformed together.
    pub(super) fn with_spans(
        settings: &'a SpectralSettings,
        shape: &'a CacheShape,
        shares: Option<&'a Shares>,
        tokens: usize,
        spans: [Span; 2],
    ) -> Self {
        let shares = shares.filter(|_| !settings.without.shares);
        let channels = shape.kv_heads * shape.head_dim;
        let tokens = tokens.max(LEAST_TOKENS);
        let budget = budget(settings, shape, tokens);
        let mut room = Room { settings, shape, shares, spans, rate: 0.0, words: 0 };
        let tables = (0..shape.layers).map(|layer| room.tables(layer)).sum::<usize>() as f64 / shape.layers as f64;
        let superblocks = tokens.div_ceil(LANES * settings.block);
        let words = ((budget - tables) / (4 * LANES * superblocks) as f64).max(2.0);
        room.rate = 32.0 * words / (2 * channels * settings.block) as f64;
        room.words = words as usize;
        room
    }

    /// Directions kept of a layer's keys and values, of all tiles: as many as the bits that they get, tables and all, are
    /// worth, and no fewer than the mean is: where little is coded, what is dropped harms most.
    pub(super) fn directions(&self, layer: usize) -> [usize; 2] {
        let mean = self.settings.rate.bits();
        let bits = self.shares.map_or([mean; 2], |shares| shares.at(mean, layer));
        std::array::from_fn(|s| directions(self.settings, self.spans[s], self.shape, bits[s].max(mean)))
    }

    /// Bytes of a layer's tables, of both sides.
    pub(super) fn tables(&self, layer: usize) -> usize {
        let sides = self.directions(layer).into_iter().zip(self.spans);
        let sides = sides.map(|(rows, span)| table_bytes(self.settings, span, self.shape, rows));
        sides.sum::<usize>() + size_of::<f32>() * self.shape.kv_heads * self.shape.head_dim
    }

    /// Words for a block's keys and for its values, if a plan says how they are shared out.
    pub(super) fn sides(&self, layer: usize) -> Option<[usize; 2]> {
        let numbers = (self.shape.kv_heads * self.shape.head_dim * self.settings.block) as f64;
        let words = |bits: f64| ((bits * numbers / 32.0) as usize).max(1);
        self.shares.map(|shares| shares.at(self.rate, layer).map(words))
    }

    /// Words for both together.
    pub(super) fn words_of(&self, layer: usize) -> usize {
        self.sides(layer).map_or(self.words, |sides| sides.iter().sum())
    }

    /// Words of a block, and bytes of tables, of all layers.
    pub(super) fn totals(&self) -> [usize; 2] {
        let layers = 0..self.shape.layers;
        [layers.clone().map(|layer| self.words_of(layer)).sum(), layers.map(|layer| self.tables(layer)).sum()]
    }
}

/// Bytes of so many coded tokens of a layer, tables and all.
fn budget(settings: &SpectralSettings, shape: &CacheShape, tokens: usize) -> f64 {
    settings.rate.bits() / 8.0 * (2 * shape.kv_heads * shape.head_dim * tokens) as f64
}

/// The channels that are transformed together, of keys and values: no more than leave tables small.
fn spans(settings: &SpectralSettings, shape: &CacheShape, budget: f64) -> [Span; 2] {
    if settings.without.klt {
        // Nothing is transformed: the smallest table of unit vectors.
        return [Span::Dims(2); 2];
    }
    [settings.keys, settings.values].map(|span| {
        let smaller = [span, Span::Head, Span::Dims(32), Span::Dims(16)].into_iter();
        let bits = settings.rate.bits();
        let bytes = |s: &Span| table_bytes(settings, *s, shape, directions(settings, *s, shape, bits));
        let fits = |s: &Span| bytes(s) as f64 <= LARGEST_TABLE * budget / 2.0;
        let size = |s: Span| s.sizes(shape).0 * s.sizes(shape).1;
        smaller.filter(|s| size(*s) <= size(span)).find(fits).unwrap_or(Span::Dims(16))
    })
}

/// Directions that are worth their place in a table: at low rates the rest would get no bits.
fn directions(settings: &SpectralSettings, span: Span, shape: &CacheShape, bits: f64) -> usize {
    let (channels, n) = (shape.kv_heads * shape.head_dim, span.channels(shape));
    if settings.without.klt {
        return channels;
    }
    // Places in small tables cost little.
    let share = if n <= 64 { 0.55 + 0.22 * bits } else { 0.42 + 0.21 * bits }.min(1.0);
    let tiles = channels / n;
    ((channels as f64 * share).ceil() as usize).max(tiles)
}

/// Bytes of a [`super::side::Side`] of so many directions.
fn table_bytes(settings: &SpectralSettings, span: Span, shape: &CacheShape, rows: usize) -> usize {
    let (channels, n) = (shape.kv_heads * shape.head_dim, span.channels(shape));
    let means = channels * size_of::<f32>() + channels / n * size_of::<u16>();
    let tiles = size_of::<Tiles>() + 2 * size_of::<usize>() + channels * size_of::<u16>();
    let tiles = tiles + (channels / n + 1) * size_of::<usize>();
    means + tiles + rows * (n + size_of::<f32>() + settings.block)
}

/// What a cache with these settings holds once a prompt has been sealed.
pub(crate) fn expected_bytes(
    settings: &SpectralSettings,
    shape: &CacheShape,
    shares: Option<&Shares>,
    prompt: PromptSize,
) -> CacheBytes {
    let coded = settings.due(prompt.tokens, false);
    let sink = if coded > 0 { settings.sink } else { 0 };
    let tail = room_after(prompt.tokens, prompt.tile).min(prompt.tokens - sink - coded + settings.block);
    let codes = if coded > 0 {
        let [words, tables] = Room::new(settings, shape, shares, coded).totals();
        let superblocks = coded.div_ceil(LANES * settings.block);
        tables + superblocks * words * size_of::<[u32; LANES]>()
    } else {
        0
    };
    let energy = shape.kv_heads * shape.head_dim / 2 * size_of::<f64>();
    let heads = 2 * shape.kv_heads * size_of::<Tokens<f32>>();
    CacheBytes {
        tokens: shape.exact_bytes(sink + tail, 2),
        codes,
        bookkeeping: shape.layers * (size_of::<Layer>() + energy + heads) + Shared::bytes(settings, shape),
        ..CacheBytes::default()
    }
}
