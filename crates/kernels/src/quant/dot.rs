//! Dot products of rows of weights with activations, without dequantising the row to memory.
//!
//! Shapes: a row of C weights and C activations give one number. Bytes read: the row's and 4 C.
//! Two floating-point operations a weight, and one more for the scale.

use bytemuck::cast_slice;

use super::WeightType;
use super::float_rows::{BF16, F16, F32};
use super::k_blocks::{Q4K, Q5K, Q6K};
use super::layout::{Block, Element, GROUP};
use super::small_blocks::{Q4_0, Q4_1, Q5_0, Q5_1, Q8_0};
use crate::isa::{Isa, Operation};
use crate::simd::Simd;

/// The dot product of one row of weights and as many activations, accumulated in f32 over 32
/// interleaved partial sums.
///
/// # Panics
///
/// If `row` is not exactly `ty.row_bytes(x.len())` bytes long; rows of a [`Matrix`](super::Matrix)
/// always are.
#[inline]
pub fn dot(isa: Isa, ty: WeightType, row: &[u8], x: &[f32]) -> f32 {
    assert_eq!(Some(row.len()), ty.row_bytes(x.len()), "bytes of a {ty} row for {} activations", x.len());
    match ty {
        WeightType::F32 => floats::<F32>(isa, row, x),
        WeightType::F16 => floats::<F16>(isa, row, x),
        WeightType::BF16 => floats::<BF16>(isa, row, x),
        WeightType::Q8_0 => blocks::<Q8_0>(isa, row, x),
        WeightType::Q4_0 => blocks::<Q4_0>(isa, row, x),
        WeightType::Q4_1 => blocks::<Q4_1>(isa, row, x),
        WeightType::Q5_0 => blocks::<Q5_0>(isa, row, x),
        WeightType::Q5_1 => blocks::<Q5_1>(isa, row, x),
        WeightType::Q4_K => blocks::<Q4K>(isa, row, x),
        WeightType::Q5_K => blocks::<Q5K>(isa, row, x),
        WeightType::Q6_K => blocks::<Q6K>(isa, row, x),
    }
}

fn floats<E: Element>(isa: Isa, row: &[u8], x: &[f32]) -> f32 {
    isa.run(Floats::<E> { row: cast_slice(row), x })
}

fn blocks<B: Block>(isa: Isa, row: &[u8], x: &[f32]) -> f32 {
    isa.run(Blocks::<B> { row: cast_slice(row), x })
}

/// `sums += weights * x`, each partial sum by itself.
#[inline(always)]
fn accumulate<V: Simd>(sums: &mut [f32; GROUP], weights: &[f32; GROUP], x: &[f32; GROUP]) {
    for i in 0..GROUP {
        sums[i] = V::mul_add(weights[i], x[i], sums[i]);
    }
}

/// The sum of the partial sums, by halves.
///
/// Never inlined: seen from the loops, the partial sums are then one array, and the compiler keeps
/// them in whole vector registers instead of the pairs that this function adds (twice as fast).
#[inline(never)]
fn reduce(sums: &[f32; GROUP]) -> f32 {
    let mut sums = *sums;
    let mut width = GROUP / 2;
    while width > 0 {
        for i in 0..width {
            sums[i] += sums[i + width];
        }
        width /= 2;
    }
    sums[0]
}

struct Floats<'a, E> {
    row: &'a [E],
    x: &'a [f32],
}

impl<E: Element> Operation for Floats<'_, E> {
    type Output = f32;

    #[inline(always)]
    fn run<V: Simd>(self) -> f32 {
        let (row, row_rest) = self.row.as_chunks::<GROUP>();
        let (x, x_rest) = self.x.as_chunks::<GROUP>();
        let mut sums = [0.0; GROUP];
        for (row, x) in row.iter().zip(x) {
            let mut weights = [0.0; GROUP];
            for i in 0..GROUP {
                weights[i] = row[i].value();
            }
            accumulate::<V>(&mut sums, &weights, x);
        }
        let mut rest = 0.0;
        for (element, &x) in row_rest.iter().zip(x_rest) {
            rest = V::mul_add(element.value(), x, rest);
        }
        reduce(&sums) + rest
    }
}

struct Blocks<'a, B> {
    row: &'a [B],
    x: &'a [f32],
}

impl<B: Block> Operation for Blocks<'_, B> {
    type Output = f32;

    #[inline(always)]
    fn run<V: Simd>(self) -> f32 {
        let (x, _) = self.x.as_chunks::<GROUP>();
        let mut sums = [0.0; GROUP];
        for (block, x) in self.row.iter().zip(x.chunks_exact(B::GROUPS)) {
            let scales = block.scales();
            for g in 0..B::GROUPS {
                accumulate::<V>(&mut sums, &block.group::<V>(&scales, g), &x[g]);
            }
        }
        reduce(&sums)
    }
}
