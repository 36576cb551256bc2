//! Products of many tokens with quantised weights, in integers.
//!
//! `out[n][rows] = x[n][cols] W^T` where a weight is `scale * integer + offset` and an activation `scale * integer`, both
//! with a scale for every group of 32: a group's product is a sum of integer products, exact in 32 bits, times both
//! scales, plus the offset times the sum of the activations.
//!
//! A task is [`ROWS`] rows of `W`. A [`CHUNK`] of their columns is unpacked to 16-bit integers, pairs of columns row
//! beside row (a panel of 16 KB), and multiplied with all tokens, a few at a time: each instruction multiplies and adds
//! 32 pairs (VNNI), twice as many as products of `f32`. Per group and token there are `16` of them for 16 rows, and four
//! more operations for the scales: five sixths of the instructions do the work. Unpacking costs a share that falls as
//! `1 / n`.

use bytemuck::cast_slice;

use super::WeightType;
use super::activations::{Activations, PAIRS, TILE, TileGroup};
use super::k_blocks::{Q4K, Q5K, Q6K};
use super::layout::{Affine, Block, GROUP};
use super::small_blocks::{Q4_0, Q4_1, Q5_0, Q5_1, Q8_0};
use crate::isa::{Isa, Operation};
use crate::matmul::ColumnsMut;
use crate::simd::{Lanes, Simd, WIDTH};

/// Rows of `W` that are multiplied together: two vectors.
pub const ROWS: usize = VECTORS * WIDTH;
/// Vectors of rows.
const VECTORS: usize = 2;
/// Groups of columns that are unpacked at once; a multiple of every block's groups.
const CHUNK: usize = 8;

/// A group's integers, pairs of columns row beside row.
type Panel = [[[i16; 2 * WIDTH]; VECTORS]; PAIRS];

/// Working memory of one task.
#[derive(Clone, Debug, Default)]
pub struct ProductScratch {
    /// The groups of a chunk.
    panel: Vec<Panel>,
    scales: Vec<[f32; ROWS]>,
    offsets: Vec<[f32; ROWS]>,
    /// Sums of every tile of tokens.
    sums: Vec<[[f32; ROWS]; TILE]>,
}

/// Whether weights of a type are groups of integers, so that [`multiply`] can take them.
pub fn is_grouped(ty: WeightType) -> bool {
    !matches!(ty, WeightType::F32 | WeightType::F16 | WeightType::BF16)
}

/// Multiplies up to [`ROWS`] rows of weights, `[columns of out][cols]`, with all tokens of `x`.
///
/// # Panics
///
/// If the type is not grouped, or the lengths do not fit.
pub fn multiply(
    isa: Isa,
    ty: WeightType,
    rows: &[u8],
    x: &Activations,
    scratch: &mut ProductScratch,
    out: &mut ColumnsMut<'_, f32>,
) {
    let cols = x.groups() * GROUP;
    let bytes = ty.row_bytes(cols).unwrap_or_else(|| panic!("whole blocks of {ty}, not {cols} weights"));
    assert!(out.columns() <= ROWS && rows.len() == bytes * out.columns(), "{} rows of {cols} {ty}", out.columns());
    assert_eq!(x.tokens(), out.rows(), "tokens");
    let task = Task { rows, bytes, x, scratch, out };
    match ty {
        WeightType::Q8_0 => isa.run_integers(Product::<Q8_0>::of(task)),
        WeightType::Q4_0 => isa.run_integers(Product::<Q4_0>::of(task)),
        WeightType::Q4_1 => isa.run_integers(Product::<Q4_1>::of(task)),
        WeightType::Q5_0 => isa.run_integers(Product::<Q5_0>::of(task)),
        WeightType::Q5_1 => isa.run_integers(Product::<Q5_1>::of(task)),
        WeightType::Q4_K => isa.run_integers(Product::<Q4K>::of(task)),
        WeightType::Q5_K => isa.run_integers(Product::<Q5K>::of(task)),
        WeightType::Q6_K => isa.run_integers(Product::<Q6K>::of(task)),
        WeightType::F32 | WeightType::F16 | WeightType::BF16 => panic!("{ty} weights are no groups of integers"),
    }
}

struct Task<'a, 'b> {
    rows: &'a [u8],
    /// A row.
    bytes: usize,
    x: &'a Activations,
    scratch: &'a mut ProductScratch,
    out: &'a mut ColumnsMut<'b, f32>,
}

struct Product<'a, 'b, B> {
    task: Task<'a, 'b>,
    kind: std::marker::PhantomData<B>,
}

impl<'a, 'b, B: Block> Product<'a, 'b, B> {
    fn of(task: Task<'a, 'b>) -> Self {
        Product { task, kind: std::marker::PhantomData }
    }
}

