//! How tokens get generated and caches calibrated: the library that programs depend on.
//!
//! ```no_run
//! use std::ops::ControlFlow;
//! use std::path::Path;
//!
//! use fourier_kv_engine::{Engine, EngineOptions, Event, GenerateOptions, Message};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let engine = Engine::load(Path::new("model.gguf"), &EngineOptions::default())?;
//! let mut session = engine.session(&"fourier".parse()?, None)?;
//! let prompt = engine.chat_prompt(&[Message::new("user", "What is a Fourier series?")])?;
//! let answer = engine.generate(&mut session, &prompt, &GenerateOptions::default(), &mut |event| {
//!     if let Event::Text(text) = event {
//!         print!("{text}");
//!     }
//!     ControlFlow::Continue(())
//! })?;
//! println!("\n{} bytes of past", session.cache().bytes().total());
//! # drop(answer);
//! # Ok(())
//! # }
//! ```
//!
//! An [`Engine`] is a model with its tokenizer, its threads and the working memory they share; a [`Session`] is one
//! sequence with its cache. With the feature `cuda`, a `device::DeviceModel` computes on a GPU. A [`scheduler::Scheduler`] computes many sequences together. Nothing here knows of files but
//! models, plans and parked sessions, of terminals, or of HTTP.
#![forbid(unsafe_code)]

mod calibrate;
mod constraint;
#[cfg(feature = "cuda")]
pub mod device;
mod engine;
mod error;
mod generate;
mod harm;
mod parking;
mod penalties;
mod predictor;
mod sampler;
pub mod scheduler;
mod session;
mod stop;

pub use calibrate::{CalibrateOptions, calibrate, calibrate_shares};
pub use constraint::Constraint;
pub use engine::{Engine, EngineOptions};
pub use error::EngineError;
pub use fourier_kv_cache as cache;
pub use fourier_kv_kernels as kernels;
pub use fourier_kv_model as model;
pub use fourier_kv_model::chat::Message;
pub use generate::{Event, Finish, GenerateOptions, Generation};
pub use harm::{HarmOptions, measure_shares};
pub use penalties::Penalties;
pub use predictor::Predictor;
pub use sampler::{Sampler, SamplerError, Sampling};
pub use session::Session;
