//! How one operation is computed on a CPU.
//!
//! # Conventions
//!
//! - Letters: `T` tokens, `H` query heads, `G` key/value heads, `D` head dims, `R` rows of queries, `M` tokens
//!   of a compressed middle, `P` period, `N` harmonics, `S` the type numbers are stored in.
//! - Matrices are row-major; a shape `[R][D]` means `R` rows of `D` numbers, contiguous.
//! - Rotary pairs are *halves*: pair `i` is the dims `i` and `i + D/2`. Whatever a file holds, keys and queries
//!   have this order once they are rotated.
//! - Rows of queries are ordered head by head, and token by token inside a head: row `h n + j` is head `h`,
//!   token `j` of the `n` tokens being computed.
//! - A kernel's one body is an [`isa::Operation`], compiled for every instruction set; the caller hands in the
//!   [`isa::Isa`] to run on. Nothing here reads the environment, keeps a global or starts a thread on its own.
//! - Lengths are the caller's promise: kernels slice, so a broken promise panics and never reads out of bounds.

pub mod activation;
pub mod attention;
pub mod coded;
pub mod element;
pub mod isa;
pub mod lanes;
pub mod linear;
pub mod matmul;
pub mod norm;
pub mod number;
pub mod oracle;
pub mod parts;
pub mod quant;
pub mod rope;
pub mod simd;
pub mod team;
pub mod tile;
pub mod transform;
pub mod trellis;
pub mod workspace;
