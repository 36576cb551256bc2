//! Tokens coded in blocks by transforms along channels and time: what of it is arithmetic on many numbers.
//!
//! # Conventions
//!
//! - A **block** is `B` consecutive tokens, a **superblock** sixteen consecutive blocks: one a lane, so that everything
//!   that is the same for all blocks is one number for a whole vector.
//! - **Channels** are the dims of all heads of a layer that are coded together in a **tile** of `n`. A tile has `R <= n`
//!   **directions**, at right angles up to rounding; a block's **coefficient** `(r, f)` is the part of direction `r` along
//!   the tile's channels and of harmonic `f` (of an orthonormal DCT-II) along the block's tokens.
//! - A vector of coefficients is `[16]` with one block a lane.
//! - Attention of one token never writes keys or values: scores come from channels that stay in a core's first caches, a
//!   tile of one or two superblocks at a time; outputs are summed up as coefficients, with the harmonics of the weights,
//!   and turned back once. Coefficients, and what they are multiplied with first, are integers of 16 bits.

mod keys;
mod outputs;
mod rebuild;
mod scores;
mod scratch;
mod slow;
mod slow_nodes;

pub use keys::{KeyTile, RUN, TWO, key_channels, padded};
pub use outputs::{Direction, TOGETHER, ValueTile, WeightSpectra, add_outputs, weight_spectra};
pub use rebuild::{Tile, rebuild};
pub use scores::{Segment, add_scores, exponentials, largest, queries_of_lanes};
pub use scratch::{CodedScratch, SideTables};
pub use slow::{SlowSpectra, SlowTile, add_slow_scores, add_slow_spectra, queries_of_nodes, slow_columns};
pub use slow_nodes::{SlowNodes, Turning};

use crate::simd::WIDTH;

/// Blocks of a superblock.
pub const LANES: usize = WIDTH;
