//! The past of one key/value head of one layer: coefficients, then the exact tail.

use std::ops::Range;

use fourier_kv_kernels::attention::Queries;
use fourier_kv_kernels::attention::exact::{ExactRegion, Mask, attend_exact};
use fourier_kv_kernels::attention::state::AttnRowsMut;
use fourier_kv_kernels::element::load_all;
use fourier_kv_kernels::workspace::Scratch;
use half::bf16;

use super::basis::{Basis, RowsTask};
use crate::product::product;
use super::settings::{LowRankSettings, STEP};
use crate::Workspace;
use crate::bytes::{CacheBytes, held};
use crate::park::{ParkError, SectionReader, SectionWriter, Tag};
use crate::rotary::{Rotary, Way};
use crate::tokens::{Tokens, growth};

const COEFFICIENTS: Tag = *b"coef";

/// Tokens that are rebuilt at a time: as floats they stay in a core's caches.
pub(super) const BLOCK: usize = 256;

/// One head's past. Oldest first: the sink, `projected` tokens as coefficients, then the tail.
#[derive(Clone, Debug)]
pub(super) struct Head {
    sink: Tokens<bf16>,
    /// Keys and values, once there is a basis.
    sides: Option<[Side; 2]>,
    projected: usize,
    tail: Tokens<bf16>,
}

/// What a parked head is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadSizes {
    pub(super) dim: usize,
    /// Tokens.
    pub(super) sink: usize,
    /// Tokens.
    pub(super) projected: usize,
    /// Directions, if there are projected tokens.
    pub(super) rank: usize,
    /// Tokens.
    pub(super) tail: usize,
}

/// Keys or values of the projected tokens.
#[derive(Clone, Debug)]
struct Side {
    basis: Basis,
    /// `[T][r]`.
    coefficients: Vec<bf16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Keys,
    Values,
}

impl Head {
    pub(super) fn new(dim: usize) -> Self {
        Head { sink: Tokens::new(dim), sides: None, projected: 0, tail: Tokens::new(dim) }
    }

    pub(super) fn len(&self) -> usize {
        self.sink.len() + self.projected + self.tail.len()
    }

    /// Tokens that are kept as coefficients.
    pub(super) fn projected(&self) -> usize {
        self.projected
    }

    /// Directions that they have coefficients of; 0 without any.
    pub(super) fn rank(&self) -> usize {
        self.sides.as_ref().map_or(0, |[keys, _]| keys.basis.rank())
    }

    /// Tokens in the exact tail.
    pub(super) fn tail_len(&self) -> usize {
        self.tail.len()
    }

    /// Appends tokens to the tail.
    pub(super) fn push(&mut self, keys: &[f32], values: &[f32]) {
        self.tail.push(keys, values);
    }

    /// Of the tokens of the tail, how many are to be projected now.
    pub(super) fn due(&self, settings: &LowRankSettings) -> usize {
        settings.due(self.tail.len(), self.sides.is_some(), self.tail.dim())
    }

    /// Projects the first `count` tokens of the tail, the first time after taking `sink` off them, onto the `rank` directions that are best for all of
    /// the tail, and keeps room for a step beyond the rest.
    pub(super) fn project_first(
        &mut self,
        count: usize,
        (sink, rank): (usize, usize),
        rotary: Option<&Rotary>,
        workspace: &Workspace,
    ) {
        if count > 0 {
            if self.sides.is_none() {
                self.sink = self.tail.copy_first(sink);
                self.tail.drop_first(sink, STEP);
            }
            let mut sides = self.sides.take().unwrap_or_else(|| self.new_sides(rank, rotary, workspace));
            for (side, of) in sides.iter_mut().zip([Of::Keys, Of::Values]) {
                let Side { basis, coefficients } = side;
                make_room(coefficients, basis.rank(), count);
                self.walk(of, count, rotary, workspace, &mut |rows| basis.project(workspace, rows, coefficients));
            }
            self.sides = Some(sides);
            self.projected += count;
        }
        self.tail.drop_first(count, STEP);
    }

