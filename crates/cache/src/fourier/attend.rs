//! Attention over all heads of a layer: sink and tail as they are, the middle in the spectrum.

use fourier_kv_kernels::attention::fourier::{FourierLayer, FourierTransforms, attend_fourier};
use fourier_kv_kernels::attention::state::AttnRowsMut;
use fourier_kv_kernels::element::Element;

use super::head::Head;
use super::stretch::Stretch;
use crate::exact::{for_rows, rows_a_task};
use crate::{AttnRows, CacheShape, QueryRows, Workspace};

/// Merges attention over the whole past of a layer into `out`.
pub(super) fn attend<S: Element, C: Element>(
    heads: &[Head<S, C>],
    shape: &CacheShape,
    queries: QueryRows<'_>,
    workspace: &Workspace,
    out: &mut AttnRows<f32>,
) {
    let stretches = heads.first().map_or(0, |head| head.middle().len());
    // Where the rows are few, tokens that are held whole are attended to beside the transforms: one run less, and
    // memory is read while transforms compute.
    let beside = queries.tokens == 1 && stretches > 0;
    if !beside {
        let rows = rows_a_task(queries.tokens, shape.group());
        for_rows(shape, queries, workspace, out, rows, |g, q, state| heads[g].attend_whole(q, workspace, state));
    }
    for number in 0..stretches {
        let whole = |g: usize, mut states: AttnRowsMut<'_, f32>| {
            if beside && number == 0 {
                heads[g].attend_whole(queries.group(g, shape), workspace, &mut states);
            }
        };
        attend_stretch(heads, number, (shape, queries), &whole, workspace, out);
    }
}

/// Merges stretch `number` of each head.
fn attend_stretch<S: Element, C: Element>(
    heads: &[Head<S, C>],
    number: usize,
    (shape, queries): (&CacheShape, QueryRows<'_>),
    beside: &(impl Fn(usize, AttnRowsMut<'_, f32>) + Sync),
    workspace: &Workspace,
    out: &mut AttnRows<f32>,
) {
    let stretch = |g: usize| &heads[g].middle()[number];
    let (period, harmonics) = (stretch(0).period(), stretch(0).harmonics());
    let transforms = workspace.transforms(period);
    let values = transforms.times(harmonics);
    let keys = if stretch(0).has_bands() { transforms.times(period / 2 + 1) } else { values.clone() };
    let layer = FourierLayer {
        heads: heads.len(),
        queries: &|g| queries.group(g, shape),
        regions: &|g| Stretch::region(stretch(g)),
        beside,
    };
    workspace.with_fourier_scratch(|scratch| {
        let transforms = FourierTransforms { keys: &keys, values: &values };
        attend_fourier((workspace.isa(), workspace.team()), transforms, layer, scratch, out);
    });
}
