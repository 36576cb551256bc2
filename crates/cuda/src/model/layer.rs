//! One layer, for some rows: what prompts and steps have in common.

use half::bf16;

use super::ModelShape;
use super::append::Projected;
use super::loaded::Model;
use super::rows::Span;
use crate::product::{Matrix, Output};
use crate::{Buffer, CudaError, Device};

/// Working memory of a layer for up to so many rows.
#[derive(Debug)]
pub(super) struct Scratch {
    pub(super) rows: usize,
    /// `[n][width]`
    pub(super) normed: Buffer<bf16>,
    /// `[n][H + 2 G][D]`
    pub(super) qkv: Buffer<f32>,
    /// `[n][H][D]`
    pub(super) attended: Buffer<bf16>,
    /// `[n][2][hidden]`
    gate_up: Buffer<bf16>,
    /// `[n][hidden]`
    gated: Buffer<bf16>,
}

impl Scratch {
    pub(super) fn new(device: &Device, shape: &ModelShape, rows: usize) -> Result<Self, CudaError> {
        Ok(Scratch {
            rows,
            normed: device.uninitialised(rows * shape.width)?,
            qkv: device.uninitialised(rows * shape.qkv_width())?,
            attended: device.uninitialised(rows * shape.query_width())?,
            gate_up: device.uninitialised(rows * 2 * shape.hidden)?,
            gated: device.uninitialised(rows * shape.hidden)?,
        })
    }
}

impl Model {
    /// Queries, keys and values of some rows of the residual stream, before bias and RoPE.
    pub(super) fn project(
        &self,
        layer: usize,
        residual: &Buffer<f32>,
        span: Span,
        scratch: &mut Scratch,
    ) -> Result<(), CudaError> {
        let (device, shape, weights) = (self.device(), self.shape(), &self.weights.layers[layer]);
        let norm = (&weights.attention_norm, shape.norm_eps);
        self.rows.norm(device, (residual, span), norm, &mut scratch.normed)?;
        let matrix = Matrix { numbers: &weights.qkv, rows: shape.qkv_width(), cols: shape.width };
        self.products.multiply(device, matrix, &scratch.normed, span.count, Output::Wide(&mut scratch.qkv))
    }

    /// The projections, with the bias that they lack.
    pub(super) fn projected<'a>(&'a self, layer: usize, scratch: &'a Scratch) -> Projected<'a> {
        Projected { qkv: &scratch.qkv, bias: self.weights.layers[layer].bias.as_ref() }
    }

    /// What was attended to, and then the feed-forward part, added to some rows of the residual stream.
    pub(super) fn finish(
        &self,
        layer: usize,
        residual: &mut Buffer<f32>,
        span: Span,
        scratch: &mut Scratch,
    ) -> Result<(), CudaError> {
        let (device, shape, weights) = (self.device(), self.shape(), &self.weights.layers[layer]);
        let ModelShape { width, hidden, norm_eps, .. } = *shape;
        let Span { first, count } = span;
        let output = Matrix { numbers: &weights.output, rows: width, cols: shape.query_width() };
        self.products.multiply(device, output, &scratch.attended, count, Output::Added(residual, first))?;
        let norm = (&weights.feed_forward_norm, norm_eps);
        self.rows.norm(device, (residual, span), norm, &mut scratch.normed)?;
        let gate_up = Matrix { numbers: &weights.gate_up, rows: 2 * hidden, cols: width };
        let to = Output::Narrow(&mut scratch.gate_up);
        self.products.multiply(device, gate_up, &scratch.normed, count, to)?;
        self.rows.gate(device, &scratch.gate_up, (count, hidden), &mut scratch.gated)?;
        let down = Matrix { numbers: &weights.down, rows: width, cols: hidden };
        self.products.multiply(device, down, &scratch.gated, count, Output::Added(residual, first))
    }

    /// The logits of some rows of the residual stream.
    pub(super) fn logits(
        &self,
        residual: &Buffer<f32>,
        span: Span,
        scratch: &mut Scratch,
        to: &mut Buffer<f32>,
    ) -> Result<(), CudaError> {
        let device = self.device();
        let norm = (&self.weights.output_norm, self.shape().norm_eps);
        self.rows.norm(device, (residual, span), norm, &mut scratch.normed)?;
        self.products.multiply(device, self.weights.output(), &scratch.normed, span.count, Output::Wide(to))
    }

    /// The residual stream of some tokens begins as their embeddings.
    pub(super) fn embed(&self, tokens: &Buffer<u32>, count: usize, to: &mut Buffer<f32>) -> Result<(), CudaError> {
        let table = (self.weights.embedding(), self.shape().vocabulary, self.shape().width);
        self.rows.embed(self.device(), table, tokens, count, to)
    }
}
