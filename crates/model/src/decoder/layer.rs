//! One layer's weights, looked up once.

use fourier_kv_kernels::quant::Matrix;

use crate::config::ModelConfig;
use crate::error::WeightsError;
use crate::weights::{Role, Weights};

/// The vectors of a layer, unpacked: they are small and every token needs them.
#[derive(Clone, Debug)]
pub(super) struct LayerVectors {
    pub(super) attention_norm: Vec<f32>,
    pub(super) feed_forward_norm: Vec<f32>,
    pub(super) query_bias: Option<Vec<f32>>,
    pub(super) key_bias: Option<Vec<f32>>,
    pub(super) value_bias: Option<Vec<f32>>,
    pub(super) output_bias: Option<Vec<f32>>,
}

impl LayerVectors {
    pub(super) fn new(config: &ModelConfig, weights: &Weights, layer: usize) -> Result<Self, WeightsError> {
        let bias = |has: bool, role| has.then(|| weights.vector(role)).transpose();
        Ok(LayerVectors {
            attention_norm: weights.vector(Role::AttentionNorm(layer))?,
            feed_forward_norm: weights.vector(Role::FeedForwardNorm(layer))?,
            query_bias: bias(config.attention_bias, Role::QueryBias(layer))?,
            key_bias: bias(config.attention_bias, Role::KeyBias(layer))?,
            value_bias: bias(config.attention_bias, Role::ValueBias(layer))?,
            output_bias: bias(config.attention_output_bias, Role::AttentionOutputBias(layer))?,
        })
    }
}

/// The matrices of a layer, as they lie in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct LayerMatrices<'a> {
    pub(super) query: Matrix<'a>,
    pub(super) key: Matrix<'a>,
    pub(super) value: Matrix<'a>,
    pub(super) attention_output: Matrix<'a>,
    pub(super) gate: Matrix<'a>,
    pub(super) up: Matrix<'a>,
    pub(super) down: Matrix<'a>,
}

impl<'a> LayerMatrices<'a> {
    pub(super) fn new(weights: &'a Weights, layer: usize) -> Result<Self, WeightsError> {
        Ok(LayerMatrices {
            query: weights.matrix(Role::Query(layer))?,
            key: weights.matrix(Role::Key(layer))?,
            value: weights.matrix(Role::Value(layer))?,
            attention_output: weights.matrix(Role::AttentionOutput(layer))?,
            gate: weights.matrix(Role::Gate(layer))?,
            up: weights.matrix(Role::Up(layer))?,
            down: weights.matrix(Role::Down(layer))?,
        })
    }
}
