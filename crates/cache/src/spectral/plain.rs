//! Rebuilding rows of any coding, slowly and plainly: for codes with an ingredient left out, which the kernels do not know.

use fourier_kv_kernels::coded::LANES;

use super::side::Side;
use super::stream::{ABSENT, Stream};
use crate::Workspace;

/// A vector, one block a lane.
type Vector = [f32; LANES];

/// Weighted rows of one side of a superblock, `[G][16 B][D]`, from its codes.
pub(super) fn rebuild(
    (side, stream): (&Side, &Stream),
    codes: &[[u32; LANES]],
    workspace: &Workspace,
    dim: usize,
    rows: &mut [f32],
) {
    let (block, mut dense) = (side.block(), vec![[0.0; LANES]; stream.dense]);
    let values = side.coding.decode(codes, stream, workspace);
    let there = values.iter().zip(&stream.places).filter(|(_, place)| **place != ABSENT);
    there.for_each(|(value, &place)| dense[place as usize] = *value);
    let (basis, mut first) = (side.coding.basis(block), 0);
    for tile in 0..side.tiles.count() {
        let (members, kept) = (side.tiles.channels(tile), side.kept(tile));
        let parts = to_tokens(&basis, &dense[first..first + kept * block], kept);
        first += kept * block;
        let directions = side.directions(tile);
        for (at, &member) in members.iter().enumerate() {
            let column: Vec<f32> = directions.iter().copied().skip(at).step_by(members.len()).collect();
            let (head, d) = (usize::from(member) / dim, usize::from(member) % dim);
            let (mean, head) = (side.mean[side.tiles.start(tile) + at], &mut rows[head * LANES * block * dim..]);
            for t in 0..block {
                let sum = add_up(mean, &column, &parts[t * kept..(t + 1) * kept]);
                sum.iter().enumerate().for_each(|(lane, &x)| head[(lane * block + t) * dim + d] = x);
            }
        }
    }
}

/// `[B tokens][R]` of `[B coefficients][R]`.
fn to_tokens(basis: &[f32], coefficients: &[Vector], kept: usize) -> Vec<Vector> {
    let block = basis.len().isqrt();
    let at = |t: usize, row: usize| {
        let column: Vec<f32> = (0..block).map(|f| basis[f * block + t]).collect();
        let own: Vec<Vector> = (0..block).map(|f| coefficients[f * kept + row]).collect();
        add_up(0.0, &column, &own)
    };
    (0..block * kept).map(|i| at(i / kept, i % kept)).collect()
}

/// `start + sum_i factors[i] vectors[i]`.
fn add_up(start: f32, factors: &[f32], vectors: &[Vector]) -> Vector {
    let mut sums = [start; LANES];
    for (factor, vector) in factors.iter().zip(vectors) {
        sums.iter_mut().zip(vector).for_each(|(sum, x)| *sum += factor * x);
    }
    sums
}
