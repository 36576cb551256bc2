//! Memory for vectors that begins where a cache line does: a vector that lies across two lines takes twice as long to load.

use bytemuck::{Pod, Zeroable};

use super::WIDTH;

/// The bits of sixteen numbers of four bytes, in one cache line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Line([u32; WIDTH]);

impl Line {
    /// Sixteen zeros.
    pub const ZERO: Line = Line([0; WIDTH]);

    /// Lines as vectors of floats.
    pub fn floats(lines: &[Line]) -> &[[f32; WIDTH]] {
        bytemuck::cast_slice(lines)
    }

    /// The same, to write to.
    pub fn floats_mut(lines: &mut [Line]) -> &mut [[f32; WIDTH]] {
        bytemuck::cast_slice_mut(lines)
    }

    /// Lines as vectors of integers.
    pub fn integers_mut(lines: &mut [Line]) -> &mut [[i32; WIDTH]] {
        bytemuck::cast_slice_mut(lines)
    }

    /// Lines as vectors of words.
    pub fn words(lines: &[Line]) -> &[[u32; WIDTH]] {
        bytemuck::cast_slice(lines)
    }

    /// The same, to write to.
    pub fn words_mut(lines: &mut [Line]) -> &mut [[u32; WIDTH]] {
        bytemuck::cast_slice_mut(lines)
    }

    /// So many lines of a vector, whatever is in them; it grows if it must.
    pub fn some(lines: &mut Vec<Line>, count: usize) -> &mut [Line] {
        if lines.len() < count {
            lines.resize(count, Line::ZERO);
        }
        &mut lines[..count]
    }
}

/// Something that begins where a cache line does.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
pub(crate) struct Aligned<T>(pub(crate) T);
