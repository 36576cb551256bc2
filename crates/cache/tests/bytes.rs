//! The byte report against what the allocator gave.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Tape, context, shape, workspace};
use fourier_kv_cache::CacheKind;

/// Counts the bytes that are allocated.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
/// The count is of the whole process: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

// SAFETY: every call goes to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Bytes that dropping the cache gives back, less the box that it lives in.
fn freed(cache: Box<dyn fourier_kv_cache::KvCache>) -> usize {
    let own = size_of_val(cache.as_ref());
    let before = HELD.load(Ordering::Relaxed);
    drop(cache);
    before - HELD.load(Ordering::Relaxed) - own
}

#[test]
fn reported_bytes_are_the_allocators() {
    let _alone = ALONE.lock().unwrap();
    let (tape, ws, context) = (Tape::new(shape(), "bytes"), workspace(), context());
    let kinds = [
        "exact",
        "exact:f32",
        "fourier:window=70,harmonics=16,least-middle=40",
        "fourier:window=33,harmonics=8,capacity=100,least-middle=16,band=base,coefficients=f32",
        "fourier",
    ];
    for kind in kinds {
        for (prompt, more) in [(0, 0), (10, 0), (300, 0), (300, 1), (300, 500), (10, 400), (1, 2)] {
            let mut cache = kind.parse::<CacheKind>().unwrap().build(&context, None).unwrap();
            tape.prompt(cache.as_mut(), &ws, prompt, 64);
            for token in prompt..prompt + more {
                tape.decode(cache.as_mut(), &ws, token);
            }
            let reported = cache.bytes();
            assert_eq!(reported.total(), freed(cache), "{kind}, {prompt} + {more}: {reported:?}");
        }
    }
}

/// One layer at a time is exact: while the prompt is read, no more than that is held beyond what will stay.
#[test]
fn the_prompt_phase_peaks_at_one_exact_layer() {
    let _alone = ALONE.lock().unwrap();
    let shape = fourier_kv_cache::CacheShape { layers: 8, ..shape() };
    let context = fourier_kv_cache::CacheContext::uniform(shape.clone());
    let (tape, ws) = (Tape::new(shape.clone(), "peak"), workspace());
    let kind: CacheKind = "fourier:window=64,harmonics=16,least-middle=64".parse().unwrap();
    let mut cache = kind.build(&context, None).unwrap();
    let prompt = 2_000;
    let mut peak = 0;
    for layer in 0..shape.layers {
        for from in (0..prompt).step_by(100) {
            tape.step(cache.as_mut(), &ws, layer, from, from + 100);
            peak = peak.max(cache.bytes().total());
        }
        cache.seal(layer, &ws).unwrap();
    }
    let one_layer = shape.exact_bytes(prompt + 256, 2) / shape.layers;
    assert!(peak <= cache.bytes().total() + one_layer, "{peak} against {} + {one_layer}", cache.bytes().total());
}
