//! The past of one layer: sink, codes, exact tail.

use std::ops::Range;
use std::sync::Arc;

use fourier_kv_kernels::coded::{LANES, SlowNodes};
use fourier_kv_kernels::element::load_all;
use fourier_kv_kernels::simd::CacheLine;
use half::bf16;

use super::coded::{Coded, KEYS, ORDERS, VALUES};
use super::coding::Coding;
use super::fit::MOST_TOKENS;
use super::fit_sides::{fit_sides, share};
use super::settings::SpectralSettings;
use super::shares::{Shares, SideStatistics};
use super::size::Room;
use super::slow::{TURNINGS, node_turns};
use super::time::cosines;
use super::weighting::{QueryEnergy, to_tile_order, weigh_keys, weigh_values};
use crate::bytes::{CacheBytes, held};
use crate::rotary::{Rotary, Way};
use crate::tokens::Tokens;
use crate::{CacheContext, CacheShape, Workspace};

/// What all layers of a cache share.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) settings: SpectralSettings,
    pub(super) context: CacheContext,
    pub(super) rotary: Rotary,
    /// How rates are shared out, if a plan says so.
    pub(super) shares: Option<Arc<Shares>>,
    pub(super) coding: Coding,
    /// Orthonormal DCT-II, `[B][B]`.
    pub(super) cosines: Vec<f32>,
    /// `[D/2][2]`: cosines and sines of the first tokens of a superblock's blocks.
    pub(super) lanes: Vec<CacheLine>,
    pub(super) nodes: SlowNodes,
    /// Of [`TURNINGS`], by their numbers.
    pub(super) node_turns: [Vec<f32>; 2],
}

impl Shared {
    pub(super) fn new(settings: SpectralSettings, context: CacheContext, shares: Option<Arc<Shares>>) -> Self {
        let (block, coding) = (settings.block, Coding::new(settings.without));
        let rotary = Rotary::new(&context.shape.rope_frequencies, LANES * block);
        let (cosines, lanes, nodes) = (cosines(block), lanes(&rotary, block), SlowNodes::new(block));
        let node_turns = TURNINGS.map(|turning| node_turns(&rotary, &nodes, turning));
        Shared { settings, context, rotary, shares, coding, cosines, lanes, nodes, node_turns }
    }

    /// Bytes of what the layers of a cache share, with the two counts of those that do.
    pub(super) fn bytes(settings: &SpectralSettings, shape: &CacheShape) -> usize {
        let rotary = Rotary::new(&shape.rope_frequencies, LANES * settings.block);
        let turns: usize = TURNINGS.iter().map(|turning| turning.nodes()).sum();
        rotary.bytes()
            + rotary.pairs() * (2 * size_of::<CacheLine>() + turns * 2 * size_of::<f32>())
            + settings.block * settings.block * size_of::<f32>()
            + Coding::bytes(settings.without)
            + size_of::<Shared>()
            + 2 * size_of::<usize>()
    }

    pub(super) fn shape(&self) -> &CacheShape {
        &self.context.shape
    }
}

/// Cosines and sines of the first tokens of a superblock's blocks, `[D/2][2]`.
fn lanes(rotary: &Rotary, block: usize) -> Vec<CacheLine> {
    let mut lanes = vec![CacheLine::ZERO; 2 * rotary.pairs()];
    let pairs = CacheLine::floats_mut(&mut lanes).as_chunks_mut().0;
    pairs.iter_mut().enumerate().for_each(|(pair, to)| *to = rotary.vectors(pair, block));
    lanes
}

/// What rows are weighed with.
#[derive(Clone, Copy)]
struct Weighing<'a> {
    shared: &'a Shared,
    /// Of keys.
    weights: &'a [f32],
    workspace: &'a Workspace,
}

/// One layer's past.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub(super) sealed: bool,
    index: usize,
    pub(super) energy: QueryEnergy,
    /// `[G]`.
    pub(super) sinks: Vec<Tokens<bf16>>,
    pub(super) coded: Option<Coded>,
    /// `[G]`.
    pub(super) tails: Vec<Tokens<bf16>>,
}

impl Layer {
    pub(super) fn new(index: usize, shape: &CacheShape) -> Self {
        let tokens = || (0..shape.kv_heads).map(|_| Tokens::new(shape.head_dim)).collect();
        Layer { sealed: false, index, energy: QueryEnergy::new(shape), sinks: tokens(), coded: None, tails: tokens() }
    }

    /// Its number.
    pub(super) fn index(&self) -> usize {
        self.index
    }

    pub(super) fn len(&self) -> usize {
        self.sink_len() + self.coded_tokens() + self.tail_len()
    }

    /// Tokens in codes.
    pub(super) fn coded_tokens(&self) -> usize {
        self.coded.as_ref().map_or(0, Coded::tokens)
    }

    pub(super) fn tail_len(&self) -> usize {
        self.tails.first().map_or(0, Tokens::len)
    }

    /// Takes note of queries, as long as they can still matter.
    pub(super) fn see(&mut self, rows: &crate::KvRows<'_>, shape: &CacheShape) {
        if self.coded.is_none() {
            self.energy.add(rows, shape);
        }
    }

