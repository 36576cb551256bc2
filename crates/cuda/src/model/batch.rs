//! Sequences that are computed together: prompts one after another, then step by step all at once.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::layer::Scratch;
use super::rows::Span;
use super::{Model, Pasts, PromptError};
use crate::{Buffer, CudaError, Graph};

/// A batch of sequences with their pasts. A step is captured once and launched as one graph from then on.
pub struct Batch {
    /// With the epoch of the pasts that it was captured in.
    graph: Option<(Graph, u64)>,
    model: Arc<Model>,
    pasts: Box<dyn Pasts>,
    buffers: Buffers,
}

/// What a step works in.
struct Buffers {
    scratch: Scratch,
    /// Tokens to compute with; a step leaves those that its logits make most likely.
    tokens: Buffer<u32>,
    /// Tokens of each sequence, as the device counts them.
    lengths: Buffer<u32>,
    /// Where each layer's views are.
    views: Buffer<u64>,
    residual: Buffer<f32>,
    queries: Buffer<f32>,
    attended: Buffer<f32>,
    logits: Buffer<f32>,
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch").field("lengths", &self.pasts.lengths()).finish_non_exhaustive()
    }
}

impl Batch {
    /// Sequences with these pasts.
    ///
    /// # Errors
    /// [`CudaError::Memory`].
    pub fn new(model: Arc<Model>, pasts: Box<dyn Pasts>) -> Result<Self, CudaError> {
        let (device, shape, batch) = (model.device(), model.shape(), pasts.lengths().len());
        let addresses: Vec<u64> = (0..shape.layers).map(|layer| pasts.views(layer).address()).collect();
        let query_width = shape.query_width();
        let buffers = Buffers {
            scratch: Scratch::new(device, shape, batch)?,
            tokens: device.upload(&vec![0; batch])?,
            lengths: device.upload(&lengths(pasts.as_ref())?)?,
            views: device.upload(&addresses)?,
            residual: device.uninitialised(batch * shape.width)?,
            queries: device.uninitialised(batch * query_width)?,
            attended: device.uninitialised(batch * query_width)?,
            logits: device.uninitialised(batch * shape.vocabulary)?,
        };
        Ok(Batch { graph: None, pasts, buffers, model })
    }

    /// Its pasts.
    pub fn pasts(&self) -> &dyn Pasts {
        self.pasts.as_ref()
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Reads tokens into the past of one sequence, and returns the last one's logits. `watch` hears of layers done, of
    /// how many, and may stop; that sequence's past is of no further use then, nor after an error.
    ///
    /// # Errors
    /// [`PromptError::Stopped`]; [`CudaError::Shape`] for no tokens or a token that there is none of; what the device
    /// says.
    pub fn prompt(
        &mut self,
        sequence: usize,
        tokens: &[u32],
        watch: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Vec<f32>, PromptError> {
        self.check(tokens)?;
        if tokens.is_empty() {
            let expected = "at least 1";
            return Err(CudaError::Shape { what: "the number of tokens", expected, got: 0 }.into());
        }
        self.model.read(self.pasts.as_mut(), sequence, tokens, &mut self.buffers.logits, watch)?;
        self.buffers.lengths.write(&lengths(self.pasts.as_ref())?)?;
        Ok(self.buffers.logits.read_range(0..self.model.shape().vocabulary)?)
    }

    /// Computes with one token of each sequence.
    ///
    /// # Errors
    /// [`CudaError::Shape`] for a token that there is none of, [`CudaError::Length`] for another number of them; what
    /// the device says.
    pub fn step(&mut self, tokens: &[u32]) -> Result<(), CudaError> {
        self.check(tokens)?;
        let (expected, got) = (self.pasts.lengths().len(), tokens.len());
        if expected != got {
            return Err(CudaError::Length { what: "the tokens of a step", expected, got });
        }
        self.buffers.tokens.write(tokens)?;
        self.go_on()
    }

    /// Computes with the tokens that the last step's logits made most likely; nothing waits for the device.
    ///
    /// # Errors
    /// What the device says.
    pub fn go_on(&mut self) -> Result<(), CudaError> {
        self.pasts.make_room(self.model.device())?;
        match &self.graph {
            Some((graph, epoch)) if *epoch == self.pasts.epoch() => graph.launch()?,
            _ => self.first_step()?,
        }
        self.pasts.stepped();
        Ok(())
    }

    /// The first step is launched as it is, so that whatever is made once is made, and then captured.
    fn first_step(&mut self) -> Result<(), CudaError> {
        let Batch { model, pasts, buffers, graph } = self;
        *graph = None;
        buffers.step(model, pasts.as_mut())?;
        let captured = Graph::capture(model.device(), || buffers.step(model, pasts.as_mut()))?;
        *graph = Some((captured, pasts.epoch()));
        Ok(())
    }

    /// The logits of the last step, `[B][vocabulary]`, once it is done, as many of them as `to` is long.
    ///
    /// # Errors
    /// What the device says.
    pub fn logits(&self, to: &mut [f32]) -> Result<(), CudaError> {
        self.buffers.logits.read_into(to)
    }

    /// The tokens that the last step's logits made most likely, once it is done.
    ///
    /// # Errors
    /// What the device says.
    pub fn likeliest(&self) -> Result<Vec<u32>, CudaError> {
        self.buffers.tokens.read()
    }

    fn check(&self, tokens: &[u32]) -> Result<(), CudaError> {
        let vocabulary = self.model.shape().vocabulary;
        match tokens.iter().find(|&&token| token as usize >= vocabulary) {
            None => Ok(()),
            Some(&token) => {
                let expected = "below the vocabulary's size";
                Err(CudaError::Shape { what: "a token", expected, got: token as usize })
            }
        }
    }
}

impl Buffers {
    /// Asks the device for one step.
    fn step(&mut self, model: &Model, pasts: &mut dyn Pasts) -> Result<(), CudaError> {
        let (device, shape) = (model.device(), model.shape());
        let all = Span { first: 0, count: self.tokens.len() };
        let numbers = all.count * shape.query_width();
        model.append.advance(device, &self.views, &mut self.lengths)?;
        model.embed(&self.tokens, all.count, &mut self.residual)?;
        for layer in 0..shape.layers {
            model.project(layer, &self.residual, all, &mut self.scratch)?;
            let to = (pasts.views(layer), &self.lengths);
            model.append.step(device, model.projected(layer, &self.scratch), to, &mut self.queries)?;
            pasts.attend(device, layer, &self.queries, &mut self.attended)?;
            model.rows.narrow(device, &self.attended, numbers, &mut self.scratch.attended)?;
            model.finish(layer, &mut self.residual, all, &mut self.scratch)?;
        }
        model.logits(&self.residual, all, &mut self.scratch, &mut self.logits)?;
        model.rows.largest(device, &self.logits, (all.count, shape.vocabulary), &mut self.tokens)
    }
}

/// The lengths as the device has them.
fn lengths(pasts: &dyn Pasts) -> Result<Vec<u32>, CudaError> {
    pasts.lengths().iter().map(|&held| crate::kernel::narrow("tokens", held)).collect()
}
