//! The past of one key/value head of one layer: codes, then the exact tail.

use std::ops::Range;

use fourier_kv_kernels::attention::Queries;
use fourier_kv_kernels::attention::exact::{ExactRegion, Mask, attend_exact};
use fourier_kv_kernels::attention::state::AttnRowsMut;
use fourier_kv_kernels::element::load_all;
use fourier_kv_kernels::workspace::{Scratch, Workspace};
use half::bf16;

use super::coder::{CodedRows, Coder};
use super::settings::QuantisedSettings;
use crate::bytes::{CacheBytes, held};
use crate::park::{ParkError, SectionReader, SectionWriter, Tag};
use crate::tokens::{Tokens, growth};

const KEY_CODES: Tag = *b"kcod";
const VALUE_CODES: Tag = *b"vcod";

/// One head's past. Oldest first: `coded` tokens in codes, then the tail.
#[derive(Clone, Debug)]
pub(super) struct Head {
    keys: Vec<u8>,
    values: Vec<u8>,
    coded: usize,
    tail: Tokens<bf16>,
}

impl Head {
    pub(super) fn new(dim: usize) -> Self {
        Head { keys: Vec::new(), values: Vec::new(), coded: 0, tail: Tokens::new(dim) }
    }

    pub(super) fn len(&self) -> usize {
        self.coded + self.tail.len()
    }

    /// Tokens in codes.
    pub(super) fn coded(&self) -> usize {
        self.coded
    }

    /// Tokens in the exact tail.
    pub(super) fn tail_len(&self) -> usize {
        self.tail.len()
    }

    /// Appends tokens to the tail.
    pub(super) fn push(&mut self, keys: &[f32], values: &[f32]) {
        self.tail.push(keys, values);
    }

    /// Codes tokens that have just come; there must be no tail.
    pub(super) fn push_coded(&mut self, coder: &Coder, keys: &[f32], values: &[f32], workspace: &Workspace) {
        workspace.with_scratch(|Scratch { floats, more_floats, .. }| {
            for (to, from) in [(&mut *floats, keys), (&mut *more_floats, values)] {
                to.clear();
                to.extend_from_slice(from);
            }
            self.encode(coder, keys.len() / self.tail.dim(), [floats, more_floats]);
        });
    }

    /// Codes the first `count` tokens of the tail, whole groups, and keeps room for `spare` beyond the rest.
    pub(super) fn code_first(&mut self, coder: &Coder, count: usize, spare: usize, workspace: &Workspace) {
        self.make_room(coder, count);
        for from in (0..count).step_by(coder.block()) {
            let tokens = coder.block().min(count - from);
            workspace.with_scratch(|Scratch { floats, more_floats, .. }| {
                let region = self.tail.range(from..from + tokens);
                for (to, from) in [(&mut *floats, region.keys), (&mut *more_floats, region.values)] {
                    to.resize(from.len(), 0.0);
                    load_all(from, to);
                }
                self.encode(coder, tokens, [floats, more_floats]);
            });
        }
        self.tail.drop_first(count, spare);
    }

    fn encode(&mut self, coder: &Coder, tokens: usize, rows: [&mut Vec<f32>; 2]) {
        self.make_room(coder, tokens);
        coder.encode(self.coded, rows.map(Vec::as_mut_slice), [&mut self.keys, &mut self.values]);
        self.coded += tokens;
    }

    /// Makes room for the codes of `tokens` more: of a prompt's no more than that, later as tokens that are kept whole.
    fn make_room(&mut self, coder: &Coder, tokens: usize) {
        let unit = coder.unit();
        let more = if self.coded == 0 { tokens } else { tokens.max(growth(self.coded).next_multiple_of(unit)) };
        let (needed, wanted) = (coder.code_bytes(tokens), coder.code_bytes(more));
        for (i, codes) in [&mut self.keys, &mut self.values].into_iter().enumerate() {
            if codes.len() + needed[i] > codes.capacity() {
                codes.reserve_exact(wanted[i]);
            }
        }
    }

    /// Makes room for `tokens` more, one at a time, of which those before the last `settings.residual` are coded.
    pub(super) fn reserve(&mut self, tokens: usize, coder: &Coder, settings: &QuantisedSettings) {
        if !settings.codes_at_once() {
            // It is longest just before a group leaves it.
            let longest = settings.residual + settings.step();
            self.tail.reserve(tokens.min(longest.saturating_sub(self.tail.len())));
        }
        let bytes = coder.code_bytes(settings.due(self.tail.len() + tokens));
        self.keys.reserve_exact(bytes[0]);
        self.values.reserve_exact(bytes[1]);
    }

