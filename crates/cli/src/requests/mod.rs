//! What was typed, understood: options checked together, defaults filled in, before any work.

mod bench_request;
mod calibrate_request;
mod chat_request;
mod device;
mod error;
mod eval_request;
mod generation;
mod inspect_request;
mod prompt;
mod pull_request;
mod run_request;
mod serve_request;
mod size;
mod text;

pub(crate) use {
    bench_request::BenchRequest,
    calibrate_request::{CalibrateRequest, Work},
    chat_request::ChatRequest,
    device::{Device, Machine, threads},
    error::RequestError,
    eval_request::EvalRequest,
    generation::{Choice, Generation},
    inspect_request::InspectRequest,
    prompt::Prompt,
    pull_request::PullRequest,
    run_request::{CacheRequest, RunRequest},
    serve_request::ServeRequest,
    text::read_text,
};
