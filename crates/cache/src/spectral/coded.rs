//! The coded tokens of one layer.

use fourier_kv_kernels::coded::LANES;
use fourier_kv_kernels::parts::Chunks;
use fourier_kv_kernels::simd::CacheLine;
use fourier_kv_kernels::trellis::PairLayout;

use super::encode::Encoder;
use super::settings::{Span, SpectralSettings};
use super::side::Side;
use super::stream::{Order, for_pairs};
use super::tiles::Tiles;
use crate::bytes::{CacheBytes, held};
use crate::park::{ParkError, SectionReader, SectionWriter, Tag};
use crate::tokens::growth;
use crate::{CacheShape, Workspace};

const CODED: Tag = *b"code";
const WEIGHTS: Tag = *b"kwts";
const CODES: Tag = *b"pair";

/// Which side a [`Side`] is.
pub(super) const KEYS: usize = 0;
pub(super) const VALUES: usize = 1;

/// The order of streams, keys and values.
pub(super) const ORDERS: [Order; 2] = [Order::Harmonics, Order::Directions];

/// Writes weighted rows, in the order of tiles, of new tokens: `(first, count, side, out)`.
pub(super) type NewRows<'a> = dyn Fn(usize, usize, usize, &mut Vec<f32>) + Sync + 'a;

/// Codes of blocks, and what they mean.
#[derive(Clone, Debug)]
pub(super) struct Coded {
    /// Keys and values.
    pub(super) sides: [Side; 2],
    /// Channels that are transformed together.
    spans: [Span; 2],
    /// `[G D]`: what keys were multiplied with.
    pub(super) key_weights: Vec<f32>,
    /// Words a block, of keys and of values.
    pub(super) words: [usize; 2],
    /// Words a block that there is room for: no fewer than both.
    room: usize,
    /// Blocks that are coded.
    blocks: usize,
    /// `[superblocks][room][16]`, keys first.
    codes: Vec<CacheLine>,
}

impl Coded {
    /// Without any blocks; `room` words are kept for each.
    pub(super) fn new(sides: [Side; 2], spans: [Span; 2], key_weights: Vec<f32>, room: usize) -> Self {
        let words = words(&sides);
        debug_assert!(words[0] + words[1] <= room, "{words:?} of {room}");
        Coded { sides, spans, key_weights, words, room: room.max(words[0] + words[1]), blocks: 0, codes: Vec::new() }
    }

    /// Tokens a block.
    pub(super) fn block(&self) -> usize {
        self.sides[KEYS].block()
    }

    /// Tokens that are coded.
    pub(super) fn tokens(&self) -> usize {
        self.blocks * self.block()
    }

    /// Superblocks, the last perhaps not full.
    pub(super) fn superblocks(&self) -> usize {
        self.blocks.div_ceil(LANES)
    }

    /// Tokens of a superblock.
    pub(super) fn tokens_of(&self, superblock: usize) -> usize {
        self.blocks.saturating_sub(superblock * LANES).min(LANES) * self.block()
    }

    /// The codes of one side of a superblock, `[words][16]`.
    pub(super) fn codes(&self, superblock: usize, side: usize) -> &[[u32; LANES]] {
        let first = superblock * self.room + if side == KEYS { 0 } else { self.words[KEYS] };
        CacheLine::words(&self.codes[first..first + self.words[side]])
    }

    /// Makes room for `blocks` more: of a prompt's no more than that, later as tokens that are kept whole.
    pub(super) fn make_room(&mut self, blocks: usize) {
        let needed = (self.blocks + blocks).div_ceil(LANES);
        let held = self.codes.len() / self.room;
        if needed > held && needed * self.room > self.codes.capacity() {
            let more = if held == 0 {
                needed
            } else {
                (needed - held).max(growth(self.tokens()).div_ceil(self.block() * LANES))
            };
            self.codes.reserve_exact(more * self.room);
        }
        self.codes.resize(needed.max(held) * self.room, CacheLine::ZERO);
    }

    /// Makes room for so many tokens more.
    pub(super) fn reserve(&mut self, tokens: usize) {
        let needed = (self.blocks + tokens.div_ceil(self.block())).div_ceil(LANES) * self.room;
        self.codes.reserve_exact(needed.saturating_sub(self.codes.len()));
    }

