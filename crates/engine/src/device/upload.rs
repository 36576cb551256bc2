//! Weights from their files to a GPU, in `bf16`.

use std::ops::ControlFlow;

use fourier_kv_cuda::model::{Part, Weights};
use fourier_kv_kernels::parts::Chunks;
use fourier_kv_kernels::quant::{Matrix, QuantError};
use fourier_kv_kernels::workspace::Workspace;
use fourier_kv_model::decoder::ForwardError;
use fourier_kv_model::weights::Role;
use half::bf16;
use half::slice::HalfFloatSliceExt;

use crate::{Engine, EngineError};

/// Numbers that are dequantised before they go over.
const PORTION: usize = 1 << 24;
/// Numbers of a task.
const TASK: usize = 1 << 16;

/// Writes all of an engine's weights.
pub(super) fn upload(
    engine: &Engine,
    to: &mut Weights,
    watch: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
) -> Result<(), EngineError> {
    let (config, weights) = (engine.model().config(), engine.model().weights());
    let tied = |role: &Role| config.tied_output && *role == Role::Output;
    let roles: Vec<Role> = Role::all(config).into_iter().filter(|role| !tied(role)).collect();
    for (i, &role) in roles.iter().enumerate() {
        match part(role) {
            Some(Place::Vector(part)) => to.write_vector(part, &weights.vector(role).map_err(ForwardError::from)?)?,
            Some(Place::Matrix(part)) => {
                let matrix = weights.matrix(role).map_err(ForwardError::from)?;
                write(engine.workspace(), &matrix, part, to)?;
            }
            None => {}
        }
        if watch(i + 1, roles.len()).is_break() {
            return Err(ForwardError::Stopped.into());
        }
    }
    Ok(())
}

/// Writes one matrix, portion by portion.
fn write(workspace: &Workspace, matrix: &Matrix<'_>, part: Part, to: &mut Weights) -> Result<(), EngineError> {
    let cols = matrix.cols();
    let rows_of = |numbers: usize| (numbers / cols.max(1)).max(1);
    let portion = rows_of(PORTION).min(matrix.rows());
    let mut narrow = vec![bf16::ZERO; portion * cols];
    for first in (0..matrix.rows()).step_by(portion) {
        let count = portion.min(matrix.rows() - first);
        let numbers = &mut narrow[..count * cols];
        let task = rows_of(TASK);
        let parts = Chunks::new(&mut *numbers, task * cols);
        workspace
            .team()
            .try_for_parts(parts, |i, out| {
                let mut wide = vec![0.0; out.len()];
                matrix.dequantise(workspace.isa(), first + i * task, &mut wide)?;
                out.convert_from_f32_slice(&wide);
                Ok::<(), QuantError>(())
            })
            .map_err(ForwardError::Quant)?;
        to.write_matrix(part, first * cols, numbers)?;
    }
    Ok(())
}

/// Where a role's numbers go.
enum Place {
    Matrix(Part),
    Vector(Part),
}

fn part(role: Role) -> Option<Place> {
    Some(match role {
        Role::TokenEmbedding => Place::Matrix(Part::Embedding),
        Role::Output => Place::Matrix(Part::Output),
        Role::Query(l) => Place::Matrix(Part::Query(l)),
        Role::Key(l) => Place::Matrix(Part::Key(l)),
        Role::Value(l) => Place::Matrix(Part::Value(l)),
        Role::AttentionOutput(l) => Place::Matrix(Part::AttentionOutput(l)),
        Role::Gate(l) => Place::Matrix(Part::Gate(l)),
        Role::Up(l) => Place::Matrix(Part::Up(l)),
        Role::Down(l) => Place::Matrix(Part::Down(l)),
        Role::OutputNorm => Place::Vector(Part::OutputNorm),
        Role::AttentionNorm(l) => Place::Vector(Part::AttentionNorm(l)),
        Role::FeedForwardNorm(l) => Place::Vector(Part::FeedForwardNorm(l)),
        Role::QueryBias(l) => Place::Vector(Part::QueryBias(l)),
        Role::KeyBias(l) => Place::Vector(Part::KeyBias(l)),
        Role::ValueBias(l) => Place::Vector(Part::ValueBias(l)),
        // Models that have it are refused before.
        Role::AttentionOutputBias(_) => return None,
    })
}
