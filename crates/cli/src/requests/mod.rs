//! What was typed, understood: options checked together, defaults filled in, before any work.

mod calibrate_request;
mod device;
mod error;
mod generation;
mod inspect_request;
mod prompt;
mod pull_request;
mod run_request;

#[allow(unused_imports, reason = "for `run`, `inspect` and `calibrate`, which come next")]
pub(crate) use {
    calibrate_request::CalibrateRequest,
    device::{Device, Machine},
    generation::{Choice, Generation},
    inspect_request::InspectRequest,
    prompt::{Prompt, TextSource},
    run_request::{CacheRequest, RunRequest},
};
pub(crate) use {device::threads, error::RequestError, pull_request::PullRequest};
