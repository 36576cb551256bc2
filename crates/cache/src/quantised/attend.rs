//! Attention over all heads of a layer.

use super::coder::Coder;
use super::head::Head;
use crate::exact::{for_rows, rows_a_task};
use crate::pieces::for_pieces;
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
    let coded = heads.first().map_or(0, Head::coded);
    let piece = BLOCKS * coder.block();
    // The tail is one more.
    for_pieces(shape, coded.div_ceil(piece) + 1, queries, workspace, out, |g, i, q, state| match i * piece {
        from if from < coded => heads[g].attend_coded(coder, (from..coded.min(from + piece), 0), q, workspace, state),
        _ => heads[g].attend_tail(q, workspace, state),
    });
}
