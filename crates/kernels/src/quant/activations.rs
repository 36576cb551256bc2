//! Activations as integers of 16 bits, a scale for every group of 32: what integer products are made with.
//!
//! A group's largest magnitude becomes 32,767: rounding moves a number by at most `2^-16` of it, 258 times less than the
//! 8 bits that are usual. With weights of a byte a group's products sum up to less than `2^31`, and so do those of half a
//! group with the largest integers of weights, 4096: `16 * 4096 * 32767 < 2^31`.
//!
//! Tokens lie in tiles of twelve, a group's numbers of a tile together in the order in which products read them:
//! memory is read from front to back.

use super::layout::{GROUP, halves};
use crate::isa::{Isa, Operation};
use crate::parts::{Chunks, Parts};
use crate::simd::{Lanes, Simd, WIDTH};
use crate::team::Team;

/// Pairs of numbers in a group.
pub(super) const PAIRS: usize = GROUP / 2;
/// Tokens in a tile.
pub const TILE: usize = 12;
/// The largest integer.
const LARGEST: f32 = 32_767.0;

/// One group of a tile of tokens.
#[derive(Clone, Copy, Debug)]
pub(super) struct TileGroup {
    /// Pair `i` is the numbers `i` and `i + 16`, integers of 16 bits, the first in the lower half.
    pub(super) pairs: [[i32; TILE]; PAIRS],
    pub(super) scales: [f32; TILE],
    /// Sums of the activations themselves.
    pub(super) sums: [f32; TILE],
}

impl TileGroup {
    const ZERO: Self = TileGroup { pairs: [[0; TILE]; PAIRS], scales: [0.0; TILE], sums: [0.0; TILE] };
}

/// `n` tokens of `C` activations; the last group and the last tile are filled up with zeros.
#[derive(Clone, Debug, Default)]
pub struct Activations {
    tokens: usize,
    groups: usize,
    /// `[ceil(n / 12)][groups]`.
    tiles: Vec<TileGroup>,
}

impl Activations {
    /// Makes room for `n` tokens of `cols` activations, and hands out its tiles: tile `i` is to be given the tokens from
    /// `12 i` on.
    pub fn tiles_mut(&mut self, n: usize, cols: usize) -> ActivationTiles<'_> {
        self.tokens = n;
        self.groups = cols.div_ceil(GROUP);
        self.tiles.resize(n.div_ceil(TILE) * self.groups, TileGroup::ZERO);
        ActivationTiles { cols, tiles: Chunks::new(&mut self.tiles, self.groups) }
    }

    /// Rounds `x`, `[n][cols]`, on the calling thread.
    pub fn round(&mut self, isa: Isa, x: &[f32], cols: usize) {
        let tokens = x.len() / cols.max(1);
        Team::alone().for_parts(self.tiles_mut(tokens, cols), |i, mut tile| {
            tile.round(isa, &x[i * TILE * cols..((i + 1) * TILE).min(tokens) * cols]);
        });
    }

    /// Groups a token.
    pub(super) fn groups(&self) -> usize {
        self.groups
    }

    /// The number of tokens.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Some groups of tile `tile`.
    #[inline(always)]
    pub(super) fn tile(&self, tile: usize, groups: std::ops::Range<usize>) -> &[TileGroup] {
        &self.tiles[tile * self.groups..(tile + 1) * self.groups][groups]
    }
}

/// All tiles of [`Activations`], to be written.
#[derive(Debug)]
pub struct ActivationTiles<'a> {
    cols: usize,
    tiles: Chunks<'a, TileGroup>,
}

// SAFETY: parts are those of a slice in chunks.
unsafe impl<'a> Parts for ActivationTiles<'a> {
    type Part = ActivationTile<'a>;

    fn count(&self) -> usize {
        self.tiles.count()
    }

    unsafe fn part(&self, i: usize) -> ActivationTile<'a> {
        // SAFETY: as the caller promises.
        ActivationTile { cols: self.cols, groups: unsafe { self.tiles.part(i) } }
    }
}

/// A tile of [`Activations`], to be written.
#[derive(Debug)]
pub struct ActivationTile<'a> {
    cols: usize,
    groups: &'a mut [TileGroup],
}

impl ActivationTile<'_> {
    /// Rounds up to twelve tokens, `[tokens][cols]`.
    pub fn round(&mut self, isa: Isa, x: &[f32]) {
        isa.run(Round { x, to: self });
    }
}

struct Round<'a, 'b> {
    x: &'a [f32],
    to: &'a mut ActivationTile<'b>,
}

