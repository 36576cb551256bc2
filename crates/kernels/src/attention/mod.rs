//! Attention over regions of the past, and how the regions become one.

pub mod exact;
pub mod fourier;
pub mod runs;
pub mod state;

/// Queries of one key/value head's group: `R = heads x tokens` rows of `D`.
#[derive(Clone, Copy, Debug)]
pub struct Queries<'a, T> {
    /// `[R][D]`, head by head, token by token inside a head.
    pub rows: &'a [T],
    /// Head dims `D`.
    pub dim: usize,
    /// Tokens being computed; row `r` is token `(first + r) % tokens`.
    pub tokens: usize,
    /// Place of the first row among all rows of the group; 0 unless this is a slice.
    pub first: usize,
    /// What dot products are multiplied with, usually `1 / sqrt(D)`.
    pub scale: T,
}

impl<'a, T: Copy> Queries<'a, T> {
    /// Row `r`.
    pub fn row(&self, r: usize) -> &'a [T] {
        &self.rows[r * self.dim..(r + 1) * self.dim]
    }

    /// The number of rows `R`.
    pub fn count(&self) -> usize {
        self.rows.len() / self.dim
    }

    /// Rows `from .. to`.
    pub fn slice(&self, from: usize, to: usize) -> Self {
        Queries { rows: &self.rows[from * self.dim..to * self.dim], first: self.first + from, ..*self }
    }

    /// How many of the tokens being computed come after row `r`'s own.
    pub fn later(&self, r: usize) -> usize {
        self.tokens - 1 - (self.first + r) % self.tokens
    }
}
