//! A model's weights on the device, in `bf16`; norms and biases in `f32`.

use half::bf16;

use super::ModelShape;
use crate::product::Matrix;
use crate::{Buffer, CudaError, Device, Random};

/// What some weights are for; the number is their layer's. Matrices are `[outputs][inputs]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `[vocabulary][width]`
    Embedding,
    /// `[vocabulary][width]`; not there where it is the embedding.
    Output,
    /// `[H D][width]`
    Query(usize),
    /// `[G D][width]`
    Key(usize),
    /// `[G D][width]`
    Value(usize),
    /// `[width][H D]`
    AttentionOutput(usize),
    /// `[hidden][width]`
    Gate(usize),
    /// `[hidden][width]`
    Up(usize),
    /// `[width][hidden]`
    Down(usize),
    /// `[width]`
    OutputNorm,
    /// `[width]`
    AttentionNorm(usize),
    /// `[width]`
    FeedForwardNorm(usize),
    /// `[H D]`
    QueryBias(usize),
    /// `[G D]`
    KeyBias(usize),
    /// `[G D]`
    ValueBias(usize),
}

/// One layer's weights: what is multiplied with the same inputs is one matrix.
#[derive(Debug)]
pub(super) struct LayerWeights {
    pub(super) attention_norm: Buffer<f32>,
    /// `[H + 2 G][D][width]`
    pub(super) qkv: Buffer<bf16>,
    pub(super) bias: Option<Buffer<f32>>,
    pub(super) output: Buffer<bf16>,
    pub(super) feed_forward_norm: Buffer<f32>,
    /// `[2][hidden][width]`
    pub(super) gate_up: Buffer<bf16>,
    pub(super) down: Buffer<bf16>,
}

/// All weights of a model.
#[derive(Debug)]
pub struct Weights {
    shape: ModelShape,
    embedding: Buffer<bf16>,
    pub(super) layers: Vec<LayerWeights>,
    pub(super) output_norm: Buffer<f32>,
    output: Option<Buffer<bf16>>,
}

impl Weights {
    /// Memory for the weights of a model of this shape; what is in it is to be written.
    ///
    /// # Errors
    /// [`CudaError::Shape`], [`CudaError::Memory`].
    pub fn new(device: &Device, shape: &ModelShape) -> Result<Self, CudaError> {
        shape.check()?;
        let (width, hidden) = (shape.width, shape.hidden);
        let table = || device.uninitialised(shape.vocabulary * width);
        let layer = || {
            Ok(LayerWeights {
                attention_norm: device.uninitialised(width)?,
                qkv: device.uninitialised(shape.qkv_width() * width)?,
                bias: shape.biased.then(|| device.uninitialised(shape.qkv_width())).transpose()?,
                output: device.uninitialised(width * shape.query_width())?,
                feed_forward_norm: device.uninitialised(width)?,
                gate_up: device.uninitialised(2 * hidden * width)?,
                down: device.uninitialised(width * hidden)?,
            })
        };
        Ok(Weights {
            embedding: table()?,
            layers: (0..shape.layers).map(|_| layer()).collect::<Result<_, CudaError>>()?,
            output_norm: device.uninitialised(width)?,
            output: (!shape.tied_output).then(table).transpose()?,
            shape: shape.clone(),
        })
    }

    /// Random weights, for what is only measured: matrices with a deviation of 0.02, norms of one, no bias.
    ///
    /// # Errors
    /// As [`Weights::new`]; those of the compiler.
    pub fn random(device: &Device, shape: &ModelShape, seed: u64) -> Result<Self, CudaError> {
        let shape = ModelShape { biased: false, ..shape.clone() };
        let mut weights = Weights::new(device, &shape)?;
        let mut random = Random::new(device, seed)?;
        let ones = vec![1.0; shape.width];
        let tables = [Some(&mut weights.embedding), weights.output.as_mut()];
        for table in tables.into_iter().flatten() {
            random.bf16(device, table, 0.02)?;
        }
        weights.output_norm.write(&ones)?;
        for layer in &mut weights.layers {
            for matrix in [&mut layer.qkv, &mut layer.output, &mut layer.gate_up, &mut layer.down] {
                random.bf16(device, matrix, 0.02)?;
            }
            layer.attention_norm.write(&ones)?;
            layer.feed_forward_norm.write(&ones)?;
        }
        Ok(weights)
    }

    /// The model's sizes.
    pub fn shape(&self) -> &ModelShape {
        &self.shape
    }

