//! One sequence on a GPU.

use std::ops::ControlFlow;

use fourier_kv_cache::CacheBytes;
use fourier_kv_cuda::CudaError;
use fourier_kv_cuda::model::{Batch, PromptError};
use fourier_kv_model::decoder::{ForwardError, Progress};

use crate::{EngineError, Predictor};

/// One sequence of a [`super::DeviceModel`].
#[derive(Debug)]
pub struct DeviceSession {
    batch: Batch,
    kind: String,
    logits: Vec<f32>,
    broken: bool,
}

impl DeviceSession {
    /// A batch of one.
    pub(super) fn new(batch: Batch, kind: String) -> Self {
        DeviceSession { logits: vec![0.0; batch.model().shape().vocabulary], batch, kind, broken: false }
    }

    /// How the past is kept, as `--cache` writes it.
    pub fn describe(&self) -> &str {
        &self.kind
    }

    /// Bytes of the GPU that the past takes.
    pub fn bytes(&self) -> CacheBytes {
        CacheBytes { tokens: self.batch.pasts().bytes(), ..CacheBytes::default() }
    }

    fn check(&self, tokens: &[u32]) -> Result<(), EngineError> {
        let vocabulary = self.batch.model().shape().vocabulary;
        if self.broken {
            return Err(EngineError::Broken);
        }
        match tokens.iter().find(|&&token| token as usize >= vocabulary) {
            None => Ok(()),
            Some(&token) => Err(ForwardError::Token { token, vocabulary }.into()),
        }
    }

    fn step(&mut self, token: u32) -> Result<(), CudaError> {
        self.batch.step(&[token])?;
        self.batch.logits(&mut self.logits)
    }
}

impl Predictor for DeviceSession {
    fn count(&self) -> usize {
        self.batch.pasts().lengths().iter().sum()
    }

    /// Room grows by itself, in large pieces.
    fn make_room(&mut self, _: usize) {}

    fn read(
        &mut self,
        tokens: &[u32],
        watch: &mut (dyn FnMut(Progress) -> ControlFlow<()> + Send),
    ) -> Result<(), EngineError> {
        self.check(tokens)?;
        let rows = tokens.len();
        let mut heard = |done: usize, layers: usize| watch(Progress { done: done * rows, total: layers * rows });
        let read = self.batch.prompt(0, tokens, &mut heard);
        self.broken = read.is_err();
        self.logits = read.map_err(|error| match error {
            PromptError::Cuda(error) => EngineError::Cuda(error),
            PromptError::Stopped => ForwardError::Stopped.into(),
        })?;
        Ok(())
    }

    fn advance(&mut self, token: u32) -> Result<(), EngineError> {
        self.check(&[token])?;
        let done = self.step(token);
        self.broken = done.is_err();
        Ok(done?)
    }

    fn next_logits(&self) -> &[f32] {
        &self.logits
    }
}
