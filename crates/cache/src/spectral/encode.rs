//! From weighted rows to codes.

use fourier_kv_kernels::coded::LANES;
use fourier_kv_kernels::trellis::Coefficients;

use super::fit::{columns, shift};
use super::side::Side;
use super::stream::Stream;
use super::time::to_harmonics;
use crate::Workspace;
use crate::product::{product_alone, turned};

/// Codes blocks of a side.
#[derive(Debug)]
pub(super) struct Encoder<'a> {
    side: &'a Side,
    stream: &'a Stream,
    basis: Vec<f32>,
    /// For each tile what gives the coefficients that the stored directions rebuild best, `[R][n]`.
    forward: Vec<Vec<f32>>,
    /// Squared sizes: what errors of normalised coefficients count.
    weights: Vec<f32>,
}

impl<'a> Encoder<'a> {
    pub(super) fn new(side: &'a Side, stream: &'a Stream, workspace: &Workspace) -> Self {
        let tiles = 0..side.tiles.count();
        let forward = tiles.map(|t| dual(&side.directions(t), side.tiles.channels(t).len(), workspace)).collect();
        let weights = stream.sizes.iter().map(|x| x * x).collect();
        Encoder { side, stream, basis: side.coding.basis(side.block()), forward, weights }
    }

    /// Codes up to sixteen blocks, weighted rows `[blocks B][C]` in the order of tiles, as words of as many lanes; the
    /// other lanes are coded as zeros.
    pub(super) fn encode(&self, rows: &[f32], workspace: &Workspace, words: &mut [[u32; LANES]]) {
        let dense = self.coefficients(rows, workspace);
        let mut values = vec![[0.0; LANES]; self.stream.bits.len()];
        for ((values, &place), &size) in values.iter_mut().zip(&self.stream.places).zip(&self.stream.sizes) {
            if size <= 0.0 {
                continue;
            }
            let inverse = 1.0 / size;
            values.iter_mut().zip(&dense[place as usize]).for_each(|(value, x)| *value = x * inverse);
        }
        let coefficients = Coefficients { values: &values, bits: &self.stream.bits, weights: &self.weights };
        self.side.coding.encode(coefficients, workspace, words);
    }

    /// Dense coefficients of all tiles.
    fn coefficients(&self, rows: &[f32], workspace: &Workspace) -> Vec<[f32; LANES]> {
        let (side, channels) = (self.side, self.side.mean.len());
        let block = side.block();
        let mut dense = Vec::with_capacity(self.stream.dense);
        let (mut parts, mut harmonics) = (Vec::new(), Vec::new());
        for tile in 0..side.tiles.count() {
            let kept = side.kept(tile);
            let n = side.tiles.channels(tile).len();
            let mut own = columns(rows, channels, &side.tiles, tile);
            shift(&mut own, &side.mean[side.tiles.start(tile)..][..n]);
            product_alone(workspace, &self.forward[tile], &own, n, &mut parts);
            harmonics.resize(kept * block, 0.0);
            let first = dense.len();
            dense.resize(first + kept * block, [0.0; LANES]);
            for (lane, tokens) in parts.chunks_exact(kept * block).enumerate() {
                to_harmonics(workspace.isa(), &self.basis, tokens, &mut harmonics);
                dense[first..].iter_mut().zip(&harmonics).for_each(|(to, &x)| to[lane] = x);
            }
        }
        dense
    }
}

/// Rows `F` with `F y` the coefficients that `directions^T` makes most nearly `y` of: `(2 - U U^T) U`, one step of
/// Newton's iteration for the inverse of `U U^T`, which is the unit matrix up to what bytes round.
pub(super) fn dual(directions: &[f32], n: usize, workspace: &Workspace) -> Vec<f32> {
    let rows = directions.len() / n;
    let (mut gram, mut correction) = (Vec::new(), Vec::new());
    product_alone(workspace, directions, directions, n, &mut gram);
    product_alone(workspace, &turned(directions, n), &gram, rows, &mut correction);
    directions.iter().zip(&correction).map(|(u, c)| 2.0 * u - c).collect()
}