impl<B: Block> Operation for Product<'_, '_, B> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        let Task { rows, bytes, x, scratch, out } = self.task;
        let (tokens, groups) = (x.tokens(), x.groups());
        scratch.panel.resize(CHUNK, [[[0; 2 * WIDTH]; VECTORS]; PAIRS]);
        scratch.scales.resize(CHUNK, [0.0; ROWS]);
        scratch.offsets.resize(CHUNK, [0.0; ROWS]);
        scratch.sums.clear();
        scratch.sums.resize(tokens.div_ceil(TILE), [[0.0; ROWS]; TILE]);
        for first in (0..groups).step_by(CHUNK) {
            let chunk = first..groups.min(first + CHUNK);
            for (r, row) in rows.chunks_exact(bytes).enumerate() {
                unpack_row::<V, B>(cast_slice(row), r, chunk.clone(), scratch);
            }
            let ProductScratch { panel, scales, offsets, sums } = &mut *scratch;
            for (i, sums) in sums.iter_mut().enumerate() {
                let weights = panel.iter().zip(scales.iter().zip(offsets.iter()));
                for (x, (panel, (scales, offsets))) in x.tile(i, chunk.clone()).iter().zip(weights) {
                    let weights = Weights { panel, scales, offsets };
                    // As many sums as there are registers for, besides those for a pair of weights and of activations.
                    match V::REGISTERS {
                        32 => whole_tile::<V, B>(weights, x, sums),
                        _ => parts_of_tile::<V, B>(weights, x, sums),
                    }
                }
            }
        }
        for t in 0..tokens {
            let to = out.row(t);
            let width = to.len();
            to.copy_from_slice(&scratch.sums[t / TILE][t % TILE][..width]);
        }
    }
}

/// Writes some groups of a row's integers into its place in the panel.
#[inline(always)]
fn unpack_row<V: Simd, B: Block>(row: &[B], r: usize, groups: std::ops::Range<usize>, scratch: &mut ProductScratch) {
    for (i, block) in row[groups.start / B::GROUPS..groups.end.div_ceil(B::GROUPS)].iter().enumerate() {
        let scales = block.scales::<V>();
        for g in 0..B::GROUPS {
            let at = i * B::GROUPS + g;
            let (integers, Affine { scale, offset }) = block.integers(&scales, g);
            for (pair, to) in integers.as_chunks::<2>().0.iter().zip(&mut scratch.panel[at]) {
                let to = to[r / WIDTH][2 * (r % WIDTH)..].first_chunk_mut().expect("two of the vector");
                *to = *pair;
            }
            scratch.scales[at][r] = scale;
            scratch.offsets[at][r] = offset;
        }
    }
}

/// An unpacked group of columns of all rows.
#[derive(Clone, Copy)]
struct Weights<'a> {
    panel: &'a Panel,
    scales: &'a [f32; ROWS],
    offsets: &'a [f32; ROWS],
}

/// Adds a group's products for all tokens of a tile and both vectors of rows: 24 sums.
#[inline(always)]
fn whole_tile<V: Simd, B: Block>(weights: Weights<'_>, x: &TileGroup, sums: &mut [[f32; ROWS]; TILE]) {
    add_products::<V, B, 2, TILE>(weights, x, 0, 0, sums);
}

/// The same in four parts: six tokens and one vector of rows, 6 sums (of two registers each with AVX2).
#[inline(always)]
fn parts_of_tile<V: Simd, B: Block>(weights: Weights<'_>, x: &TileGroup, sums: &mut [[f32; ROWS]; TILE]) {
    add_products::<V, B, 1, { TILE / 2 }>(weights, x, 0, 0, sums);
    add_products::<V, B, 1, { TILE / 2 }>(weights, x, 1, 0, sums);
    add_products::<V, B, 1, { TILE / 2 }>(weights, x, 0, TILE / 2, sums);
    add_products::<V, B, 1, { TILE / 2 }>(weights, x, 1, TILE / 2, sums);
}

/// `N` tokens from `token` on by `R` vectors of rows from vector `v` on.
#[inline(always)]
fn add_products<V: Simd, B: Block, const R: usize, const N: usize>(
    weights: Weights<'_>,
    x: &TileGroup,
    v: usize,
    token: usize,
    sums: &mut [[f32; ROWS]; TILE],
) {
    let mut products = [[V::integers(0); R]; N];
    for p in 0..PAIRS {
        for t in 0..N {
            for r in 0..R {
                products[t][r] = V::dot_pairs(products[t][r], &weights.panel[p][v + r], x.pairs[p][token + t]);
            }
        }
    }
    for r in 0..R {
        let rows = (v + r) * WIDTH;
        let scales = V::Floats::load(vector(weights.scales, rows));
        let offsets = V::Floats::load(vector(weights.offsets, rows));
        for t in 0..N {
            let to: &mut [f32; WIDTH] = sums[token + t][rows..].first_chunk_mut().expect("a vector of the rows");
            let by = scales.mul(V::Floats::splat(x.scales[token + t]));
            let mut total = V::to_floats(products[t][r]).mul_add(by, V::Floats::load(to));
            if B::OFFSETS {
                total = offsets.mul_add(V::Floats::splat(x.sums[token + t]), total);
            }
            total.store(to);
        }
    }
}

#[inline(always)]
fn vector(rows: &[f32; ROWS], first: usize) -> &[f32; WIDTH] {
    rows[first..].first_chunk().expect("a vector of the rows")
}
