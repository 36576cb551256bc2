//! Reading a prompt: layer by layer over all of it, inside a layer in tiles.
//!
//! So exact keys and values of a whole prompt exist for one layer at a time where the past is compressed. Memory beside
//! weights and pasts: `4 n width` bytes of residual stream, and about
//! `2048 (2 width + 4 (H + 2 G) D + 4 H D + 6 hidden)` for a tile.

use std::ops::ControlFlow;

use super::Pasts;
use super::layer::Scratch;
use super::loaded::Model;
use super::rows::Span;
use crate::attention::TokensView;
use crate::{Buffer, CudaError};

/// Rows that are computed together: enough for products to run at full rate, few enough for a tile to take little
/// memory.
pub const TILE: usize = 2048;

/// Why a prompt was not read.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    /// The device.
    #[error(transparent)]
    Cuda(#[from] CudaError),
    /// The caller asked to stop: the past is in the middle of a pass, and of no further use.
    #[error("stopped while computing")]
    Stopped,
}

/// A prompt on its way through the layers.
struct Reading<'a> {
    model: &'a Model,
    queries: Buffer<half::bf16>,
    scratch: Scratch,
    residual: Buffer<f32>,
    /// Tokens before it, and its own.
    held: usize,
    count: usize,
}

impl Model {
    /// Reads tokens into the past of one sequence; the last one's logits go to the first row of `logits`. `watch` hears
    /// of layers done, of how many, and may stop.
    pub(super) fn read(
        &self,
        pasts: &mut dyn Pasts,
        sequence: usize,
        tokens: &[u32],
        logits: &mut Buffer<f32>,
        watch: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<(), PromptError> {
        let (device, shape, count) = (self.device(), self.shape(), tokens.len());
        let tile = count.min(TILE);
        let mut reading = Reading {
            model: self,
            queries: device.uninitialised(tile * shape.query_width())?,
            scratch: Scratch::new(device, shape, tile)?,
            residual: device.uninitialised(count * shape.width)?,
            held: pasts.lengths()[sequence],
            count,
        };
        self.embed(&device.upload(tokens)?, count, &mut reading.residual)?;
        for layer in 0..shape.layers {
            let rows = pasts.prompt(device, layer, sequence, count)?;
            reading.layer(layer, rows, pasts)?;
            pasts.seal(device, layer, sequence, count)?;
            // The host would run far ahead otherwise, and could not be stopped.
            device.synchronize()?;
            if watch(layer + 1, shape.layers).is_break() {
                return Err(PromptError::Stopped);
            }
        }
        let last = Span { first: count - 1, count: 1 };
        self.logits(&reading.residual, last, &mut reading.scratch, logits)?;
        Ok(pasts.read(device, sequence, count)?)
    }
}

impl Reading<'_> {
    fn layer(&mut self, layer: usize, rows: TokensView, pasts: &mut dyn Pasts) -> Result<(), CudaError> {
        let (model, device) = (self.model, self.model.device());
        for first in (0..self.count).step_by(self.scratch.rows) {
            let span = Span { first, count: self.scratch.rows.min(self.count - first) };
            let begin = self.held + first;
            // A tile sees what is before it, and itself.
            let seen = TokensView { count: crate::kernel::narrow("tokens", begin + span.count)?, ..rows };
            model.project(layer, &self.residual, span, &mut self.scratch)?;
            let projected = model.projected(layer, &self.scratch);
            model.append.prompt(device, projected, (rows, begin, span.count), &mut self.queries)?;
            pasts.observe(device, &self.queries, span.count)?;
            model.prompt.attend(device, &self.queries, seen, span.count, &mut self.scratch.attended)?;
            model.finish(layer, &mut self.residual, span, &mut self.scratch)?;
        }
        Ok(())
    }
}
