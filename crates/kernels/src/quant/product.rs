//! Products of many tokens with quantised weights, in integers.
//!
//! `out[n][rows] = x[n][cols] W^T` where a weight is `scale * integer + offset` and an activation `scale * integer`, both
//! with a scale for every group of 32: a group's product is a sum of integer products, exact in 32 bits, times both
//! scales, plus the offset times the sum of the activations.
//!
//! A task is [`ROWS`] rows of `W`. A chunk of their columns is unpacked to 16-bit integers, pairs of columns row
//! beside row (a panel of 16 KB), and multiplied with all tokens, a few at a time: each instruction multiplies and adds
//! 16 pairs (VNNI), twice as many products as of `f32`. Per group and token there are `16` of them for 16 rows, and four
//! more operations for the scales: five sixths of the instructions do the work. Unpacking costs a share that falls as
//! `1 / n`: least where sixteen rows are unpacked together (`Block::rows`), five instructions for 16 pairs.

use bytemuck::cast_slice;

use super::WeightType;
use super::activations::{Activations, PAIRS, TILE, TileGroup};
use super::k_blocks::{Q4K, Q5K, Q6K};
use super::layout::{Affine, Block, GROUP};
use super::small_blocks::{Q4_0, Q4_1, Q5_0, Q5_1, Q8_0};
use crate::isa::{Isa, Operation};
use crate::matmul::ColumnsMut;
use crate::simd::{Lanes, Simd, WIDTH};
use crate::tile::vector;

/// Rows of `W` that are multiplied together: two vectors.
pub const ROWS: usize = VECTORS * WIDTH;
/// Vectors of rows.
const VECTORS: usize = 2;
/// Rows between those that are unpacked and those that are asked for meanwhile: some tasks later.
const AHEAD: usize = 2 * ROWS;
/// Groups of columns that are unpacked at once; a multiple of every block's groups.
const CHUNK: usize = 8;

/// Sums of a tile of tokens, `[token][row]`: on cache lines of their own.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Sums([[f32; ROWS]; TILE]);

/// A group's integers, `[pair][row]`, where pair `i` is the columns `i` and `i + 16` of the group.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Panel([[[i32; WIDTH]; VECTORS]; PAIRS]);

/// Working memory of one task.
#[derive(Clone, Debug, Default)]
pub struct ProductScratch {
    /// The groups of a chunk, row by row.
    unpacked: Vec<[[i32; PAIRS]; ROWS]>,
    /// The same, pair by pair.
    panel: Vec<Panel>,
    scales: Vec<[f32; ROWS]>,
    offsets: Vec<[f32; ROWS]>,
    /// Sums of every tile of tokens.
    sums: Vec<Sums>,
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
    if rows.is_empty() {
        return;
    }
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
        scratch.panel.resize(CHUNK, Panel([[[0; WIDTH]; VECTORS]; PAIRS]));
        scratch.unpacked.resize(CHUNK, [[0; PAIRS]; ROWS]);
        scratch.scales.resize(CHUNK, [0.0; ROWS]);
        scratch.offsets.resize(CHUNK, [0.0; ROWS]);
        scratch.sums.clear();
        scratch.sums.resize(tokens.div_ceil(TILE), Sums([[0.0; ROWS]; TILE]));
        for first in (0..groups).step_by(CHUNK) {
            let chunk = first..groups.min(first + CHUNK);
            match B::ROWS {
                true => unpack_rows::<V, B>(cast_slice(rows), groups, chunk.clone(), scratch),
                false => {
                    for (r, row) in rows.chunks_exact(bytes).enumerate() {
                        unpack_row::<V, B>(cast_slice(row), r, chunk.clone(), scratch);
                    }
                    for (rows, panel) in scratch.unpacked.iter().zip(&mut scratch.panel) {
                        turn::<V>(rows, panel);
                    }
                }
            }
            let ProductScratch { panel, scales, offsets, sums, .. } = &mut *scratch;
            for (i, sums) in sums.iter_mut().enumerate() {
                let there = tokens - i * TILE;
                let weights = panel.iter().zip(scales.iter().zip(offsets.iter()));
                for (x, (panel, (scales, offsets))) in x.tile(i, chunk.clone()).iter().zip(weights) {
                    let weights = Weights { panel, scales, offsets };
                    // Else the compiler keeps these from group to group in registers, which there are not enough of.
                    let sums = std::hint::black_box(&mut sums.0);
                    // As many sums as there are registers for, besides those for a pair of weights and of activations.
                    match V::REGISTERS {
                        32 => tile_at_once::<V, B>(weights, x, there, sums),
                        _ => tile_in_parts::<V, B>(weights, x, there, sums),
                    }
                }
            }
        }
        for t in 0..tokens {
            let to = out.row(t);
            let width = to.len();
            to.copy_from_slice(&scratch.sums[t / TILE].0[t % TILE][..width]);
        }
    }
}

