//! Rows of weights into floats.

use bytemuck::cast_slice;

use super::float_rows::{BF16, F16, F32};
use super::k_blocks::{Q4K, Q5K, Q6K};
use super::layout::{Block, Element, GROUP};
use super::small_blocks::{Q4_0, Q4_1, Q5_0, Q5_1, Q8_0};
use super::{QuantError, WeightType};
use crate::isa::{Isa, Operation};
use crate::simd::Simd;

/// Dequantises the `out.len()` weights in `bytes`: one row, or several that follow each other.
///
/// The results are the same bit for bit on every [`Isa`].
///
/// # Errors
///
/// If `out.len()` is no whole number of blocks of `ty`, or `bytes` is not exactly as long as they
/// are. `out` is then left as it was.
pub fn dequantise(isa: Isa, ty: WeightType, bytes: &[u8], out: &mut [f32]) -> Result<(), QuantError> {
    ty.check_length(bytes.len(), out.len())?;
    match ty {
        WeightType::F32 => floats::<F32>(isa, bytes, out),
        WeightType::F16 => floats::<F16>(isa, bytes, out),
        WeightType::BF16 => floats::<BF16>(isa, bytes, out),
        WeightType::Q8_0 => blocks::<Q8_0>(isa, bytes, out),
        WeightType::Q4_0 => blocks::<Q4_0>(isa, bytes, out),
        WeightType::Q4_1 => blocks::<Q4_1>(isa, bytes, out),
        WeightType::Q5_0 => blocks::<Q5_0>(isa, bytes, out),
        WeightType::Q5_1 => blocks::<Q5_1>(isa, bytes, out),
        WeightType::Q4_K => blocks::<Q4K>(isa, bytes, out),
        WeightType::Q5_K => blocks::<Q5K>(isa, bytes, out),
        WeightType::Q6_K => blocks::<Q6K>(isa, bytes, out),
    }
    Ok(())
}

fn floats<E: Element>(isa: Isa, bytes: &[u8], out: &mut [f32]) {
    isa.run(Floats::<E> { row: cast_slice(bytes), out });
}

fn blocks<B: Block>(isa: Isa, bytes: &[u8], out: &mut [f32]) {
    isa.run(Blocks::<B> { row: cast_slice(bytes), out });
}

struct Floats<'a, E> {
    row: &'a [E],
    out: &'a mut [f32],
}

impl<E: Element> Operation for Floats<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        for (out, element) in self.out.iter_mut().zip(self.row) {
            *out = element.value();
        }
    }
}

struct Blocks<'a, B> {
    row: &'a [B],
    out: &'a mut [f32],
}

impl<B: Block> Operation for Blocks<'_, B> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        let (groups, _) = self.out.as_chunks_mut::<GROUP>();
        for (block, out) in self.row.iter().zip(groups.chunks_exact_mut(B::GROUPS)) {
            let scales = block.scales::<V>();
            for g in 0..B::GROUPS {
                out[g] = block.group(&scales, g);
            }
        }
    }
}