impl Operation for Round<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        let Round { x, to } = self;
        let tokens = x.len() / to.cols.max(1);
        // Group by group, so that what is written lies together.
        for (g, group) in to.groups.iter_mut().enumerate() {
            let mut pairs = [[0; WIDTH]; WIDTH];
            for t in 0..tokens {
                let row = &x[t * to.cols..(t + 1) * to.cols];
                let part = &row[g * GROUP..row.len().min((g + 1) * GROUP)];
                let (scale, sum) = match part.try_into() {
                    Ok(whole) => round_group::<V>(whole, &mut pairs[t]),
                    Err(_) => round_group::<V>(&padded(part), &mut pairs[t]),
                };
                (group.scales[t], group.sums[t]) = (scale, sum);
            }
            for (to, tokens) in group.pairs.iter_mut().zip(V::transpose(&pairs)) {
                to.copy_from_slice(&tokens[..TILE]);
            }
            group.scales[tokens..].fill(0.0);
            group.sums[tokens..].fill(0.0);
        }
    }
}

#[inline(always)]
fn padded(x: &[f32]) -> [f32; GROUP] {
    let mut all = [0.0; GROUP];
    all[..x.len()].copy_from_slice(x);
    all
}

/// A group's scale, its inverse, and the group's two vectors. Groups so small that their scale has no inverse are zero.
#[inline(always)]
pub(super) fn scale_of<V: Simd>(x: &[f32; GROUP]) -> (f32, f32, [V::Floats; 2]) {
    let [low, high] = halves(x);
    let (a, b, zero) = (V::Floats::load(low), V::Floats::load(high), V::Floats::splat(0.0));
    let scale = a.max(zero.sub(a)).max(b.max(zero.sub(b))).largest() / LARGEST;
    (scale, if scale > f32::MIN_POSITIVE { 1.0 / scale } else { 0.0 }, [a, b])
}

/// Rounds a group of one token to pairs; its scale and its sum.
#[inline(always)]
fn round_group<V: Simd>(x: &[f32; GROUP], pairs: &mut [i32; PAIRS]) -> (f32, f32) {
    let (scale, inverse, [a, b]) = scale_of::<V>(x);
    let [low, high] = [a, b].map(|x| V::to_integers(x.mul(V::Floats::splat(inverse))));
    V::store_integers(V::or(V::and(low, V::integers(0xFFFF)), V::shift_left::<16>(high)), pairs);
    (scale, a.add(b).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_the_nearest_and_sums_are_sums() {
        let (cols, tokens) = (75, 14);
        let x: Vec<f32> =
            (0..tokens * cols).map(|i| (i as f32 * 0.7).sin() * 10f32.powi(i as i32 / 32 % 9 - 4)).collect();
        for isa in Isa::available() {
            let mut rounded = Activations::default();
            rounded.round(isa, &x, cols);
            assert_eq!((rounded.tokens(), rounded.groups()), (tokens, 3));
            for t in 0..tokens {
                for g in 0..3 {
                    let group = &rounded.tile(t / TILE, g..g + 1)[0];
                    let x = &x[t * cols + g * GROUP..t * cols + cols.min((g + 1) * GROUP)];
                    let largest = x.iter().fold(0.0f32, |m, v| m.max(v.abs()));
                    let (scale, sum) = (group.scales[t % TILE], group.sums[t % TILE]);
                    for i in 0..GROUP {
                        let q = (group.pairs[i % PAIRS][t % TILE] >> (16 * (i / PAIRS))) as i16;
                        let exact = x.get(i).copied().unwrap_or(0.0);
                        assert!((f32::from(q) * scale - exact).abs() <= largest / 65_534.0 * 1.01, "{isa} {t} {g} {i}");
                    }
                    assert!((sum - x.iter().sum::<f32>()).abs() <= 1e-5 * largest, "{isa}");
                }
            }
            let beyond = &rounded.tile(1, 0..1)[0];
            assert!(beyond.scales[2..].iter().chain(&beyond.sums[2..]).all(|&s| s == 0.0));
        }
    }

    #[test]
    fn nothing_and_almost_nothing_are_zero() {
        let mut rounded = Activations::default();
        rounded.round(Isa::detect(), &[0.0, -0.0, 1e-40, -1e-45], 4);
        assert!(rounded.tile(0, 0..1)[0].pairs.iter().all(|p| p[0] == 0));
        rounded.round(Isa::detect(), &[], 4);
        assert_eq!(rounded.tokens(), 0);
    }
}