    /// Bytes of all weights.
    pub fn bytes(&self) -> usize {
        let layer = |l: &LayerWeights| {
            let matrices: usize = [&l.qkv, &l.output, &l.gate_up, &l.down].iter().map(|m| m.len()).sum();
            let vectors = l.attention_norm.len() + l.feed_forward_norm.len() + l.bias.as_ref().map_or(0, Buffer::len);
            matrices * size_of::<bf16>() + vectors * size_of::<f32>()
        };
        let tables = self.embedding.len() + self.output.as_ref().map_or(0, Buffer::len);
        let layers: usize = self.layers.iter().map(layer).sum();
        tables * size_of::<bf16>() + layers + self.output_norm.len() * size_of::<f32>()
    }

    /// Writes a matrix's numbers from number `first` on.
    ///
    /// # Errors
    /// [`CudaError::Shape`] for a part that there is none of or that is a vector, [`CudaError::Length`] for numbers
    /// beyond its end.
    pub fn write_matrix(&mut self, part: Part, first: usize, numbers: &[bf16]) -> Result<(), CudaError> {
        let ModelShape { width, hidden, .. } = self.shape;
        let (query, key) = (self.shape.query_width(), self.shape.heads.kv_heads * self.shape.heads.head_dim);
        let (buffer, begin, len) = match part {
            Part::Embedding => (&mut self.embedding, 0, self.shape.vocabulary * width),
            Part::Output => match &mut self.output {
                Some(buffer) => (buffer, 0, self.shape.vocabulary * width),
                None => return Err(absent(0)),
            },
            Part::Query(l) => (&mut layer(&mut self.layers, l)?.qkv, 0, query * width),
            Part::Key(l) => (&mut layer(&mut self.layers, l)?.qkv, query * width, key * width),
            Part::Value(l) => (&mut layer(&mut self.layers, l)?.qkv, (query + key) * width, key * width),
            Part::AttentionOutput(l) => (&mut layer(&mut self.layers, l)?.output, 0, width * query),
            Part::Gate(l) => (&mut layer(&mut self.layers, l)?.gate_up, 0, hidden * width),
            Part::Up(l) => (&mut layer(&mut self.layers, l)?.gate_up, hidden * width, hidden * width),
            Part::Down(l) => (&mut layer(&mut self.layers, l)?.down, 0, width * hidden),
            _ => return Err(CudaError::Shape { what: "a part", expected: "a matrix", got: 1 }),
        };
        write(buffer, begin, len, first, numbers)
    }

    /// Writes a vector.
    ///
    /// # Errors
    /// As [`Weights::write_matrix`].
    pub fn write_vector(&mut self, part: Part, numbers: &[f32]) -> Result<(), CudaError> {
        let (query, key) = (self.shape.query_width(), self.shape.heads.kv_heads * self.shape.heads.head_dim);
        let width = self.shape.width;
        let (l, begin, len) = match part {
            Part::OutputNorm => return write(&mut self.output_norm, 0, width, 0, numbers),
            Part::AttentionNorm(l) => {
                return write(&mut layer(&mut self.layers, l)?.attention_norm, 0, width, 0, numbers);
            }
            Part::FeedForwardNorm(l) => {
                return write(&mut layer(&mut self.layers, l)?.feed_forward_norm, 0, width, 0, numbers);
            }
            Part::QueryBias(l) => (l, 0, query),
            Part::KeyBias(l) => (l, query, key),
            Part::ValueBias(l) => (l, query + key, key),
            _ => return Err(CudaError::Shape { what: "a part", expected: "a vector", got: 2 }),
        };
        let bias = layer(&mut self.layers, l)?.bias.as_mut().ok_or_else(|| absent(l))?;
        write(bias, begin, len, 0, numbers)
    }

    pub(super) fn embedding(&self) -> &Buffer<bf16> {
        &self.embedding
    }

    /// The matrix of the logits.
    pub(super) fn output(&self) -> Matrix<'_> {
        let numbers = self.output.as_ref().unwrap_or(&self.embedding);
        Matrix { numbers, rows: self.shape.vocabulary, cols: self.shape.width }
    }
}

fn layer(layers: &mut [LayerWeights], number: usize) -> Result<&mut LayerWeights, CudaError> {
    layers.get_mut(number).ok_or_else(|| absent(number))
}

fn absent(got: usize) -> CudaError {
    CudaError::Shape { what: "a part", expected: "one that the model has", got }
}

fn write<T: cudarc::driver::DeviceRepr>(
    buffer: &mut Buffer<T>,
    begin: usize,
    len: usize,
    first: usize,
    numbers: &[T],
) -> Result<(), CudaError> {
    let end = first.saturating_add(numbers.len());
    if end > len {
        return Err(CudaError::Length { what: "a part", expected: len, got: end });
    }
    buffer.write_at(begin + first, numbers)
}
