//! How good is a cache, at how many bytes?
//!
//! # Conventions
//!
//! - A **task** makes **documents**; a document is a context and the **questions** about it. What a model says to a
//!   question is a **prediction**; a **metric** gives it a score from 0 to 1.
//! - A **method** is a cache with its settings, as it is written on the command line: `int4`, `snapkv:ratio=4`.
//! - **Bytes** are what a cache holds when it has compressed ([`KvCache::bytes`]), and what as many tokens take in
//!   `bf16` with no room to grow; their quotient is the measured ratio. Quality is only ever reported against it.
//! - **When**: `after-context` compresses before any question is known, `after-prompt` with the question.
//!
//! [`KvCache::bytes`]: https://docs.rs/fourier-kv-cache
#![forbid(unsafe_code)]

pub mod evaluate;
pub mod item;
pub mod metrics;
pub mod number;
pub mod prediction;
pub mod report;
pub mod runner;
pub mod suite;
pub mod tasks;
