//! The sequence that `run` answers with, wherever it is computed.

use std::path::Path;
use std::sync::Arc;

use fourier_kv_engine::cache::CacheBytes;
use fourier_kv_engine::cache::plan::Plan;
#[cfg(feature = "cuda")]
use fourier_kv_engine::device::DeviceSession;
use fourier_kv_engine::{Engine, Generation, Predictor, Session as Sequence};

use super::compute_rest;
use crate::failure::Failure;
#[cfg(feature = "cuda")]
use crate::loading;
use crate::requests::{Device, RunRequest};
use crate::session::Session;

/// A sequence, and where it is computed.
#[derive(Debug)]
pub(super) enum Place<'e> {
    /// On the processor.
    Cpu(Box<Sequence<'e>>),
    /// On a GPU.
    #[cfg(feature = "cuda")]
    Gpu {
        /// The sequence, which keeps the model there.
        sequence: Box<DeviceSession>,
        /// The GPU's name.
        name: String,
        /// Bytes of the weights there.
        weight_bytes: usize,
    },
}

/// What is held of the past.
#[derive(Debug)]
pub(super) struct Held {
    /// How, as `--cache` writes it.
    pub(super) kind: String,
    /// Tokens.
    pub(super) tokens: usize,
    /// Bytes.
    pub(super) bytes: CacheBytes,
}

impl<'e> Place<'e> {
    /// Begins the sequence that is asked for, or goes on with one.
    pub(super) fn new(
        engine: &'e Engine,
        request: &RunRequest,
        plan: Option<Arc<Plan>>,
        session: &Session,
    ) -> Result<Self, Failure> {
        match request.machine.device {
            Device::Cpu => Ok(Place::Cpu(Box::new(match &request.session.open {
                Some(path) => engine.unpark(path)?,
                None => engine.session(&request.cache.kind, plan)?,
            }))),
            #[cfg(feature = "cuda")]
            Device::Cuda(number) => {
                let model = loading::on_gpu(engine, number, session)?;
                let (name, weight_bytes) = (model.info().name.clone(), model.weight_bytes());
                Ok(Place::Gpu { sequence: Box::new(model.session(&request.cache.kind)?), name, weight_bytes })
            }
        }
    }

    /// What answers.
    pub(super) fn predictor(&mut self) -> &mut dyn Predictor {
        match self {
            Place::Cpu(sequence) => sequence.as_mut(),
            #[cfg(feature = "cuda")]
            Place::Gpu { sequence, .. } => sequence.as_mut(),
        }
    }

    /// What is held of the past.
    pub(super) fn held(&self) -> Held {
        match self {
            Place::Cpu(sequence) => {
                let cache = sequence.cache();
                Held { kind: cache.describe(), tokens: cache.len(), bytes: cache.bytes() }
            }
            #[cfg(feature = "cuda")]
            Place::Gpu { sequence, .. } => {
                Held { kind: sequence.describe().to_owned(), tokens: sequence.count(), bytes: sequence.bytes() }
            }
        }
    }

    /// What computes, for the report.
    pub(super) fn device(&self) -> String {
        match self {
            Place::Cpu(_) => "cpu".to_owned(),
            #[cfg(feature = "cuda")]
            Place::Gpu { name, .. } => name.clone(),
        }
    }

    /// Bytes of the weights where they are computed with.
    pub(super) fn weight_bytes(&self, engine: &Engine) -> usize {
        match self {
            Place::Cpu(_) => engine.model().weight_bytes(),
            #[cfg(feature = "cuda")]
            Place::Gpu { weight_bytes, .. } => *weight_bytes,
        }
    }

    /// Writes the session with the whole answer: the last token that was chosen has not been computed with. `before` is
    /// the length of the sequence before the answer. Returns the file's size.
    pub(super) fn save(&mut self, before: usize, answer: &Generation, path: &Path) -> Result<Option<u64>, Failure> {
        match self {
            Place::Cpu(sequence) => {
                compute_rest(sequence, before, answer)?;
                Ok(Some(sequence.park(path)?))
            }
            // Requests to save are refused before.
            #[cfg(feature = "cuda")]
            Place::Gpu { .. } => Ok(None),
        }
    }
}
