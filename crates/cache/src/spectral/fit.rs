//! Finding, for the keys or the values of one layer, the directions that they vary most in and how much they do.

use std::sync::Arc;

use fourier_kv_kernels::parts::Chunks;

use super::coding::Coding;
use super::side::{Side, SideParts};
use super::tiles::Tiles;
use super::time::to_harmonics;
use crate::Workspace;
use crate::eigen::eigen;
use crate::product::{product, turned};

/// The most tokens that directions are found from.
pub(super) const MOST_TOKENS: usize = 8192;

/// What a transform is fitted to.
#[derive(Clone, Copy)]
pub(super) struct Sample<'a> {
    /// Weighted rows, `[M][C]`, in the order of tiles; `M` is a multiple of the block.
    pub(super) rows: &'a [f32],
    /// Tokens a block.
    pub(super) block: usize,
    /// Directions to keep of all tiles together.
    pub(super) directions: usize,
    /// Whether channels are transformed at all.
    pub(super) is_mixed: bool,
    /// How coefficients are made.
    pub(super) coding: &'a Coding,
}

/// Fits sides to rows, which are shifted by their mean on the way. Tiles of all sides are shared out together, those of
/// the last side first: tiles of values are the largest.
///
/// Costs `2 M C n` products for tiles of `n` channels, `M C B` for time, and `n^3` a tile for its eigenvectors.
pub(super) fn fit(sides: [(&Arc<Tiles>, Sample<'_>); 2], workspace: &Workspace) -> [Side; 2] {
    let tiles = |side: usize| (0..sides[side].0.count()).map(move |tile| (side, tile));
    let places: Vec<(usize, usize)> = (0..sides.len()).rev().flat_map(tiles).collect();
    let mut found: Vec<Found> = places.iter().map(|_| Found::default()).collect();
    workspace.team().for_parts(Chunks::new(&mut found, 1), |i, to| {
        let (side, tile) = places[i];
        let (tiles, sample) = sides[side];
        let n = tiles.channels(tile).len();
        let mut columns = columns(sample.rows, tiles.all().len(), tiles, tile);
        let mean = mean(&columns, n);
        shift(&mut columns, &mean);
        to[0] = Found { mean, ..Found::new(&columns, n, sample, workspace) };
    });
    sides.map(|(tiles, sample)| of_tiles(tiles, sample, found.split_off(found.len() - tiles.count())))
}

/// A side of what its tiles have.
fn of_tiles(tiles: &Arc<Tiles>, sample: Sample<'_>, mut found: Vec<Found>) -> Side {
    let mean = found.iter().flat_map(|f| f.mean.iter().copied()).collect();
    let energy = |found: &[Found]| found.iter().flat_map(|f| &f.energies).sum::<f64>();
    let all = energy(&found);
    keep_largest(&mut found, sample.directions);
    let dropped = (all - energy(&found)).max(0.0) as f32;
    let deviations = found.iter().flat_map(|f| f.energies.iter().map(|e| e.sqrt() as f32)).collect();
    let directions = found.into_iter().map(|f| f.directions).collect();
    Side::new(tiles.clone(), SideParts { mean, directions, deviations, dropped, coding: sample.coding.clone() })
}

/// The directions of one tile, largest first, and the mean squares of their coefficients.
#[derive(Default)]
struct Found {
    n: usize,
    block: usize,
    /// Of its channels.
    mean: Vec<f32>,
    /// `[R][n]`.
    directions: Vec<f32>,
    /// `[R][B]`.
    energies: Vec<f64>,
}

impl Found {
    /// `rows` is `[M][n]`.
    fn new(rows: &[f32], n: usize, sample: Sample<'_>, workspace: &Workspace) -> Self {
        let (tokens, block) = (rows.len() / n, sample.block);
        let directions = if sample.is_mixed { principal(rows, n, workspace) } else { unit(n) };
        let mut parts = Vec::new();
        product(workspace, &directions, rows, n, &mut parts);
        let (cosines, mut sums) = (sample.coding.basis(block), vec![0.0; n * block]);
        let mut harmonics = vec![0.0; n * block];
        for tokens in parts.chunks_exact(n * block) {
            to_harmonics(workspace.isa(), &cosines, tokens, &mut harmonics);
            sums.iter_mut().zip(&harmonics).for_each(|(sum, x)| *sum += f64::from(*x).powi(2));
        }
        let blocks = (tokens / block).max(1) as f64;
        let mut energies: Vec<f64> = turned(&sums, n).into_iter().map(|sum| sum / blocks).collect();
        if sample.coding.is_of_single_tokens() {
            energies.chunks_exact_mut(block).for_each(to_mean);
        }
        Found { n, block, mean: Vec::new(), directions, energies }
    }

    fn count(&self) -> usize {
        self.directions.len() / self.n
    }

    /// What is lost without the last direction.
    fn last(&self) -> f64 {
        self.energies[self.energies.len() - self.block..].iter().sum()
    }
}

/// The directions that rows, `[M][n]`, vary most in, the most first: `[n][n]`.
fn principal(rows: &[f32], n: usize, workspace: &Workspace) -> Vec<f32> {
    let (columns, mut gram) = (turned(rows, n), Vec::new());
    product(workspace, &columns, &columns, rows.len() / n, &mut gram);
    let gram: Vec<f64> = gram.iter().map(|&x| f64::from(x)).collect();
    eigen(&gram, n).1.iter().map(|&x| x as f32).collect()
}

/// The channels themselves.
fn unit(n: usize) -> Vec<f32> {
    (0..n * n).map(|at| f32::from(u8::from(at / n == at % n))).collect()
}

/// Every number becomes the mean of all.
fn to_mean(numbers: &mut [f64]) {
    let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
    numbers.fill(mean);
}

/// Drops directions, the least first, until `left` are left; of each tile at least one stays.
fn keep_largest(found: &mut [Found], left: usize) {
    let mut count: usize = found.iter().map(Found::count).sum();
    while count > left {
        let droppable = found.iter_mut().filter(|f| f.count() > 1);
        let Some(least) = droppable.min_by(|a, b| a.last().total_cmp(&b.last())) else { return };
        least.directions.truncate(least.directions.len() - least.n);
        least.energies.truncate(least.energies.len() - least.block);
        count -= 1;
    }
}

fn mean(rows: &[f32], channels: usize) -> Vec<f32> {
    let mut sums = vec![0.0f64; channels];
    for row in rows.chunks_exact(channels) {
        sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x));
    }
    let count = (rows.len() / channels).max(1) as f64;
    sums.into_iter().map(|sum| (sum / count) as f32).collect()
}

/// The channels of one tile, `[M][n]`.
pub(super) fn columns(rows: &[f32], channels: usize, tiles: &Tiles, tile: usize) -> Vec<f32> {
    let run = tiles.start(tile)..tiles.start(tile) + tiles.channels(tile).len();
    let mut columns = Vec::with_capacity(rows.len() / channels * run.len());
    rows.chunks_exact(channels).for_each(|row| columns.extend_from_slice(&row[run.clone()]));
    columns
}

/// Takes the mean off rows.
pub(super) fn shift(rows: &mut [f32], mean: &[f32]) {
    for row in rows.chunks_exact_mut(mean.len()) {
        row.iter_mut().zip(mean).for_each(|(x, mean)| *x -= mean);
    }
}
