//! The memory of a forward pass, kept from pass to pass: once it is large enough, a pass allocates nothing.

use fourier_kv_cache::AttnRows;
use fourier_kv_kernels::rope::Rotations;

use super::batch::Logits;
use super::tiles::Tiles;

/// What a forward pass works in, and the logits that it leaves.
#[derive(Debug)]
pub struct Activations {
    pub(super) schedule: Schedule,
    pub(super) rows: Rows,
    pub(super) logits: Logits,
}

/// What is computed in which order, and where in time.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    pub(super) tiles: Tiles,
    /// One for each sequence.
    pub(super) rotations: Vec<Rotations>,
    /// Tokens that the cache of each sequence held before the pass.
    pub(super) held: Vec<usize>,
}

/// Rows of numbers: of the whole batch in `residual`, else of one tile.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) residual: Vec<f32>,
    pub(super) normed: Vec<f32>,
    pub(super) query: Vec<f32>,
    pub(super) key: Vec<f32>,
    pub(super) value: Vec<f32>,
    /// One for all segments that are attended to one after another, or one for each.
    pub(super) segments: Vec<SegmentRows>,
    pub(super) attended: Vec<f32>,
    pub(super) gate: Vec<f32>,
    pub(super) up: Vec<f32>,
    pub(super) added: Vec<f32>,
}

/// What attending to one segment takes.
#[derive(Debug)]
pub(super) struct SegmentRows {
    /// Queries, keys and values, rotated and head by head.
    pub(super) heads: [Vec<f32>; 3],
    pub(super) state: AttnRows<f32>,
}

impl Activations {
    pub(super) fn new() -> Self {
        Activations { schedule: Schedule::default(), rows: Rows::default(), logits: Logits::default() }
    }

    /// The logits that the last pass was asked for.
    pub fn logits(&self) -> &Logits {
        &self.logits
    }

    /// Gives back all memory but the logits': after a prompt it is as long as the prompt, and decoding needs one row.
    pub fn release(&mut self) {
        self.schedule = Schedule::default();
        self.rows = Rows::default();
    }
}

impl SegmentRows {
    pub(super) fn new(head_dim: usize) -> Self {
        SegmentRows { heads: Default::default(), state: AttnRows::new(0, head_dim) }
    }
}

/// Makes `v` this long, whatever it holds then.
pub(super) fn sized(v: &mut Vec<f32>, length: usize) -> &mut [f32] {
    v.resize(length, 0.0);
    v
}
