//! `exact`: every token as it is.
//!
//! **Idea.** Nothing is lost; all other caches are measured against it.
//! **Source.** Attention as everybody computes it.
//! **Departures.** None.
//! **What it stores.** `2 G D` numbers a token and layer, in 2 bytes (`bf16`, `f16`) or 4 (`f32`). Room is made for 256
//! tokens at a time, or for a sixteenth of those held if that is more.

use std::sync::Arc;

use fourier_kv_kernels::attention::Queries;
use fourier_kv_kernels::attention::exact::{Mask, attend_exact};
use fourier_kv_kernels::attention::state::AttnRowsMut;
use fourier_kv_kernels::element::Element;
use fourier_kv_kernels::parts::Chunks;

use crate::bytes::{CacheBytes, held};
use crate::error::check_layer;
use crate::expected::PromptSize;
use crate::kind::{CacheKind, Storage};
use crate::park::{ParkError, SectionReader, SectionWriter, check_even, each};
use crate::pieces::for_pieces;
use crate::tokens::{Tokens, room_after};
use crate::{AttnRows, CacheError, CacheShape, KvCache, KvRows, QueryRows, Workspace};

/// Tokens a task when one token attends to many: enough to be worth a task, and no more than stays in a core's caches.
/// The pieces depend on how many tokens are held, not on how many threads there are: so do the sums' roundings.
const PIECE: usize = 1024;

/// The exact cache, storing numbers as `S`.
#[derive(Clone, Debug)]
pub struct ExactCache<S> {
    shape: Arc<CacheShape>,
    /// `[L][G]`.
    heads: Vec<Tokens<S>>,
}

impl<S: Element> ExactCache<S> {
    /// An empty cache.
    pub fn new(shape: Arc<CacheShape>) -> Self {
        let heads = vec![Tokens::new(shape.head_dim); shape.layers * shape.kv_heads];
        ExactCache { shape, heads }
    }

    /// Attention of one token over many, in pieces of [`PIECE`].
    fn attend_in_pieces(
        &self,
        heads: &[Tokens<S>],
        queries: QueryRows<'_>,
        workspace: &Workspace,
        out: &mut AttnRows<f32>,
    ) {
        let pieces = heads.first().map_or(0, Tokens::len).div_ceil(PIECE);
        for_pieces(&self.shape, pieces, queries, workspace, out, |g, i, q, state| {
            let region = heads[g].range(i * PIECE..(i + 1) * PIECE);
            workspace.with_scratch(|scratch| {
                attend_exact(workspace.isa(), q, region, Mask::None, &mut scratch.exact, state);
            });
        });
    }

    /// Reads a parked cache: of each layer and head, all tokens.
    pub(crate) fn unpark(shape: Arc<CacheShape>, sections: &mut SectionReader<'_>) -> Result<Self, ParkError> {
        let (count, dim, tokens) = (shape.layers * shape.kv_heads, shape.head_dim, sections.tokens());
        let heads = each(count, |_| Tokens::unpark(dim, tokens, sections))?;
        Ok(ExactCache { shape, heads })
    }

    /// The heads of a layer.
    pub(crate) fn layer(&self, layer: usize) -> &[Tokens<S>] {
        &self.heads[layer * self.shape.kv_heads..][..self.shape.kv_heads]
    }
}

impl<S: Element> ExactCache<S> {
    /// Puts other keys, rotated, or values in place of those of one layer from token `first` on, `[G][M][D]`: to see
    /// what an error of theirs does. `None` leaves a side as it is.
    ///
    /// # Panics
    /// If there are not so many tokens.
    pub fn replace(&mut self, layer: usize, first: usize, keys: Option<&[f32]>, values: Option<&[f32]>) {
        let heads = self.shape.kv_heads;
        for (head, tokens) in self.heads[layer * heads..][..heads].iter_mut().enumerate() {
            let own = |rows: Option<&[f32]>| -> Option<Vec<f32>> {
                rows.map(|rows| rows[head * rows.len() / heads..(head + 1) * rows.len() / heads].to_vec())
            };
            tokens.replace(first, own(keys).as_deref(), own(values).as_deref());
        }
    }
}

impl<S: Element> KvCache for ExactCache<S> {
    fn describe(&self) -> String {
        CacheKind::Exact(Storage::of::<S>()).to_string()
    }

    fn shape(&self) -> &CacheShape {
        &self.shape
    }

    fn append(&mut self, layer: usize, rows: KvRows<'_>, workspace: &Workspace) -> Result<(), CacheError> {
        check_layer(layer, self.shape.layers)?;
        rows.check(&self.shape)?;
        let (heads, dim) = (self.shape.kv_heads, self.shape.head_dim);
        for_heads(&mut self.heads[layer * heads..][..heads], rows.k.len(), workspace, |g, head| {
            let (keys, values) = rows.head(g, dim);
            head.push(keys, values);
        });
        Ok(())
    }