    fn new_sides(&self, rank: usize, rotary: Option<&Rotary>, workspace: &Workspace) -> [Side; 2] {
        [Of::Keys, Of::Values].map(|of| {
            let all = self.tail.len();
            let basis = Basis::of(self.tail.dim(), rank, workspace, |task| self.walk(of, all, rotary, workspace, task));
            Side { basis, coefficients: Vec::new() }
        })
    }

    /// Shows the first `count` tokens of the tail to `task`, `[n][D]` at a time: values, or keys as they are projected.
    fn walk(&self, of: Of, count: usize, rotary: Option<&Rotary>, workspace: &Workspace, task: &mut RowsTask<'_>) {
        for from in (0..count).step_by(BLOCK) {
            let region = self.tail.range(from..count.min(from + BLOCK));
            let stored = if of == Of::Keys { region.keys } else { region.values };
            workspace.with_scratch(|Scratch { floats, .. }| {
                floats.resize(stored.len(), 0.0);
                load_all(stored, floats);
                if let Some(rotary) = rotary.filter(|_| of == Of::Keys) {
                    rotary.turn(floats, self.sink.len() + self.projected + from, Way::Back);
                }
                task(floats);
            });
        }
    }

    /// Makes room for `tokens` more, one at a time.
    pub(super) fn reserve(&mut self, tokens: usize, settings: &LowRankSettings) {
        let (dim, held) = (self.tail.dim(), self.tail.len());
        let longest = settings.longest(self.sides.is_some(), dim);
        self.tail.reserve(tokens.min(longest.saturating_sub(held)));
        for Side { basis, coefficients } in self.sides.iter_mut().flatten() {
            coefficients.reserve_exact(basis.rank() * settings.due(held + tokens, true, dim));
        }
    }

    /// Merges attention of the rows of `q` over the whole past into their states.
    pub(super) fn attend(
        &self,
        rotary: Option<&Rotary>,
        q: Queries<'_, f32>,
        workspace: &Workspace,
        state: &mut AttnRowsMut<'_, f32>,
    ) {
        if self.projected > 0 {
            workspace.with_scratch(|kept| {
                kept.states.reshape(state.count(), state.dim());
                let mut old = kept.states.all();
                self.attend_projected(rotary, 0..self.projected, q, workspace, &mut old);
                for r in 0..old.count() {
                    let row = old.row(r);
                    state.row(r).absorb(*row.max, *row.sum, row.out);
                }
            });
        }
        self.attend_whole(q, workspace, state);
    }

    /// Merges attention over the tokens that are held whole, sink and tail, into the states of the rows of `q`.
    pub(super) fn attend_whole(&self, q: Queries<'_, f32>, workspace: &Workspace, state: &mut AttnRowsMut<'_, f32>) {
        workspace.with_scratch(|scratch| {
            attend_exact(workspace.isa(), q, self.sink.region(), Mask::None, &mut scratch.exact, state);
            attend_exact(workspace.isa(), q, self.tail.region(), Mask::Causal, &mut scratch.exact, state);
        });
    }

    /// Attention over a run of projected tokens; `state` must have seen nothing.
    pub(super) fn attend_projected(
        &self,
        rotary: Option<&Rotary>,
        tokens: Range<usize>,
        q: Queries<'_, f32>,
        workspace: &Workspace,
        state: &mut AttnRowsMut<'_, f32>,
    ) {
        let Some([keys, values]) = &self.sides else { return };
        workspace.with_scratch(|Scratch { floats: directions, more_floats: own, .. }| {
            workspace.with_scratch(|Scratch { floats: key_rows, more_floats: value_rows, exact, .. }| {
                keys.basis.load(directions);
                for from in tokens.clone().step_by(BLOCK) {
                    let block = from..tokens.end.min(from + BLOCK);
                    keys.load(&block, keys.basis.rank(), value_rows);
                    keys.basis.rebuild(workspace, directions, value_rows, key_rows);
                    values.load(&block, q.dim, value_rows);
                    let q = turned(rotary, q, self.sink.len() + from, key_rows, own);
                    let region = ExactRegion { keys: key_rows, values: value_rows };
                    attend_exact(workspace.isa(), q, region, Mask::None, exact, state);
                }
                values.rebuild_outputs(workspace, [directions, value_rows, key_rows], state);
            });
        });
    }

