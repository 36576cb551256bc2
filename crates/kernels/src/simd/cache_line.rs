//! Memory for vectors that begins where a cache line does: a vector that lies across two lines takes twice as long to load.

use bytemuck::{Pod, Zeroable};

use super::WIDTH;

/// The bits of sixteen numbers of four bytes, in one cache line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct CacheLine([u32; WIDTH]);

impl CacheLine {
    /// Sixteen zeros.
    pub const ZERO: CacheLine = CacheLine([0; WIDTH]);

    /// Lines as vectors of floats.
    pub fn floats(lines: &[CacheLine]) -> &[[f32; WIDTH]] {
        bytemuck::cast_slice(lines)
    }

    /// The same, to write to.
    pub fn floats_mut(lines: &mut [CacheLine]) -> &mut [[f32; WIDTH]] {
        bytemuck::cast_slice_mut(lines)
    }

    /// Lines as vectors of integers.
    pub fn integers_mut(lines: &mut [CacheLine]) -> &mut [[i32; WIDTH]] {
        bytemuck::cast_slice_mut(lines)
    }

    /// Lines as vectors of words.
    pub fn words(lines: &[CacheLine]) -> &[[u32; WIDTH]] {
        bytemuck::cast_slice(lines)
    }

    /// The same, to write to.
    pub fn words_mut(lines: &mut [CacheLine]) -> &mut [[u32; WIDTH]] {
        bytemuck::cast_slice_mut(lines)
    }

    /// So many lines of a vector, whatever is in them; it grows if it must.
    pub fn some(lines: &mut Vec<CacheLine>, count: usize) -> &mut [CacheLine] {
        if lines.len() < count {
            lines.resize(count, CacheLine::ZERO);
        }
        &mut lines[..count]
    }
}

/// Something that begins where a cache line does.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
pub(crate) struct Aligned<T>(pub(crate) T);
