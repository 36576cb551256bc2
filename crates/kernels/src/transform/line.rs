//! Sixteen numbers that begin a cache line: a vector that lies across two lines costs two loads.

use crate::number::Number;
use crate::simd::{Lanes, Simd, WIDTH};

/// Sixteen numbers.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
pub struct Line<T>(pub [T; WIDTH]);

impl<T: Number> Line<T> {
    /// `count` lines of zeros.
    pub fn zeros(count: usize) -> Vec<Self> {
        vec![Line::default(); count]
    }

    /// As a vector.
    #[inline(always)]
    pub(crate) fn load<V: Simd>(&self) -> T::Lanes<V> {
        T::Lanes::<V>::load(&self.0)
    }

    /// From a vector.
    #[inline(always)]
    pub(crate) fn store<V: Simd>(&mut self, x: T::Lanes<V>) {
        x.store(&mut self.0);
    }
}

/// The numbers of all lines, one after another.
#[inline(always)]
pub fn flat<T: Number>(lines: &[Line<T>]) -> &[T] {
    const { assert!(size_of::<Line<T>>() == WIDTH * size_of::<T>()) };
    // SAFETY: lines are arrays of `WIDTH` numbers without a gap between them, as was just asserted.
    unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), lines.len() * WIDTH) }
}

/// The numbers of all lines, one after another, to write.
#[inline(always)]
pub fn flat_mut<T: Number>(lines: &mut [Line<T>]) -> &mut [T] {
    const { assert!(size_of::<Line<T>>() == WIDTH * size_of::<T>()) };
    // SAFETY: as in `flat`, and the borrow is the only one.
    unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), lines.len() * WIDTH) }
}