    /// Codes whole blocks. `rows(first, count, side, out)` writes weighted rows, in the order of tiles, of `count` of the
    /// new tokens from `first` on.
    pub(super) fn push(&mut self, blocks: usize, workspace: &Workspace, rows: &NewRows<'_>) {
        self.make_room(blocks);
        let block = self.block();
        let mut encoders = [None, None];
        workspace.team().for_parts(Chunks::new(&mut encoders, 1), |s, encoder| {
            encoder[0] = Some(Encoder::new(&self.sides[s], ORDERS[s], blocks * block, workspace));
        });
        let encoders = encoders.map(|encoder| encoder.expect("one was made for each side"));
        let (first, room, words) = (self.blocks / LANES, self.room, self.words);
        let (old, end) = (self.blocks, self.blocks + blocks);
        let open = CacheLine::words_mut(&mut self.codes[first * room..end.div_ceil(LANES) * room]);
        // Both sides of each superblock apart: while single tokens come, one superblock is all there is.
        let mut places: Vec<_> = open
            .chunks_mut(room)
            .flat_map(|superblock| {
                let (keys, values) = superblock.split_at_mut(words[KEYS]);
                [keys, &mut values[..words[VALUES]]]
            })
            .collect();
        workspace.team().for_parts(Chunks::new(&mut places, 1), |i, place| {
            let (superblock, side) = (first + i / 2, if i % 2 == 0 { KEYS } else { VALUES });
            let (from, to) = ((superblock * LANES).max(old), ((superblock + 1) * LANES).min(end));
            let lane = from % LANES;
            let (mut weighted, mut coded) = (Vec::new(), vec![[0; LANES]; words[side]]);
            rows((from - old) * block, (to - from) * block, side, &mut weighted);
            encoders[side].encode(&weighted, workspace, &mut coded);
            for (to_word, word) in place[0].iter_mut().zip(&coded) {
                to_word[lane..lane + to - from].copy_from_slice(&word[..to - from]);
            }
        });
        self.blocks = end;
    }

    pub(super) fn park(&self, out: &mut SectionWriter<'_>) -> Result<(), ParkError> {
        out.counts(CODED, &[self.spans[KEYS].number(), self.spans[VALUES].number(), self.room])?;
        self.sides.iter().try_for_each(|side| side.park(out))?;
        out.numbers(WEIGHTS, &self.key_weights)?;
        out.numbers(CODES, CacheLine::words(&self.codes[..self.superblocks() * self.room]).as_flattened())
    }

    /// Reads so many coded tokens, more than none.
    pub(super) fn unpark(
        tokens: usize,
        settings: &SpectralSettings,
        shape: &CacheShape,
        sections: &mut SectionReader<'_>,
    ) -> Result<Self, ParkError> {
        let [keys, values, room] = sections.counts(CODED)?;
        let span = |number| Span::of_number(number).ok_or_else(|| ParkError::content(CODED, "a span", number));
        let spans = [span(keys)?, span(values)?];
        let mut side = |s: usize| Side::unpark(Tiles::new(spans[s], shape), settings.block, sections);
        let sides = [side(KEYS)?, side(VALUES)?];
        let channels = shape.kv_heads * shape.head_dim;
        let key_weights = sections.numbers(WEIGHTS, channels)?;
        let words = words(&sides);
        // No coefficient has more than eight bits.
        if !(words[KEYS] + words[VALUES]..=channels * settings.block / 2 + 2).contains(&room) {
            return Err(ParkError::content(CODED, format!("room for {words:?} words a block"), room));
        }
        let blocks = tokens / settings.block;
        let flat: Vec<u32> = sections.numbers(CODES, blocks.div_ceil(LANES).saturating_mul(room * LANES))?;
        let mut codes = vec![CacheLine::ZERO; flat.len() / LANES];
        CacheLine::words_mut(&mut codes).as_flattened_mut().copy_from_slice(&flat);
        Ok(Coded { sides, spans, key_weights, words, room, blocks, codes })
    }

    pub(super) fn bytes(&self) -> CacheBytes {
        let tables = self.sides.iter().map(Side::bytes).sum::<usize>() + held(&self.key_weights);
        CacheBytes { codes: held(&self.codes) + tables, ..CacheBytes::default() }
    }
}

/// Words of a block's keys and of its values.
fn words(sides: &[Side; 2]) -> [usize; 2] {
    [KEYS, VALUES].map(|s| {
        let mut layout = PairLayout::default();
        for_pairs(&sides[s], ORDERS[s], |both| {
            layout.push(both.bits, both.sizes, 0);
        });
        layout.words().iter().sum()
    })
}