/// Unpacks some groups of all rows, `[rows][groups]`, sixteen rows at a time: the last one again where there are not as
/// many.
#[inline(always)]
fn unpack_rows<V: Simd, B: Block>(
    rows: &[B],
    groups: usize,
    chunk: std::ops::Range<usize>,
    scratch: &mut ProductScratch,
) {
    let last = rows.len() / groups - 1;
    let (length, share) = (chunk.len() * size_of::<B>(), WIDTH.div_ceil(chunk.len()));
    for v in 0..VECTORS {
        let all = chunk.clone().zip(&mut scratch.panel).zip(scratch.scales.iter_mut().zip(&mut scratch.offsets));
        for (i, ((g, panel), (scales, offsets))) in all.enumerate() {
            // A little of what comes later at a time: so many streams are more than a processor foresees by itself.
            for r in i * share..(i + 1) * share {
                let row = &rows[(v * WIDTH + r).min(last) * groups + chunk.start..];
                (0..length).step_by(64).for_each(|at| V::prefetch(row, at + AHEAD * groups * size_of::<B>()));
            }
            let blocks = std::array::from_fn(|r| &rows[(v * WIDTH + r).min(last) * groups + g]);
            let by = B::rows::<V>(blocks, |pair, x| V::store_integers(x, &mut panel.0[pair][v]));
            for (by, to) in by.into_iter().zip([scales, offsets]) {
                by.store(to[v * WIDTH..].first_chunk_mut().expect("a vector of the rows"));
            }
        }
    }
}

/// Unpacks some groups of row `r`.
#[inline(always)]
fn unpack_row<V: Simd, B: Block>(row: &[B], r: usize, groups: std::ops::Range<usize>, scratch: &mut ProductScratch) {
    for (i, block) in row[groups.start / B::GROUPS..groups.end.div_ceil(B::GROUPS)].iter().enumerate() {
        let scales = block.scales::<V>();
        let at = i * B::GROUPS;
        // Spelled out, so that the group's place is known when this is compiled.
        unpack_group::<V, B>(block, &scales, 0, at, r, scratch);
        if B::GROUPS == 8 {
            unpack_group::<V, B>(block, &scales, 1, at, r, scratch);
            unpack_group::<V, B>(block, &scales, 2, at, r, scratch);
            unpack_group::<V, B>(block, &scales, 3, at, r, scratch);
            unpack_group::<V, B>(block, &scales, 4, at, r, scratch);
            unpack_group::<V, B>(block, &scales, 5, at, r, scratch);
            unpack_group::<V, B>(block, &scales, 6, at, r, scratch);
            unpack_group::<V, B>(block, &scales, 7, at, r, scratch);
        }
    }
}

/// Unpacks group `g` of a block of row `r`; the block begins with group `at` of the chunk.
#[inline(always)]
fn unpack_group<V: Simd, B: Block>(
    block: &B,
    scales: &B::Scales,
    g: usize,
    at: usize,
    r: usize,
    scratch: &mut ProductScratch,
) {
    let ([low, high], Affine { scale, offset }) = block.integers::<V>(scales, g);
    let pairs = V::or(V::and(low, V::integers(0xFFFF)), V::shift_left::<16>(high));
    V::store_integers(pairs, &mut scratch.unpacked[at + g][r]);
    scratch.scales[at + g][r] = scale;
    scratch.offsets[at + g][r] = offset;
}

