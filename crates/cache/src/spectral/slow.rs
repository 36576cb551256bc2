//! Which tiles of keys are met by queries at once, without being rebuilt: those whose pairs RoPE hardly turns within a block.

use std::ops::Range;

use fourier_kv_kernels::coded::{LANES, SlowNodes, Turning};

use super::tiles::Tiles;
use crate::CacheShape;
use crate::rotary::Rotary;

/// From little to more.
pub(super) const TURNINGS: [Turning; 2] = [Turning::Hardly, Turning::Slowly];
/// The most that pairs may turn over half a superblock, in radians. What is left out of the coded part of a score is 0.009 and
/// 5e-4 of it then, at the fastest pair and a block's very end, and a fifth of the former over a tile's pairs and a
/// block's tokens together: 20 dB below the error of codes of 6 bits.
const MOST_TURN: [f64; 2] = [0.15, 0.5];
/// Heads of a group for which it pays: bringing queries to directions is done for each.
const MOST_GROUP: usize = 12;

/// How much the pairs of a tile turn, if its keys are met without being rebuilt: its channels are of one head, and its pairs
/// slow.
pub(super) fn turning(
    tiles: &Tiles,
    tile: usize,
    shape: &CacheShape,
    rotary: &Rotary,
    block: usize,
) -> Option<Turning> {
    let pairs = pairs_of(tiles.channels(tile), shape.head_dim);
    if 2 * pairs.len() != tiles.channels(tile).len() || shape.group() > MOST_GROUP {
        return None;
    }
    let fastest = rotary.frequencies()[pairs].iter().fold(0.0f64, |a, f| a.max(f.abs()));
    let turn = fastest * (LANES * block / 2) as f64;
    TURNINGS.into_iter().zip(MOST_TURN).find(|(_, most)| turn <= *most).map(|(turning, _)| turning)
}

/// The rotary pairs of a tile's first head.
pub(super) fn pairs_of(channels: &[u16], dim: usize) -> Range<usize> {
    let first = usize::from(channels[0]);
    let dims = channels.iter().take_while(|&&c| usize::from(c) / dim == first / dim).count();
    first % dim..first % dim + dims / 2
}

/// Cosines, then sines, of what pairs turn by from the first token of a superblock to its nodes, `[J][2][D/2]`.
pub(super) fn node_turns(rotary: &Rotary, nodes: &SlowNodes, turning: Turning) -> Vec<f32> {
    let mut turns = Vec::with_capacity(turning.nodes() * 2 * rotary.pairs());
    for &x in nodes.positions(turning) {
        turns.extend(rotary.frequencies().iter().map(|f| (f * x).cos() as f32));
        turns.extend(rotary.frequencies().iter().map(|f| (f * x).sin() as f32));
    }
    turns
}
