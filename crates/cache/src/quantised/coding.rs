//! The ways of coding, by one interface: units of tokens into bytes and back.

use fourier_kv_kernels::isa::Operation;
use fourier_kv_kernels::simd::Simd;

use super::settings::{Bits, BlockFormat};
use super::{blocks, by_channel, by_token};

/// A way of coding rows `[T][D]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// Each dim over a group of tokens.
    ByChannel { bits: Bits, group: usize },
    /// Each token over groups of dims.
    ByToken { bits: Bits, group: usize },
    /// Each token over blocks of 32 dims.
    Blocks(BlockFormat),
}

impl Coding {
    /// Tokens that are coded together: bytes come and go in units of so many.
    pub(super) fn unit(self) -> usize {
        match self {
            Coding::ByChannel { group, .. } => group,
            Coding::ByToken { .. } | Coding::Blocks(_) => 1,
        }
    }

    /// Bytes of a unit.
    fn unit_bytes(self, dim: usize) -> usize {
        match self {
            Coding::ByChannel { bits, group } => by_channel::group_bytes(bits, group, dim),
            Coding::ByToken { bits, group } => by_token::token_bytes(bits, group, dim),
            Coding::Blocks(format) => blocks::token_bytes(format, dim),
        }
    }

    /// Bytes of so many tokens, whole units.
    pub(super) fn bytes(self, tokens: usize, dim: usize) -> usize {
        debug_assert!(tokens.is_multiple_of(self.unit()), "{tokens} tokens in units of {}", self.unit());
        tokens / self.unit() * self.unit_bytes(dim)
    }

    /// Codes `rows`, `[T][D]`, whole units, behind what `out` holds.
    pub(super) fn encode(self, dim: usize, rows: &[f32], out: &mut Vec<u8>) {
        let old = out.len();
        out.resize(old + self.bytes(rows.len() / dim, dim), 0);
        let units = out[old..].chunks_exact_mut(self.unit_bytes(dim));
        for (rows, unit) in rows.chunks_exact(self.unit() * dim).zip(units) {
            match self {
                Coding::ByChannel { bits, .. } => by_channel::encode(bits, dim, rows, unit),
                Coding::ByToken { bits, group } => by_token::encode(bits, group, rows, unit),
                Coding::Blocks(format) => blocks::encode(format, rows, unit),
            }
        }
    }
}

/// Decodes whole units into `rows`, `[T][D]`.
pub(super) struct Decode<'a> {
    pub(super) coding: Coding,
    pub(super) dim: usize,
    pub(super) codes: &'a [u8],
    pub(super) rows: &'a mut [f32],
}

impl Operation for Decode<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Simd>(self) {
        let Decode { coding, dim, codes, rows } = self;
        let units = rows.chunks_exact_mut(coding.unit() * dim).zip(codes.chunks_exact(coding.unit_bytes(dim)));
        match coding {
            Coding::ByChannel { bits, .. } => units.for_each(|(rows, unit)| by_channel::decode(bits, dim, unit, rows)),
            Coding::ByToken { bits, group } => units.for_each(|(row, unit)| by_token::decode(bits, group, unit, row)),
            Coding::Blocks(format) => units.for_each(|(row, unit)| blocks::decode(format, unit, row)),
        }
    }
}

#[cfg(test)]
mod tests {
    use fourier_kv_kernels::isa::Isa;

    use super::*;

    const DIM: usize = 80;

    /// Rows with dims of very different sizes, as keys have them.
    fn rows(tokens: usize) -> Vec<f32> {
        (0..tokens * DIM).map(|i| ((i * 7 + i * i % 13) as f32).sin() * (1.0 + (i % DIM) as f32 / 8.0)).collect()
    }

    fn all() -> impl Iterator<Item = Coding> {
        let by_bits = [Bits::Two, Bits::Three, Bits::Four, Bits::Eight].into_iter().flat_map(|bits| {
            [5, 32]
                .into_iter()
                .flat_map(move |group| [Coding::ByChannel { bits, group }, Coding::ByToken { bits, group }].into_iter())
        });
        by_bits.chain([Coding::Blocks(BlockFormat::Q4_0), Coding::Blocks(BlockFormat::Q8_0)])
    }

