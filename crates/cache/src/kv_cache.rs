//! The one interface of every way of keeping the past.

use crate::park::{ParkError, SectionWriter};
use crate::{AttnRows, CacheBytes, CacheError, CacheShape, KvRows, QueryRows, Workspace};

/// A key/value cache of one sequence. See the crate's root for the order of calls and the layouts.
///
/// A forward pass calls, for each layer: `append` and `attend` for one tile of tokens after another, then, at the end
/// of a prompt, `seal`. It never asks which cache it has.
pub trait KvCache: Send {
    /// The method and its settings, as people write and read them: `fourier:band=base,harmonics=256`.
    fn describe(&self) -> String;

    /// The sizes it was built for.
    fn shape(&self) -> &CacheShape;

    /// Adds `rows.tokens` tokens to the end of `layer`.
    ///
    /// # Errors
    /// If the rows or the layer do not fit the shape; the cache is unchanged then.
    fn append(&mut self, layer: usize, rows: KvRows<'_>, workspace: &Workspace) -> Result<(), CacheError>;

    /// Says that `layer` holds the whole prompt: the moment to compress. Later appends are decoding or further turns.
    ///
    /// # Errors
    /// If the layer does not exist.
    fn seal(&mut self, layer: usize, workspace: &Workspace) -> Result<(), CacheError>;

    /// Merges attention over `layer` into `out`, whose rows are `[H][n]`. The queries are those of the last
    /// `queries.tokens` tokens appended: each sees itself and what came before.
    ///
    /// # Errors
    /// If the queries do not fit the shape, or are more than were last appended.
    fn attend(
        &self,
        layer: usize,
        queries: QueryRows<'_>,
        workspace: &Workspace,
        out: &mut AttnRows<f32>,
    ) -> Result<(), CacheError>;

    /// Makes room for `tokens` more tokens, one at a time, so that appending and attending to them allocate nothing as
    /// far as that can be foreseen. Caches that do nothing here make room as they go.
    fn reserve(&mut self, tokens: usize, workspace: &Workspace) {
        let _ = (tokens, workspace);
    }

    /// A second cache with the same past, that goes on by itself: several questions about one document. `None` if
    /// this cache cannot be had twice.
    fn fork(&self) -> Option<Box<dyn KvCache>> {
        None
    }

    /// Writes all that it holds; [`crate::CacheKind::unpark`] makes the same cache of it, bit by bit, except that memory
    /// which holds nothing yet need not come back. For files see [`crate::park::park_file`].
    ///
    /// # Errors
    /// If it is no cache that can be parked, its layers hold different numbers of tokens, or writing fails.
    fn park(&self, out: &mut SectionWriter<'_>) -> Result<(), ParkError> {
        let _ = out;
        Err(ParkError::Unsupported { kind: self.describe() })
    }

    /// Tokens that every layer has been given.
    fn len(&self) -> usize;

    /// Whether no token is held.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes held on the heap, by what they are for.
    fn bytes(&self) -> CacheBytes;
}
