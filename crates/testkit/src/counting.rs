//! An allocator that counts, to hold byte reports against.

#![allow(unsafe_code, reason = "an allocator cannot be written without; every call goes to the system's unchanged")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the bytes of the process that are allocated. A program makes it its allocator:
///
/// ```
/// # use fourier_kv_testkit::Counting;
/// #[global_allocator]
/// static ALLOCATOR: Counting = Counting::new();
/// # let before = ALLOCATOR.held();
/// # let v = vec![0u8; 1000];
/// # assert!(ALLOCATOR.held() - before >= v.len());
/// ```
#[derive(Debug)]
pub struct Counting {
    held: AtomicUsize,
    allocations: AtomicUsize,
}

impl Counting {
    /// Nothing counted yet.
    #[allow(clippy::new_without_default, reason = "statics need a constant")]
    pub const fn new() -> Self {
        Counting { held: AtomicUsize::new(0), allocations: AtomicUsize::new(0) }
    }

    /// Bytes allocated now.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Pieces of memory that were asked for so far, on any thread; growing one counts as asking anew.
    pub fn allocations(&self) -> usize {
        self.allocations.load(Ordering::Relaxed)
    }
}

// SAFETY: every call goes to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.held.fetch_add(layout.size(), Ordering::Relaxed);
        self.allocations.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        self.held.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(ptr, layout) }
    }
}
