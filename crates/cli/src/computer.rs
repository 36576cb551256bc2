//! What computes a model, and the sequences computed there.

use std::path::Path;
use std::sync::Arc;

use fourier_kv_engine::cache::plan::Plan;
use fourier_kv_engine::cache::{CacheBytes, CacheKind};
#[cfg(feature = "cuda")]
use fourier_kv_engine::device::{DeviceModel, DeviceSession};
use fourier_kv_engine::{Engine, Generation, Predictor, Session as Sequence};

use crate::failure::Failure;
#[cfg(feature = "cuda")]
use crate::loading;
use crate::requests::{Device, Machine};
use crate::run::compute_rest;
use crate::session::Session;

/// A model where it is computed.
#[derive(Debug)]
pub(crate) enum Computer<'e> {
    /// On the processor.
    Cpu(&'e Engine),
    /// On a GPU, with what is left to the processor.
    #[cfg(feature = "cuda")]
    Gpu(&'e Engine, DeviceModel),
}

/// A sequence where it is computed.
#[derive(Debug)]
pub(crate) enum Place<'e> {
    /// On the processor.
    Cpu(Box<Sequence<'e>>),
    /// On a GPU.
    #[cfg(feature = "cuda")]
    Gpu(Box<DeviceSession>),
}

/// What is held of the past.
#[derive(Debug)]
pub(crate) struct Held {
    /// How, as `--cache` writes it.
    pub(crate) kind: String,
    /// Tokens.
    pub(crate) tokens: usize,
    /// Bytes.
    pub(crate) bytes: CacheBytes,
}

impl<'e> Computer<'e> {
    /// Takes the model to where it is to be computed.
    #[cfg_attr(not(feature = "cuda"), allow(clippy::unnecessary_wraps, unused_variables))]
    pub(crate) fn new(engine: &'e Engine, machine: Machine, session: &Session) -> Result<Self, Failure> {
        match machine.device {
            Device::Cpu => Ok(Computer::Cpu(engine)),
            #[cfg(feature = "cuda")]
            Device::Cuda(number) => Ok(Computer::Gpu(engine, loading::on_gpu(engine, number, session)?)),
        }
    }

    /// Begins a sequence.
    pub(crate) fn begin(&self, kind: &CacheKind, plan: Option<Arc<Plan>>) -> Result<Place<'e>, Failure> {
        match self {
            Computer::Cpu(engine) => Ok(Place::Cpu(Box::new(engine.session(kind, plan)?))),
            #[cfg(feature = "cuda")]
            Computer::Gpu(engine, model) => Ok(Place::Gpu(Box::new(model.session(engine, kind, plan)?))),
        }
    }

    /// What computes, for reports.
    pub(crate) fn device(&self) -> &str {
        match self {
            Computer::Cpu(_) => "cpu",
            #[cfg(feature = "cuda")]
            Computer::Gpu(_, model) => &model.info().name,
        }
    }

    /// Bytes of the weights there.
    pub(crate) fn weight_bytes(&self) -> usize {
        match self {
            Computer::Cpu(engine) => engine.model().weight_bytes(),
            #[cfg(feature = "cuda")]
            Computer::Gpu(_, model) => model.weight_bytes(),
        }
    }
}

impl Place<'_> {
    /// What answers.
    pub(crate) fn predictor(&mut self) -> &mut dyn Predictor {
        match self {
            Place::Cpu(sequence) => sequence.as_mut(),
            #[cfg(feature = "cuda")]
            Place::Gpu(sequence) => sequence.as_mut(),
        }
    }

    /// What is held of the past.
    pub(crate) fn held(&self) -> Held {
        match self {
            Place::Cpu(sequence) => {
                let cache = sequence.cache();
                Held { kind: cache.describe(), tokens: cache.len(), bytes: cache.bytes() }
            }
            #[cfg(feature = "cuda")]
            Place::Gpu(sequence) => {
                Held { kind: sequence.describe().to_owned(), tokens: sequence.count(), bytes: sequence.bytes() }
            }
        }
    }

    /// Writes the session with the whole answer: the last token that was chosen has not been computed with. `before` is
    /// the length of the sequence before the answer. Returns the file's size.
    pub(crate) fn save(&mut self, before: usize, answer: &Generation, path: &Path) -> Result<Option<u64>, Failure> {
        match self {
            Place::Cpu(sequence) => {
                compute_rest(sequence, before, answer)?;
                Ok(Some(sequence.park(path)?))
            }
            // Requests to save are refused before.
            #[cfg(feature = "cuda")]
            Place::Gpu(_) => Ok(None),
        }
    }
}
