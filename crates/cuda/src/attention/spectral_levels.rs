//! The levels of the trellis code as kernels/codes.cuh looks them up.

use fourier_kv_spectral::trellis::{LEVELS, MAX_BITS};
use half::f16;

/// Words of the table, `LEVEL_WORDS` in the source.
const WORDS: usize = 368;
/// Where the levels of 1 bit and more begin, `LEVELS_OF` in the source.
const FIRST: [usize; MAX_BITS] = [0, 4, 8, 16, 48, 112, 176, 240];

/// The table: of one bit two numbers, whose sums with signs the levels are; of two bits the upper and the lower bytes of
/// the levels; of three bits those of the positive levels; of four and five bits the levels, each twice in a word; of more
/// the positive levels, of six bits a word each.
pub(super) fn words() -> Vec<u32> {
    let mut table = vec![0u32; WORDS];
    for bits in 1..=MAX_BITS {
        let levels = LEVELS[bits];
        let positive = &levels[levels.len() / 2..];
        let own = match bits {
            1 => vec![twice((positive[1] + positive[0]) / 2.0), twice((positive[1] - positive[0]) / 2.0)],
            2 => bytes(levels),
            3 => bytes(positive),
            4..=5 => levels.iter().map(|&x| twice(x)).collect(),
            6 => positive.iter().map(|&x| code(x)).collect(),
            _ => positive.chunks(2).map(|x| code(x[0]) | code(x[1]) << 16).collect(),
        };
        table[FIRST[bits - 1]..][..own.len()].copy_from_slice(&own);
    }
    table
}

/// Rows of the tables of values, `TABLE_ROWS` in kernels/values.cuh: 256 of pairs of levels of 3 bits; 256 of pairs of 2
/// and of 1 bit and single levels; 128 of single levels of 6 bits. Each begins where `table` in spectral_rows.rs says.
pub(super) fn rows() -> Vec<u32> {
    let mut rows = vec![0; 640];
    for (bits, first) in [(3, 0), (2, 256), (1, 256 + 64)] {
        for (number, row) in rows[first..][..4 << (2 * bits)].iter_mut().enumerate() {
            *row = level(bits, every_second(number)) | level(bits, every_second(number >> 1)) << 16;
        }
    }
    for (bits, first) in [(3, 80), (4, 96), (5, 128), (2, 192), (1, 200), (6, 256)] {
        for (number, row) in rows[256 + first..][..2 << bits].iter_mut().enumerate() {
            *row = level(bits, number) * 0x1_0001;
        }
    }
    rows
}

/// All levels, those of 1 bit first.
pub(super) fn all() -> Vec<f16> {
    (1..=MAX_BITS).flat_map(|bits| LEVELS[bits]).map(|&x| f16::from_f32(x)).collect()
}

/// Bits 0, 2, 4 and 6 of a number.
fn every_second(number: usize) -> usize {
    (0..4).map(|i| (number >> (2 * i) & 1) << i).sum()
}

fn level(bits: usize, number: usize) -> u32 {
    code(LEVELS[bits][number])
}

fn code(x: f32) -> u32 {
    u32::from(f16::from_f32(x).to_bits())
}

fn twice(x: f32) -> u32 {
    code(x) * 0x1_0001
}

/// The upper bytes of eight halves, and then the lower ones.
fn bytes(levels: &[f32]) -> Vec<u32> {
    let byte = |shift: u32| {
        let word = move |four: &[f32]| {
            four.iter().enumerate().fold(0, |word, (i, &x)| word | (code(x) >> shift & 0xff) << (8 * i))
        };
        levels.chunks(4).map(word).collect::<Vec<_>>()
    };
    [byte(8), byte(0)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Level `number` of `bits` bits, as the kernels find it.
    fn found(table: &[u32], bits: usize, number: usize) -> f32 {
        let half = |code: u32| f16::from_bits(code as u16).to_f32();
        let own = &table[FIRST[bits - 1]..];
        let byte = |first: usize, i: usize| own[first + i / 4] >> (8 * (i % 4)) & 0xff;
        let wide = |i: usize| half(byte(0, i) << 8 | byte(2, i));
        let count = 2 << bits;
        let positive = number >= count / 2;
        let magnitude = if positive { number - count / 2 } else { count / 2 - 1 - number };
        let sign = if positive { 1.0 } else { -1.0 };
        match bits {
            1 => sign * half(own[0]) + if number % 2 == 1 { half(own[1]) } else { -half(own[1]) },
            2 => wide(number),
            3 => sign * wide(magnitude),
            4..=5 => half(own[number]),
            6 => sign * half(own[magnitude]),
            _ => sign * half(own[magnitude / 2] >> (16 * (magnitude % 2))),
        }
    }

    #[test]
    fn every_level_is_found_as_a_half() {
        let table = words();
        for bits in 1..=MAX_BITS {
            for (number, &level) in LEVELS[bits].iter().enumerate() {
                let off = (found(&table, bits, number) - level).abs();
                assert!(off <= level.abs().max(0.5) / 1024.0, "{bits} bits, {number}: off by {off}");
            }
        }
    }

    #[test]
    fn rows_have_the_levels_of_their_numbers() {
        let table = rows();
        let pair = |row: u32| [0, 16].map(|shift| f16::from_bits((row >> shift) as u16));
        let level = |bits: usize, number: usize| f16::from_f32(LEVELS[bits][number]);
        // Pairs: bit 2 i is bit i of the first number, bit 2 i + 1 that of the second.
        for (bits, first) in [(3, 0), (2, 256), (1, 320)] {
            for a in 0..2 << bits {
                for b in 0..2 << bits {
                    let spread = |n: usize| (0..=bits).map(|i| (n >> i & 1) << (2 * i)).sum::<usize>();
                    assert_eq!(pair(table[first + spread(a) + 2 * spread(b)]), [level(bits, a), level(bits, b)]);
                }
            }
        }
        for (bits, first) in [(3, 336), (4, 352), (5, 384), (2, 448), (1, 456), (6, 512)] {
            (0..2 << bits).for_each(|n| assert_eq!(pair(table[first + n]), [level(bits, n); 2]));
        }
    }
}
