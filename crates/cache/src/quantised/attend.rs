//! Attention over all heads of a layer.

use super::coder::Coder;
use super::head::Head;
use crate::exact::{for_rows, rows_a_task};
use crate::{AttnRows, CacheShape, QueryRows, Workspace};

/// Blocks a task when one token attends to many. Pieces depend on how many tokens are held, not on how many threads
/// there are: so do the sums' roundings.
const BLOCKS: usize = 4;

/// Merges attention over the whole past of a layer into `out`.
pub(super) fn attend(
    heads: &[Head],
    coder: &Coder,
    shape: &CacheShape,
    queries: QueryRows<'_>,
    workspace: &Workspace,
    out: &mut AttnRows<f32>,
) {
    let coded = heads.first().map_or(0, Head::coded);
    if queries.tokens == 1 && coded > 0 {
        return attend_in_pieces(heads, coder, shape, queries, workspace, out);
    }
    let rows = rows_a_task(queries.tokens, shape.group());
    for_rows(shape, queries, workspace, out, rows, |g, q, state| heads[g].attend(coder, q, workspace, state));
}

/// Attention of one token: a task for each piece of codes and each tail.
fn attend_in_pieces(
    heads: &[Head],
    coder: &Coder,
    shape: &CacheShape,
    queries: QueryRows<'_>,
    workspace: &Workspace,
    out: &mut AttnRows<f32>,
) {
    let (coded, group) = (heads.first().map_or(0, Head::coded), shape.group());
    let piece = BLOCKS * coder.block();
    // The tail is one more.
    let pieces = coded.div_ceil(piece) + 1;
    workspace.with_scratch(|kept| {
        // [G][pieces][group]
        kept.states.reshape(shape.heads * pieces, shape.head_dim);
        let runs = kept.states.all().runs(pieces * group, group);
        workspace.team().for_parts(runs, |_, (g, first, mut state)| {
            let (q, from) = (queries.group(g, shape), first / group * piece);
            match from < coded {
                true => {
                    let run = (from..coded.min(from + piece), 0);
                    heads[g].attend_coded(coder, run, q, workspace, &mut state);
                }
                false => heads[g].attend_tail(q, workspace, &mut state),
            }
        });
        let (mut parts, mut out) = (kept.states.all(), out.all());
        for row in 0..parts.count() {
            let part = parts.row(row);
            let head = row / (pieces * group) * group + row % group;
            out.row(head).absorb(*part.max, *part.sum, part.out);
        }
    });
}