    pub(super) fn park(&self, out: &mut SectionWriter<'_>) -> Result<(), ParkError> {
        self.sink.park(out)?;
        for Side { basis, coefficients } in self.sides.iter().flatten() {
            basis.park(out)?;
            out.numbers(COEFFICIENTS, coefficients)?;
        }
        self.tail.park(out)
    }

    /// Reads a head of these sizes.
    pub(super) fn unpark(sizes: HeadSizes, sections: &mut SectionReader<'_>) -> Result<Self, ParkError> {
        let HeadSizes { dim, sink, projected, rank, tail } = sizes;
        let sink = Tokens::unpark(dim, sink, sections)?;
        let mut side = || -> Result<Side, ParkError> {
            let basis = Basis::unpark(dim, rank, sections)?;
            Ok(Side { basis, coefficients: sections.numbers(COEFFICIENTS, projected.saturating_mul(rank))? })
        };
        let sides = if projected > 0 { Some([side()?, side()?]) } else { None };
        Ok(Head { sink, sides, projected, tail: Tokens::unpark(dim, tail, sections)? })
    }

    pub(super) fn bytes(&self) -> CacheBytes {
        let mut bytes = CacheBytes { tokens: self.sink.bytes() + self.tail.bytes(), ..CacheBytes::default() };
        for Side { basis, coefficients } in self.sides.iter().flatten() {
            bytes.coefficients += held(coefficients) + basis.bytes();
            bytes.bookkeeping += basis.mean_bytes();
        }
        bytes
    }
}

impl Side {
    /// Coefficients of a run of tokens as rows of `width`, what is beyond them zero.
    fn load(&self, tokens: &Range<usize>, width: usize, rows: &mut Vec<f32>) {
        let rank = self.basis.rank();
        rows.clear();
        rows.resize(tokens.len() * width, 0.0);
        let stored = self.coefficients[tokens.start * rank..tokens.end * rank].chunks_exact(rank);
        rows.chunks_exact_mut(width).zip(stored).for_each(|(row, stored)| load_all(stored, row));
    }

    /// Turns outputs, sums of weighted coefficients in the first `r` dims, into those of rows.
    fn rebuild_outputs(
        &self,
        workspace: &Workspace,
        [directions, sums, rows]: [&mut Vec<f32>; 3],
        state: &mut AttnRowsMut<'_, f32>,
    ) {
        let rank = self.basis.rank();
        self.basis.load(directions);
        sums.clear();
        (0..state.count()).for_each(|r| sums.extend_from_slice(&state.row(r).out[..rank]));
        product(workspace, directions, sums, rank, rows);
        for (r, row) in rows.chunks_exact(state.dim()).enumerate() {
            let state = state.row(r);
            for ((out, x), mean) in state.out.iter_mut().zip(row).zip(self.basis.mean()) {
                // Weights are not divided by their sum yet, and each brings the mean with it.
                *out = x + *state.sum * mean;
            }
        }
    }
}

/// Queries as they meet the keys of a block that begins with token `first`, which are turned as if it were token 0: if
/// positions are to be applied at all. Turned queries lie in `own`.
fn turned<'a>(
    rotary: Option<&Rotary>,
    q: Queries<'a, f32>,
    first: usize,
    keys: &mut [f32],
    own: &'a mut Vec<f32>,
) -> Queries<'a, f32> {
    let Some(rotary) = rotary else { return q };
    rotary.turn(keys, 0, Way::Forward);
    own.clear();
    own.extend_from_slice(q.rows);
    rotary.turn_all(own, first, Way::Back);
    Queries { rows: own, ..q }
}

/// Makes room for the coefficients of `count` tokens more: of a prompt's no more than that, later as tokens that are
/// kept whole.
fn make_room(coefficients: &mut Vec<bf16>, rank: usize, count: usize) {
    if coefficients.len() + count * rank > coefficients.capacity() {
        let held = coefficients.len() / rank;
        let more = if held == 0 { count } else { count.max(growth(held)) };
        coefficients.reserve_exact(more * rank);
    }
}
