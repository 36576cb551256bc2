//! Rows on their way into a cache.

use fourier_kv_kernels::attention::Queries;

use crate::{CacheError, CacheShape};

/// Queries of the tokens being computed.
#[derive(Clone, Copy, Debug)]
pub struct QueryRows<'a> {
    /// `[H][n][D]`, rotated.
    pub q: &'a [f32],
    /// Tokens `n`.
    pub tokens: usize,
}

/// Queries, keys and values of tokens to append to one layer.
#[derive(Clone, Copy, Debug)]
pub struct KvRows<'a> {
    /// Queries `[H][n][D]`, rotated: some caches rank by what is asked for.
    pub q: &'a [f32],
    /// Keys `[G][n][D]`, rotated.
    pub k: &'a [f32],
    /// Values `[G][n][D]`.
    pub v: &'a [f32],
    /// Tokens `n`.
    pub tokens: usize,
}

impl<'a> KvRows<'a> {
    /// Checks the lengths against a shape.
    ///
    /// # Errors
    /// [`CacheError::Rows`] if a slice has not the length that its shape says.
    pub fn check(&self, shape: &CacheShape) -> Result<(), CacheError> {
        self.queries().check(shape)?;
        let expected = shape.kv_heads * self.tokens * shape.head_dim;
        for (what, got) in [("keys", self.k.len()), ("values", self.v.len())] {
            if got != expected {
                return Err(CacheError::Rows { what, expected, got });
            }
        }
        Ok(())
    }

    /// The queries alone.
    pub fn queries(&self) -> QueryRows<'a> {
        QueryRows { q: self.q, tokens: self.tokens }
    }

    /// Keys and values of one key/value head, `[n][D]` each.
    pub(crate) fn head(&self, head: usize, dim: usize) -> (&'a [f32], &'a [f32]) {
        let at = head * self.tokens * dim..(head + 1) * self.tokens * dim;
        (&self.k[at.clone()], &self.v[at])
    }
}

impl<'a> QueryRows<'a> {
    /// Checks the length against a shape.
    ///
    /// # Errors
    /// [`CacheError::Rows`] if it is not `H n D`.
    pub fn check(&self, shape: &CacheShape) -> Result<(), CacheError> {
        let expected = shape.heads * self.tokens * shape.head_dim;
        match self.q.len() == expected {
            true => Ok(()),
            false => Err(CacheError::Rows { what: "queries", expected, got: self.q.len() }),
        }
    }

    /// The queries of the heads that share key/value head `head`.
    pub(crate) fn group(&self, head: usize, shape: &CacheShape) -> Queries<'a, f32> {
        let length = shape.group() * self.tokens * shape.head_dim;
        Queries {
            rows: &self.q[head * length..(head + 1) * length],
            dim: shape.head_dim,
            tokens: self.tokens,
            first: 0,
            scale: 1.0 / (shape.head_dim as f32).sqrt(),
        }
    }
}