    /// The least and the largest number of each number's group, by the definition of groups.
    fn range_of(coding: Coding, rows: &[f32], at: usize) -> (f64, f64) {
        let (token, dim) = (at / DIM, at % DIM);
        let group: Vec<f32> = match coding {
            Coding::ByChannel { group, .. } => {
                let first = token / group * group;
                (first..first + group).map(|t| rows[t * DIM + dim]).collect()
            }
            Coding::ByToken { group, .. } => {
                let first = dim / group * group;
                rows[token * DIM + first..token * DIM + DIM.min(first + group)].to_vec()
            }
            Coding::Blocks(_) => {
                let first = dim / 32 * 32;
                let block = &rows[token * DIM + first..token * DIM + DIM.min(first + 32)];
                block.iter().flat_map(|&x| [x, -x]).collect()
            }
        };
        group.iter().fold((f64::MAX, f64::MIN), |(a, b), &x| (a.min(x.into()), b.max(x.into())))
    }

    /// Every number is within half a step of the range of its own group: nothing is mixed up between groups.
    #[test]
    fn numbers_come_back_to_half_a_step_of_their_group() {
        let rows = rows(160);
        for coding in all() {
            let mut codes = Vec::new();
            // In two goes: codes are appended.
            coding.encode(DIM, &rows[..64 / coding.unit() * coding.unit() * DIM], &mut codes);
            coding.encode(DIM, &rows[64 / coding.unit() * coding.unit() * DIM..], &mut codes);
            assert_eq!(codes.len(), coding.bytes(160, DIM));
            let mut first = None;
            for isa in Isa::available() {
                let mut back = vec![f32::NAN; rows.len()];
                isa.run(Decode { coding, dim: DIM, codes: &codes, rows: &mut back });
                for (at, (&x, &back)) in rows.iter().zip(&back).enumerate() {
                    let (low, high) = range_of(coding, &rows, at);
                    let step = match coding {
                        Coding::ByChannel { bits, .. } | Coding::ByToken { bits, .. } => {
                            (high - low) / f64::from(bits.levels())
                        }
                        // A range of 16 steps, of which the last is cut.
                        Coding::Blocks(BlockFormat::Q4_0) => (high - low) / 8.0,
                        Coding::Blocks(BlockFormat::Q8_0) => (high - low) / 254.0,
                    };
                    let off = (f64::from(back) - f64::from(x)).abs();
                    assert!(off <= step / 2.0 + high.abs().max(low.abs()) / 500.0, "{coding:?} {at}: {x} -> {back}");
                }
                assert_eq!(first.get_or_insert_with(|| back.clone()), &back, "{coding:?} {isa:?}");
            }
        }
    }

    /// Bits a number: `bits + 32 / group`, for one `f16` least and one `f16` step a group; a scale alone in the blocks.
    #[test]
    fn bytes_are_those_of_the_formula() {
        let (tokens, dim) = (96, 64);
        for (bits, expected) in [(Bits::Eight, 9.0), (Bits::Four, 5.0), (Bits::Three, 4.0), (Bits::Two, 3.0)] {
            for coding in [Coding::ByChannel { bits, group: 32 }, Coding::ByToken { bits, group: 32 }] {
                let each = coding.bytes(tokens, dim) as f64 * 8.0 / (tokens * dim) as f64;
                assert_eq!(each, expected, "{coding:?}: {} bits and two f16 for 32", bits.count());
            }
        }
        for (format, expected) in [(BlockFormat::Q8_0, 8.5), (BlockFormat::Q4_0, 4.5)] {
            let each = Coding::Blocks(format).bytes(tokens, dim) as f64 * 8.0 / (tokens * dim) as f64;
            assert_eq!(each, expected, "{format:?}");
        }
    }
}
