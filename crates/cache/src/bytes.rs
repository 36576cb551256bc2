//! Bytes that a cache holds, by what they are for.

use serde::Serialize;

/// Heap bytes of a cache: capacities, not lengths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CacheBytes {
    /// Keys and values of tokens kept whole: the sink, the window, or everything in an exact cache.
    pub tokens: usize,
    /// Dims of the middle that are kept as they are.
    pub exact_dims: usize,
    /// Spectra of the middle; coefficients of old tokens, and the basis that they belong to.
    pub coefficients: usize,
    /// Numbers in a few bits, with what their codes mean.
    pub codes: usize,
    /// Everything else: means, lists of dims, statistics, the structures themselves.
    pub bookkeeping: usize,
}

impl CacheBytes {
    /// All of it.
    pub fn total(&self) -> usize {
        self.tokens + self.exact_dims + self.coefficients + self.codes + self.bookkeeping
    }
}

impl std::ops::AddAssign for CacheBytes {
    fn add_assign(&mut self, other: CacheBytes) {
        self.tokens += other.tokens;
        self.exact_dims += other.exact_dims;
        self.coefficients += other.coefficients;
        self.codes += other.codes;
        self.bookkeeping += other.bookkeeping;
    }
}

/// Heap bytes of a vector.
pub(crate) fn held<T>(v: &Vec<T>) -> usize {
    v.capacity() * size_of::<T>()
}