    /// Codes what is due; gives back the tail's memory beyond what it will need.
    pub(super) fn settle(&mut self, shared: &Shared, workspace: &Workspace) {
        let spare = shared.settings.block;
        let count = shared.settings.due(self.tail_len(), self.coded.is_some());
        if count > 0 {
            let coded = self.coded.take();
            let mut coded = coded.unwrap_or_else(|| {
                self.sinks = self.tails.iter().map(|tail| tail.copy_first(shared.settings.sink)).collect();
                self.tails.iter_mut().for_each(|tail| tail.drop_first(shared.settings.sink, spare));
                self.fitted(count, shared, workspace)
            });
            let first = coded.tokens();
            let (tiles, weights) = ([KEYS, VALUES].map(|s| coded.sides[s].tiles.clone()), coded.key_weights.clone());
            coded.push(count / spare, workspace, &|from, count, side, out| {
                let with = Weighing { shared, weights: &weights, workspace };
                self.weighted((from..from + count, first), side, &with, out);
                to_tile_order(&tiles[side], out);
            });
            self.coded = Some(coded);
        }
        self.tails.iter_mut().for_each(|tail| tail.drop_first(count, spare));
    }

    /// What fits the first `count` tokens of the tails.
    fn fitted(&self, count: usize, shared: &Shared, workspace: &Workspace) -> Coded {
        let (settings, shape) = (&shared.settings, shared.shape());
        let room = Room::new(settings, shape, shared.shares.as_deref(), count);
        let weights = self.energy.key_weights(shape, settings.without.weights);
        let sides = fit_sides(shared, &room, self.index, workspace, |side, tiles| {
            let mut rows = Vec::new();
            for from in sampled(count, settings.block) {
                let mut block = Vec::new();
                let with = Weighing { shared, weights: &weights, workspace };
                self.weighted((from..from + settings.block, 0), side, &with, &mut block);
                rows.extend_from_slice(&block);
            }
            to_tile_order(tiles, &mut rows);
            rows
        });
        Coded::new(sides, room.spans, weights, room.words_of(self.index))
    }

    /// Weighted rows of tokens of the tails, `[n][C]` in the order of channels; the tails begin `first` tokens after the
    /// sink.
    fn weighted(&self, (tokens, first): (Range<usize>, usize), side: usize, with: &Weighing<'_>, out: &mut Vec<f32>) {
        let Weighing { shared, weights, workspace } = *with;
        let shape = shared.shape();
        out.resize(tokens.len() * weights.len(), 0.0);
        workspace.with_scratch(|scratch| {
            let rows = &mut scratch.floats;
            for (head, tail) in self.tails.iter().enumerate() {
                let region = tail.range(tokens.clone());
                let stored = if side == KEYS { region.keys } else { region.values };
                rows.resize(stored.len(), 0.0);
                load_all(stored, rows);
                if side == KEYS {
                    shared.rotary.turn(rows, self.sink_len() + first + tokens.start, Way::Back);
                    weigh_keys(rows, head, weights, out);
                } else {
                    let root = shared.context.output_roots().root(self.index * shape.kv_heads + head);
                    weigh_values(workspace.isa(), rows, head, root, out);
                }
            }
        });
    }

    /// What its codes are expected to lose, once there are any.
    pub(super) fn statistics(&self) -> Option<[SideStatistics; 2]> {
        let sides = &self.coded.as_ref()?.sides;
        let shares = share(sides);
        Some([KEYS, VALUES].map(|s| {
            let numbers = sides[s].mean.len() * sides[s].block();
            SideStatistics {
                share: shares[s].clone(),
                numbers,
                error: sides[s].expected_error(ORDERS[s]) / numbers as f64,
            }
        }))
    }

    pub(super) fn sink_len(&self) -> usize {
        self.sinks.first().map_or(0, Tokens::len)
    }

    /// Makes room for `tokens` more, one at a time.
    pub(super) fn reserve(&mut self, tokens: usize, settings: &SpectralSettings) {
        let longest = settings.longest(self.coded.is_some());
        let held = self.tail_len();
        self.tails.iter_mut().for_each(|tail| tail.reserve(tokens.min(longest.saturating_sub(held))));
        if let Some(coded) = &mut self.coded {
            coded.reserve(settings.due(held + tokens, true));
        }
    }

    pub(super) fn bytes(&self) -> CacheBytes {
        let whole = self.sinks.iter().chain(&self.tails);
        let mut bytes = CacheBytes {
            tokens: whole.map(Tokens::bytes).sum(),
            bookkeeping: held(&self.sinks) + held(&self.tails) + self.energy.bytes(),
            ..CacheBytes::default()
        };
        bytes += self.coded.as_ref().map(Coded::bytes).unwrap_or_default();
        bytes
    }
}

/// Where the blocks begin that directions are found from: all of them, or as many as may be, evenly spaced.
fn sampled(tokens: usize, block: usize) -> impl Iterator<Item = usize> {
    let (all, most) = (tokens / block, MOST_TOKENS / block);
    let count = all.min(most);
    (0..count).map(move |i| i * all / count * block)
}