    /// Merges attention of the rows of `q` over the whole past into their states.
    pub(super) fn attend(
        &self,
        coder: &Coder,
        q: Queries<'_, f32>,
        workspace: &Workspace,
        state: &mut AttnRowsMut<'_, f32>,
    ) {
        // Without a tail, the tokens being computed are coded as well.
        let computed = if self.tail.len() == 0 { q.tokens } else { 0 };
        if self.coded > 0 {
            workspace.with_scratch(|kept| {
                kept.states.reshape(state.count(), state.dim());
                let mut coded = kept.states.all();
                self.attend_coded(coder, (0..self.coded, computed), q, workspace, &mut coded);
                for r in 0..coded.count() {
                    let row = coded.row(r);
                    state.row(r).absorb(*row.max, *row.sum, row.out);
                }
            });
        }
        self.attend_tail(q, workspace, state);
    }

    /// Merges attention over the tail into the states of the rows of `q`.
    pub(super) fn attend_tail(&self, q: Queries<'_, f32>, workspace: &Workspace, state: &mut AttnRowsMut<'_, f32>) {
        workspace.with_scratch(|scratch| {
            attend_exact(workspace.isa(), q, self.tail.region(), Mask::Causal, &mut scratch.exact, state);
        });
    }

    /// Attention over a run of coded tokens, the last `computed` of them being those of the queries; `state` must have
    /// seen nothing.
    pub(super) fn attend_coded(
        &self,
        coder: &Coder,
        (tokens, computed): (Range<usize>, usize),
        q: Queries<'_, f32>,
        workspace: &Workspace,
        state: &mut AttnRowsMut<'_, f32>,
    ) {
        let isa = workspace.isa();
        workspace.with_scratch(|turned| {
            workspace.with_scratch(|Scratch { floats, more_floats, exact, .. }| {
                for (block, mask) in blocks(tokens, computed, coder.block()) {
                    coder.decode(isa, block.len(), self.codes(coder, &block), [floats, more_floats]);
                    let q = coder.queries(q, block.start, &mut turned.floats);
                    attend_exact(isa, q, ExactRegion { keys: floats, values: more_floats }, mask, exact, state);
                }
            });
        });
        coder.turn_outputs(state.outputs());
    }

    fn codes(&self, coder: &Coder, tokens: &Range<usize>) -> CodedRows<'_> {
        let (from, to) = (coder.code_bytes(tokens.start), coder.code_bytes(tokens.end));
        CodedRows { keys: &self.keys[from[0]..to[0]], values: &self.values[from[1]..to[1]] }
    }

    pub(super) fn park(&self, out: &mut SectionWriter<'_>) -> Result<(), ParkError> {
        out.numbers(KEY_CODES, &self.keys)?;
        out.numbers(VALUE_CODES, &self.values)?;
        self.tail.park(out)
    }

    /// Reads a head of `coded` tokens, whole groups, and a tail of `tail`.
    pub(super) fn unpark(
        coder: &Coder,
        dim: usize,
        [coded, tail]: [usize; 2],
        sections: &mut SectionReader<'_>,
    ) -> Result<Self, ParkError> {
        let [keys, values] = coder.code_bytes(coded);
        let (keys, values) = (sections.numbers(KEY_CODES, keys)?, sections.numbers(VALUE_CODES, values)?);
        Ok(Head { keys, values, coded, tail: Tokens::unpark(dim, tail, sections)? })
    }

    pub(super) fn bytes(&self) -> CacheBytes {
        CacheBytes { tokens: self.tail.bytes(), codes: held(&self.keys) + held(&self.values), ..CacheBytes::default() }
    }
}

/// Divides a run of tokens that begins at a whole block into blocks; the last holds all of the `computed` tokens.
fn blocks(tokens: Range<usize>, computed: usize, block: usize) -> impl Iterator<Item = (Range<usize>, Mask)> {
    let past = match computed {
        0 => tokens.end,
        _ => tokens.start + (tokens.len() - computed) / block * block,
    };
    let whole = (tokens.start..past).step_by(block).map(move |from| (from..past.min(from + block), Mask::None));
    whole.chain((past < tokens.end).then_some((past..tokens.end, Mask::Causal)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_whole_and_the_last_has_all_that_is_computed() {
        let all = |tokens, computed| blocks(tokens, computed, 10).collect::<Vec<_>>();
        assert_eq!(all(10..35, 0), [(10..20, Mask::None), (20..30, Mask::None), (30..35, Mask::None)]);
        assert_eq!(
            all(0..35, 1),
            [0..10, 10..20, 20..30]
                .map(|r| (r, Mask::None))
                .into_iter()
                .chain([(30..35, Mask::Causal)])
                .collect::<Vec<_>>()
        );
        assert_eq!(all(0..35, 17), [(0..10, Mask::None), (10..35, Mask::Causal)]);
        assert_eq!(all(0..5, 5), [(0..5, Mask::Causal)]);
        assert_eq!(all(0..20, 0), [(0..10, Mask::None), (10..20, Mask::None)]);
    }
}
