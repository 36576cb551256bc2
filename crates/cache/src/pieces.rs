//! Attention of one token over a long past, in pieces that are tasks: there may be fewer heads than threads, or a number
//! of them that does not share out evenly.

use fourier_kv_kernels::attention::Queries;
use fourier_kv_kernels::attention::state::AttnRowsMut;

use crate::{AttnRows, CacheShape, QueryRows, Workspace};

/// Runs `task(kv head, piece, queries, states)` in parallel for each of so many pieces of each head's past, with states
/// that have seen nothing, and merges the pieces in their order into `out`.
///
/// How many pieces there are must depend on how many tokens are held, not on how many threads there are: so do the
/// sums' roundings.
pub(crate) fn for_pieces(
    shape: &CacheShape,
    pieces: usize,
    queries: QueryRows<'_>,
    workspace: &Workspace,
    out: &mut AttnRows<f32>,
    task: impl Fn(usize, usize, Queries<'_, f32>, &mut AttnRowsMut<'_, f32>) + Sync,
) {
    let group = shape.group();
    workspace.with_scratch(|kept| {
        // [G][pieces][group]
        kept.states.reshape(shape.heads * pieces, shape.head_dim);
        let runs = kept.states.all().runs(pieces * group, group);
        workspace.team().for_parts(runs, |_, (g, first, mut state)| {
            task(g, first / group, queries.group(g, shape), &mut state);
        });
        let (mut parts, mut out) = (kept.states.all(), out.all());
        for row in 0..parts.count() {
            let part = parts.row(row);
            let head = row / (pieces * group) * group + row % group;
            out.row(head).absorb(*part.max, *part.sum, part.out);
        }
    });
}
