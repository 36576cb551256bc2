//! Trellis-coded quantisation of sixteen streams at a time, one a lane.
//!
//! The code and the layout of streams are those of [`fourier_kv_spectral::trellis`]; its functions are the oracle.
//! `n` coefficients of 1 to 8 bits (those with none are left out of the stream and are worth 0), `W` words of 32
//! bits a lane.
//!
//! - [`TrellisTables::encode`]: the search over all paths, the sixteen lanes in a vector. Reads 64 bytes a vector of
//!   coefficients and writes 128 bytes of survivors, which the way back reads.
//! - [`TrellisTables::decode`]: the values of a stream, plainly.
//! - [`split`] and [`pair_values`]: the same symbols laid out for two coefficients at a time, and their values as integers.
//!
//! No product is fused, so that all instruction sets give the same words.

mod decode;
mod encode;
mod pairs;
mod tables;

pub use encode::{Coefficients, EncodeScratch};
pub(crate) use pairs::PairReader;
pub use pairs::{Pair, PairLayout, PairLevels, PairWords, STEP, pair_values, pair_words, split};
pub use tables::TrellisTables;

use fourier_kv_spectral::trellis::SUBSET;

/// Calls a function of the number of bits with that number as a constant; nothing for 0.
macro_rules! by_bits {
    ($bits:expr, $function:ident::<$simd:ty>$arguments:tt) => {
        match $bits {
            0 => {}
            1 => $function::<$simd, 1>$arguments,
            2 => $function::<$simd, 2>$arguments,
            3 => $function::<$simd, 3>$arguments,
            4 => $function::<$simd, 4>$arguments,
            5 => $function::<$simd, 5>$arguments,
            6 => $function::<$simd, 6>$arguments,
            7 => $function::<$simd, 7>$arguments,
            8 => $function::<$simd, 8>$arguments,
            more => panic!("expected at most 8 bits, got {more}"),
        }
    };
}
use by_bits;

/// The subset of each register `(state << 1) | b`, two bits each from the lowest up.
const SUBSETS: i32 = {
    let (mut packed, mut register) = (0u32, 0);
    while register < 16 {
        packed |= (SUBSET[register / 2][register % 2] as u32) << (2 * register);
        register += 1;
    }
    packed as i32
};

/// Where the next coefficient of a stream begins, in bits.
#[derive(Clone, Copy)]
struct Position(usize);

impl Position {
    fn word(self) -> usize {
        self.0 / 32
    }
    fn shift(self) -> usize {
        self.0 % 32
    }
}

/// Bits of one lane.
fn total(bits: &[u8]) -> usize {
    bits.iter().map(|&k| usize::from(k)).sum()
}