/// Turns `[row][pair]` to `[pair][row]`.
#[inline(always)]
fn turn<V: Simd>(rows: &[[i32; PAIRS]; ROWS], panel: &mut Panel) {
    const _: () = assert!(PAIRS == WIDTH);
    let (blocks, _) = rows.as_chunks::<WIDTH>();
    for (v, block) in blocks.iter().enumerate() {
        for (p, column) in V::transpose(block).into_iter().enumerate() {
            panel.0[p][v] = column;
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

/// Adds a group's products for the tokens that are `there` in a tile (some more cost nothing) and both vectors of rows:
/// up to 24 sums.
#[inline(always)]
fn tile_at_once<V: Simd, B: Block>(weights: Weights<'_>, x: &TileGroup, there: usize, sums: &mut [[f32; ROWS]; TILE]) {
    match there {
        0..=4 => add_products::<V, B, 2, 4>(weights, x, 0, 0, sums),
        5..=8 => add_products::<V, B, 2, 8>(weights, x, 0, 0, sums),
        _ => add_products::<V, B, 2, TILE>(weights, x, 0, 0, sums),
    }
}

/// The same in parts: six tokens and one vector of rows, 6 sums (of two registers each with AVX2).
#[inline(always)]
fn tile_in_parts<V: Simd, B: Block>(weights: Weights<'_>, x: &TileGroup, there: usize, sums: &mut [[f32; ROWS]; TILE]) {
    for token in (0..TILE.min(there)).step_by(TILE / 2) {
        add_products::<V, B, 1, { TILE / 2 }>(weights, x, 0, token, sums);
        add_products::<V, B, 1, { TILE / 2 }>(weights, x, 1, token, sums);
    }
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
    if B::LARGE_INTEGERS {
        // Half a group's products fit in 32 bits, a whole group's might not.
        add_pairs::<V, B, R, N, 0, { PAIRS / 2 }>(weights, x, v, token, sums);
        add_pairs::<V, B, R, N, { PAIRS / 2 }, PAIRS>(weights, x, v, token, sums);
    } else {
        add_pairs::<V, B, R, N, 0, PAIRS>(weights, x, v, token, sums);
    }
}

/// The same for the pairs `FROM .. TO` of the group; offsets are added with the first.
#[inline(always)]
fn add_pairs<V: Simd, B: Block, const R: usize, const N: usize, const FROM: usize, const TO: usize>(
    weights: Weights<'_>,
    x: &TileGroup,
    v: usize,
    token: usize,
    sums: &mut [[f32; ROWS]; TILE],
) {
    let mut products = [[V::integers(0); R]; N];
    for p in FROM..TO {
        for t in 0..N {
            for r in 0..R {
                products[t][r] = V::dot_pairs(products[t][r], &weights.panel.0[p][v + r], x.pairs[p][token + t]);
            }
        }
    }
    let (mut scales, mut offsets) = ([V::Floats::splat(0.0); R], [V::Floats::splat(0.0); R]);
    for r in 0..R {
        scales[r] = V::Floats::load(vector(weights.scales, (v + r) * WIDTH));
        offsets[r] = V::Floats::load(vector(weights.offsets, (v + r) * WIDTH));
    }
    for t in 0..N {
        let (scale, sum) = (V::Floats::splat(x.scales[token + t]), V::Floats::splat(x.sums[token + t]));
        for r in 0..R {
            let to: &mut [f32; WIDTH] =
                sums[token + t][(v + r) * WIDTH..].first_chunk_mut().expect("a vector of the rows");
            let mut total = V::to_floats(products[t][r]).mul_add(scales[r].mul(scale), V::Floats::load(to));
            if B::OFFSETS && FROM == 0 {
                total = offsets[r].mul_add(sum, total);
            }
            total.store(to);
        }
    }
}
