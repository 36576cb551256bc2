//! What is kept of the past, and in how many bytes?
//!
//! # Conventions
//!
//! - Letters: `L` layers, `H` query heads, `G` key/value heads, `D` head dims, `T` tokens of the past, `n` tokens
//!   being computed, `S` sink tokens, `W` window tokens, `M` middle tokens, `P` period, `N` harmonics.
//! - **A cache** is a [`KvCache`]: one file (or folder) a method. It holds one sequence; its tokens are numbered from
//!   0 by one clock, the order in which they were appended.
//! - **Rows** come and go head by head: queries `[H][n][D]`, keys and values `[G][n][D]`; query head `h` belongs to
//!   key/value head `h / (H/G)`. Keys and queries are rotated, with rotary pairs in halves (`i`, `i + D/2`).
//! - **Prompt**: rows are appended to one layer after another; [`KvCache::seal`] says that a layer's prompt is
//!   complete. Until then every cache is exact. **Decoding**: rows are appended to all layers in turn.
//! - **Bytes** are what the cache holds on the heap: capacities, not lengths. Working memory that all caches share
//!   is the [`Workspace`]'s and counted by nobody as memory of the past.
#![forbid(unsafe_code)]

mod beside;
mod bytes;
mod eigen;
mod error;
mod evicting;
mod exact;
mod expected;
pub mod fourier;
mod kind;
mod kv_cache;
pub mod lowrank;
pub mod park;
mod pieces;
pub mod plan;
mod product;
pub mod quantised;
mod roots;
mod rotary;
mod rows;
mod settings;
mod shape;
pub mod spectral;
mod tee;
mod tokens;
mod trace;

pub use bytes::CacheBytes;
pub use error::CacheError;
pub use evicting::{Budget, Choice, EvictingCache, EvictingSettings, Pool};
pub use exact::ExactCache;
pub use expected::{ByteBudget, PromptSize};
pub use fourier::FourierCache;
pub use fourier_kv_kernels::attention::state::AttnRows;
pub use fourier_kv_kernels::workspace::Workspace;
pub use kind::{CacheKind, Storage};
pub use kv_cache::KvCache;
pub use lowrank::LowRankCache;
pub use quantised::QuantisedCache;
pub use rotary::KeysAs;
pub use rows::{KvRows, QueryRows};
pub use settings::SettingsError;
pub use shape::{CacheContext, CacheShape};
pub use spectral::SpectralCache;
pub use tee::{CacheList, TeeCache};
pub use trace::{LayerTrace, TraceCache};
