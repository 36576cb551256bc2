//! Needles in a haystack: facts that only the context has, at known depths.

mod facts;
mod grid;
mod multi_key;

pub use grid::{NeedleGrid, NeedleScore};
pub use multi_key::MultiKey;
