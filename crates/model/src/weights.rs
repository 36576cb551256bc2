//! A model's weights by role, as they lie in its files.

use std::collections::HashMap;

use fourier_kv_kernels::isa::Isa;
use fourier_kv_kernels::quant::Matrix;

use crate::config::ModelConfig;
use crate::error::WeightsError;
use crate::family::TensorNames;
use crate::stored::{StoredTensor, StoredTensors};

/// What a tensor is for; the number is its layer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// `[vocabulary, width]`
    TokenEmbedding,
    /// `[width]`
    OutputNorm,
    /// `[vocabulary, width]`; the token embedding where the two are tied.
    Output,
    /// `[width]`
    AttentionNorm(usize),
    /// `[H * D, width]`
    Query(usize),
    /// `[H * D]`
    QueryBias(usize),
    /// `[G * D, width]`
    Key(usize),
    /// `[G * D]`
    KeyBias(usize),
    /// `[G * D, width]`
    Value(usize),
    /// `[G * D]`
    ValueBias(usize),
    /// `[width, H * D]`
    AttentionOutput(usize),
    /// `[width]`
    AttentionOutputBias(usize),
    /// `[width]`
    FeedForwardNorm(usize),
    /// `[hidden, width]`
    Gate(usize),
    /// `[hidden, width]`
    Up(usize),
    /// `[width, hidden]`
    Down(usize),
}

impl Role {
    /// All roles that a model of this shape fills, in the order a forward pass meets them.
    pub fn all(config: &ModelConfig) -> Vec<Role> {
        let mut roles = vec![Role::TokenEmbedding];
        for layer in 0..config.layers {
            roles.extend([Role::AttentionNorm(layer), Role::Query(layer)]);
            roles.extend([Role::Key(layer), Role::Value(layer)]);
            if config.attention_bias {
                roles.extend([Role::QueryBias(layer), Role::KeyBias(layer)]);
                roles.push(Role::ValueBias(layer));
            }
            roles.push(Role::AttentionOutput(layer));
            if config.attention_output_bias {
                roles.push(Role::AttentionOutputBias(layer));
            }
            roles.extend([Role::FeedForwardNorm(layer), Role::Gate(layer)]);
            roles.extend([Role::Up(layer), Role::Down(layer)]);
        }
        roles.extend([Role::OutputNorm, Role::Output]);
        roles
    }

    /// The shape of the tensor with this role: `[rows, cols]` or `[len]`.
    fn shape(self, config: &ModelConfig) -> Vec<usize> {
        let ModelConfig { width, hidden, vocabulary, .. } = *config;
        let query_width = config.heads * config.head_dim;
        let key_width = config.kv_heads * config.head_dim;
        match self {
            Role::TokenEmbedding | Role::Output => vec![vocabulary, width],
            Role::OutputNorm | Role::AttentionNorm(_) | Role::FeedForwardNorm(_) => vec![width],
            Role::Query(_) => vec![query_width, width],
            Role::QueryBias(_) => vec![query_width],
            Role::Key(_) | Role::Value(_) => vec![key_width, width],
            Role::KeyBias(_) | Role::ValueBias(_) => vec![key_width],
            Role::AttentionOutput(_) => vec![width, query_width],
            Role::AttentionOutputBias(_) => vec![width],
            Role::Gate(_) | Role::Up(_) => vec![hidden, width],
            Role::Down(_) => vec![width, hidden],
        }
    }
}

/// A model's weights: quantised as in its files, mapped into memory where the files are.
///
/// Every role that the model's shape fills is there, has the shape its [`Role`] says, and a
/// supported type; vectors hold finite numbers. Cloning copies no weights.
#[derive(Debug, Clone)]
pub struct Weights(HashMap<Role, Entry>);

#[derive(Debug, Clone)]
struct Entry {
    tensor: StoredTensor,
    rows: usize,
    cols: usize,
}

impl Weights {
    /// Finds the tensor of every role and checks it.
    pub(crate) fn resolve(
        config: &ModelConfig,
        names: &TensorNames,
        stored: &StoredTensors,
    ) -> Result<Weights, WeightsError> {
        let mut entries = HashMap::new();
        for role in Role::all(config) {
            let tied = role == Role::Output && config.tied_output;
            let name = names.of(if tied { Role::TokenEmbedding } else { role });
            let Some(tensor) = stored.get(&name) else {
                return Err(WeightsError::Missing { name });
            };
            entries.insert(role, Entry::checked(tensor, role.shape(config))?);
        }
        Ok(Weights(entries))
    }

    fn entry(&self, role: Role) -> Result<&Entry, WeightsError> {
        self.0.get(&role).ok_or_else(|| WeightsError::Missing { name: format!("{role:?}") })
    }

    /// The matrix with this role; a vector is a matrix of one row.
    ///
    /// # Errors
    ///
    /// If the model's shape does not fill this role: no such layer, or no such bias.
    pub fn matrix(&self, role: Role) -> Result<Matrix<'_>, WeightsError> {
        let entry = self.entry(role)?;
        entry.tensor.matrix(entry.rows, entry.cols)
    }

    /// The vector with this role, as floats; a matrix row after row.
    ///
    /// # Errors
    ///
    /// If the model's shape does not fill this role: no such layer, or no such bias.
    pub fn vector(&self, role: Role) -> Result<Vec<f32>, WeightsError> {
        let entry = self.entry(role)?;
        entry.tensor.floats(entry.rows, entry.cols)
    }

    /// Bytes of all weights as stored, those shared between roles counted once.
    pub fn bytes(&self) -> usize {
        let tied = |role: Role| role == Role::Output && self.is_tied();
        let entries = self.0.iter().filter(|&(&role, _)| !tied(role));
        entries.map(|(_, entry)| entry.tensor.range.len()).sum()
    }

    fn is_tied(&self) -> bool {
        let name = |role| self.0.get(&role).map(|entry| &entry.tensor.name);
        name(Role::Output) == name(Role::TokenEmbedding)
    }
}

impl Entry {
    fn checked(tensor: &StoredTensor, expected: Vec<usize>) -> Result<Entry, WeightsError> {
        if tensor.shape != expected {
            let (name, found) = (tensor.name.clone(), tensor.shape.clone());
            return Err(WeightsError::Shape { name, expected, found });
        }
        let (rows, cols) = match expected[..] {
            [len] => (1, len),
            _ => (expected[0], expected[1]),
        };
        tensor.matrix(rows, cols)?;
        if expected.len() == 1 {
            check_finite(&tensor.name, &tensor.floats(rows, cols)?)?;
        }
        Ok(Entry { tensor: tensor.clone(), rows, cols })
    }
}

/// One infinite norm or bias would make every logit meaningless, silently.
fn check_finite(name: &str, values: &[f32]) -> Result<(), WeightsError> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(position) => {
            let name = name.to_owned();
            Err(WeightsError::NotFinite { name, position, found: values[position] })
        }
    }
}

impl StoredTensor {
    /// The tensor's values. Memory is taken only once its bytes are known to be there.
    pub(crate) fn floats(&self, rows: usize, cols: usize) -> Result<Vec<f32>, WeightsError> {
        let matrix = self.matrix(rows, cols)?;
        let mut out = vec![0.0; rows * cols];
        let stored = |source| WeightsError::Stored { name: self.name.clone(), source };
        matrix.dequantise(Isa::portable(), 0, &mut out).map_err(stored)?;
        Ok(out)
    }
}