    fn reserve(&mut self, tokens: usize, workspace: &Workspace) {
        self.heads.iter_mut().for_each(|head| head.reserve(tokens));
        let pieces = (self.len() + tokens).div_ceil(PIECE);
        workspace.with_scratch(|scratch| scratch.states.reshape(self.shape.heads * pieces, self.shape.head_dim));
    }

    fn seal(&mut self, layer: usize, _: &Workspace) -> Result<(), CacheError> {
        check_layer(layer, self.shape.layers)
    }

    fn attend(
        &self,
        layer: usize,
        queries: QueryRows<'_>,
        workspace: &Workspace,
        out: &mut AttnRows<f32>,
    ) -> Result<(), CacheError> {
        check_layer(layer, self.shape.layers)?;
        let heads = self.layer(layer);
        let held = heads.first().map_or(0, Tokens::len);
        check_queries(&queries, &self.shape, out, held)?;
        if queries.tokens == 1 && held > PIECE {
            self.attend_in_pieces(heads, queries, workspace, out);
            return Ok(());
        }
        let rows = rows_a_task(queries.tokens, self.shape.group());
        for_rows(&self.shape, queries, workspace, out, rows, |g, q, state| {
            workspace.with_scratch(|scratch| {
                attend_exact(workspace.isa(), q, heads[g].region(), Mask::Causal, &mut scratch.exact, state);
            });
        });
        Ok(())
    }

    fn fork(&self) -> Option<Box<dyn KvCache>> {
        Some(Box::new(self.clone()))
    }

    fn park(&self, out: &mut SectionWriter<'_>) -> Result<(), ParkError> {
        check_even(self.heads.iter().map(Tokens::len))?;
        self.heads.iter().try_for_each(|head| head.park(out))
    }

    fn len(&self) -> usize {
        self.heads.iter().map(Tokens::len).min().unwrap_or(0)
    }

    fn bytes(&self) -> CacheBytes {
        CacheBytes {
            tokens: self.heads.iter().map(Tokens::bytes).sum(),
            bookkeeping: held(&self.heads),
            ..CacheBytes::default()
        }
    }
}

/// What the cache holds once a prompt has been appended.
pub(crate) fn expected_bytes(storage: Storage, shape: &CacheShape, prompt: PromptSize) -> CacheBytes {
    let room = room_after(prompt.tokens, prompt.tile);
    CacheBytes {
        tokens: shape.exact_bytes(room, storage.width()),
        bookkeeping: shape.layers * shape.kv_heads * size_of::<Tokens<f32>>(),
        ..CacheBytes::default()
    }
}

/// Checks queries and output against a shape and the tokens that are held one by one.
pub(crate) fn check_queries(
    queries: &QueryRows<'_>,
    shape: &CacheShape,
    out: &AttnRows<f32>,
    held: usize,
) -> Result<(), CacheError> {
    queries.check(shape)?;
    let expected = shape.heads * queries.tokens;
    if out.count() != expected {
        return Err(CacheError::Rows { what: "output rows", expected, got: out.count() });
    }
    match queries.tokens <= held {
        true => Ok(()),
        false => Err(CacheError::Queries { asked: queries.tokens, held }),
    }
}

/// Runs `task(kv head, its past)` for each head of a layer: in parallel if there are many `numbers` to be worked on.
pub(crate) fn for_heads<H: Send>(
    heads: &mut [H],
    numbers: usize,
    workspace: &Workspace,
    task: impl Fn(usize, &mut H) + Sync,
) {
    const FEW: usize = 1 << 14;
    let run = if numbers < FEW { heads.len() } else { 1 };
    workspace.team().for_parts(Chunks::new(heads, run), |i, heads| {
        heads.iter_mut().enumerate().for_each(|(j, head)| task(i * run + j, head));
    });
}

/// Query rows a task: all of a group for one token, so that keys are read once; of a prompt as many as keep the
/// scores of a block in a core's second-level cache.
pub(crate) fn rows_a_task(tokens: usize, group: usize) -> usize {
    const MANY: usize = 128;
    (group * tokens).min(MANY)
}

/// Runs `task(kv head, queries, states)` in parallel over runs of at most `rows` rows of one key/value head.
pub(crate) fn for_rows(
    shape: &CacheShape,
    queries: QueryRows<'_>,
    workspace: &Workspace,
    out: &mut AttnRows<f32>,
    rows: usize,
    task: impl Fn(usize, Queries<'_, f32>, &mut AttnRowsMut<'_, f32>) + Sync,
) {
    let runs = out.all().runs(shape.group() * queries.tokens, rows);
    workspace.team().for_parts(runs, |_, (g, first, mut states)| {
        let q = queries.group(g, shape).slice(first, first + states.count());
        task(g, q, &mut states);
    });
}
