//! Trellis-coded quantisation at fixed rates (Marcellin and Fischer, 1990).
//!
//! A coefficient of `k` bits chooses among `2^(k + 1)` levels, twice as many as its bits could name: a state
//! machine of eight states says which half may be chosen from. A search over all paths (Viterbi) finds the
//! choices of the least error, about a decibel below that of the best scalar quantiser; the way back is a look
//! into a table.
//!
//! # The code
//!
//! A symbol `s` of `k` bits in a state:
//!
//! - its trellis bit is `b = s & 1`, its subset `SUBSET[state][b]`;
//! - its level is `LEVELS[k][((s >> 1) << 2) | subset]`: the levels ascend, and subsets are every fourth of them;
//! - the next state is `((state << 1) | b) & 7`.
//!
//! A stream begins in state 0 and the state goes on over all its coefficients, whatever their bits. A coefficient
//! without bits is worth 0 and leaves the state as it is. Levels are those of unit variance: values are divided by
//! their scale before and multiplied after.
//!
//! # Streams of sixteen lanes
//!
//! Sixteen streams with the same bits per coefficient (*lanes*) are kept together as words of 32 bits: coefficient
//! after coefficient, the least significant bits first, across the borders of words; word `w` of lane `j` stands at
//! `[16 w + j]`.

mod code;
mod levels;
mod oracle;
mod stream;

pub use code::{Code, MAX_BITS, STANDARD, STATES, SUBSET, subsets};
pub use levels::{DISTORTION, LEVELS};
pub use oracle::{LIMIT, decode, decode_with, encode, encode_weighted};
pub use stream::{LANES, pack, unpack, words};
