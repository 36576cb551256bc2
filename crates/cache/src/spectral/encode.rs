//! From weighted rows to codes.

use fourier_kv_kernels::coded::LANES;
use fourier_kv_kernels::trellis::Coefficients;

use super::fit::{columns, shift};
use super::side::Side;
use super::stream::{Order, Stream};
use super::time::to_harmonics;
use crate::Workspace;
use crate::product::{product_alone, turned};

/// Codes blocks of a side.
#[derive(Debug)]
pub(super) struct Encoder<'a> {
    side: &'a Side,
    stream: Stream,
    basis: Vec<f32>,
    /// Of each tile.
    forward: Vec<Forward>,
    /// Squared sizes: what errors of normalised coefficients count.
    weights: Vec<f32>,
}

impl<'a> Encoder<'a> {
    /// For so many tokens.
    pub(super) fn new(side: &'a Side, order: Order, tokens: usize, workspace: &Workspace) -> Self {
        let stream = Stream::new(side, order);
        let forward = (0..side.tiles.count()).map(|tile| Forward::new(side, tile, tokens, workspace)).collect();
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
            self.forward[tile].apply(&own, n, workspace, &mut parts);
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

/// What gives the coefficients that the stored directions of a tile, `[R][n]`, rebuild a token most nearly with.
#[derive(Debug)]
enum Forward {
    /// [`dual`] of the directions.
    Dual(Vec<f32>),
    /// The directions `U` and `U^T`: the same in three products a token, less than the dual costs when tokens are few.
    Steps([Vec<f32>; 2]),
}

impl Forward {
    fn new(side: &Side, tile: usize, tokens: usize, workspace: &Workspace) -> Self {
        let (directions, n) = (side.directions(tile), side.tiles.channels(tile).len());
        if tokens < side.kept(tile) {
            let back = turned(&directions, n);
            Forward::Steps([directions, back])
        } else {
            Forward::Dual(dual(&directions, n, workspace))
        }
    }

    /// Coefficients `[tokens][R]` of tokens `[tokens][n]`.
    fn apply(&self, tokens: &[f32], n: usize, workspace: &Workspace, out: &mut Vec<f32>) {
        let (directions, back) = match self {
            Forward::Dual(dual) => return product_alone(workspace, dual, tokens, n, out),
            Forward::Steps([directions, back]) => (directions, back),
        };
        let (mut rebuilt, mut again) = (Vec::new(), Vec::new());
        product_alone(workspace, directions, tokens, n, out);
        product_alone(workspace, back, out, directions.len() / n, &mut rebuilt);
        product_alone(workspace, directions, &rebuilt, n, &mut again);
        out.iter_mut().zip(&again).for_each(|(x, again)| *x = 2.0 * *x - again);
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
