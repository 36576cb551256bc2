//! `TraceCache`: keeps what it is given, for calibration.
//!
//! **Idea.** Calibration needs the very tensors that a cache would store. So it is a cache: run the model over text
//! with it and read them back. No hooks in the model.
//! **What it stores.** Keys and values in `f32`, and the queries of a layer until the layer is sealed.

use std::sync::Arc;

use crate::exact::ExactCache;
use crate::{AttnRows, CacheBytes, CacheError, CacheShape, KvCache, KvRows, QueryRows, Workspace};

/// An exact cache that shows each layer's tensors to an observer when the layer is sealed.
pub struct TraceCache<O> {
    inner: ExactCache<f32>,
    /// Appended queries, `[n][H][D]` and so token by token, a layer.
    queries: Vec<Vec<f32>>,
    observer: O,
}

/// What one layer was given.
#[derive(Clone, Copy, Debug)]
pub struct LayerTrace<'a> {
    /// The layer.
    pub layer: usize,
    /// Queries, rotated, `[T][H][D]`.
    pub queries: &'a [f32],
    inner: &'a ExactCache<f32>,
}

impl LayerTrace<'_> {
    /// Keys of a head, rotated, `[T][D]`.
    pub fn keys(&self, head: usize) -> &[f32] {
        self.inner.layer(self.layer)[head].region().keys
    }

    /// Values of a head, `[T][D]`.
    pub fn values(&self, head: usize) -> &[f32] {
        self.inner.layer(self.layer)[head].region().values
    }

    /// The sizes.
    pub fn shape(&self) -> &CacheShape {
        self.inner.shape()
    }
}

impl<O> std::fmt::Debug for TraceCache<O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TraceCache").field("len", &self.inner.len()).finish_non_exhaustive()
    }
}

impl<O: FnMut(LayerTrace<'_>) + Send> TraceCache<O> {
    /// An empty trace; `observer` sees each layer as it is sealed.
    pub fn new(shape: Arc<CacheShape>, observer: O) -> Self {
        TraceCache { queries: vec![Vec::new(); shape.layers], inner: ExactCache::new(shape), observer }
    }
}

impl<O: FnMut(LayerTrace<'_>) + Send> KvCache for TraceCache<O> {
    fn describe(&self) -> String {
        "trace".to_owned()
    }

    fn shape(&self) -> &CacheShape {
        self.inner.shape()
    }

    fn append(&mut self, layer: usize, rows: KvRows<'_>, workspace: &Workspace) -> Result<(), CacheError> {
        self.inner.append(layer, rows, workspace)?;
        let (heads, dim) = (self.inner.shape().heads, self.inner.shape().head_dim);
        let kept = &mut self.queries[layer];
        for token in 0..rows.tokens {
            for head in 0..heads {
                kept.extend_from_slice(&rows.q[(head * rows.tokens + token) * dim..][..dim]);
            }
        }
        Ok(())
    }

    fn seal(&mut self, layer: usize, workspace: &Workspace) -> Result<(), CacheError> {
        self.inner.seal(layer, workspace)?;
        let queries = std::mem::take(&mut self.queries[layer]);
        (self.observer)(LayerTrace { layer, queries: &queries, inner: &self.inner });
        Ok(())
    }

    fn attend(
        &self,
        layer: usize,
        queries: QueryRows<'_>,
        workspace: &Workspace,
        out: &mut AttnRows<f32>,
    ) -> Result<(), CacheError> {
        self.inner.attend(layer, queries, workspace, out)
    }

    fn len(&self) -> usize {
        self.inner.len()
    }

    fn bytes(&self) -> CacheBytes {
        let mut bytes = self.inner.bytes();
        bytes.bookkeeping += crate::bytes::held(&self.queries);
        bytes.bookkeeping += self.queries.iter().map(crate::bytes::held).sum::<usize>();
        bytes
    }
}
