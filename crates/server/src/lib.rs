//! How HTTP reaches the engine: OpenAI's API, a page, metrics. The only crate that knows of either.
//!
//! [`serve`] answers on a listener until it is told to stop. What each request asks is understood in `api`, whose
//! errors ([`ApiError`]) have OpenAI's form; the engine's scheduler does the work, and `reply` turns what it says into
//! a body, whole or as server-sent events.
#![forbid(unsafe_code)]

mod access;
mod api;
mod app;
mod base64;
mod config;
mod connections;
mod error;
mod extract;
mod grammar;
mod identity;
mod metrics;
mod openapi;
mod page;
mod reply;
mod serve;

pub use access::{AccessKeys, KeyError};
pub use config::{Limits, ServerConfig};
pub use connections::Connections;
pub use error::ApiError;
pub use openapi::document;
pub use serve::{ServeError, serve};
