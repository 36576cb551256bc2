//! `TeeCache`: one prefill for several caches.
//!
//! **Idea.** Until a layer is sealed every cache is exact, so all caches see the same prompt, and one pass of the model
//! can fill them all: an evaluation of twenty methods reads a document once.
//! **What it stores.** The caches; each compresses a layer as the prompt's pass is through with it.

use std::sync::{Arc, Mutex, PoisonError};

use crate::park::{ParkError, SectionWriter};
use crate::{AttnRows, CacheBytes, CacheError, CacheShape, KvCache, KvRows, QueryRows, Workspace};

/// Caches that are filled together.
pub type CacheList = Arc<Mutex<Vec<Box<dyn KvCache>>>>;

/// A cache that answers, and others that are given what it is given. For prompts: after `seal` the others go their own
/// ways.
pub struct TeeCache {
    main: Box<dyn KvCache>,
    others: CacheList,
}

impl TeeCache {
    /// Fills `others` with what `main` is given. All must be empty and of the same shape.
    pub fn new(main: Box<dyn KvCache>, others: CacheList) -> Self {
        TeeCache { main, others }
    }

    fn each(&mut self, mut task: impl FnMut(&mut dyn KvCache) -> Result<(), CacheError>) -> Result<(), CacheError> {
        task(self.main.as_mut())?;
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        others.iter_mut().try_for_each(|cache| task(cache.as_mut()))
    }
}

impl std::fmt::Debug for TeeCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TeeCache").field("main", &self.main.describe()).finish_non_exhaustive()
    }
}

impl KvCache for TeeCache {
    fn describe(&self) -> String {
        self.main.describe()
    }

    fn shape(&self) -> &CacheShape {
        self.main.shape()
    }

    fn append(&mut self, layer: usize, rows: KvRows<'_>, workspace: &Workspace) -> Result<(), CacheError> {
        self.each(|cache| cache.append(layer, rows, workspace))
    }

    fn seal(&mut self, layer: usize, workspace: &Workspace) -> Result<(), CacheError> {
        self.each(|cache| cache.seal(layer, workspace))
    }

    fn attend(
        &self,
        layer: usize,
        queries: QueryRows<'_>,
        workspace: &Workspace,
        out: &mut AttnRows<f32>,
    ) -> Result<(), CacheError> {
        self.main.attend(layer, queries, workspace, out)
    }

    fn fork(&self) -> Option<Box<dyn KvCache>> {
        self.main.fork()
    }

    fn park(&self, out: &mut SectionWriter<'_>) -> Result<(), ParkError> {
        self.main.park(out)
    }

    fn len(&self) -> usize {
        self.main.len()
    }

    fn bytes(&self) -> CacheBytes {
        self.main.bytes()
    }
}
