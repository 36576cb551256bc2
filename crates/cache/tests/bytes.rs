//! The byte report against what the allocator gave.

mod common;

use std::sync::Mutex;

use common::{Tape, context, shape, workspace};
use fourier_kv_cache::CacheKind;
use fourier_kv_testkit::Counting;

/// The count is of the whole process: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

#[global_allocator]
static ALLOCATOR: Counting = Counting::new();

/// Bytes that dropping the cache gives back, less the box that it lives in.
fn freed(cache: Box<dyn fourier_kv_cache::KvCache>) -> usize {
    let own = size_of_val(cache.as_ref());
    let before = ALLOCATOR.held();
    drop(cache);
    before - ALLOCATOR.held() - own
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
        "streaming:tokens=70",
        "snapkv:ratio=3,window=8",
        "pyramidkv:tokens=60,window=8",
        "int4",
        "int3:residual=40,group=16,keys=unrotated",
        "int2:residual=0",
        "q8_0",
        "q4_0:residual=32,hadamard=on",
        "lowrank",
        "lowrank:rank=3,residual=20,keys=rotated",
        "lowrank:ratio=2,residual=64",
        "spectral",
        "spectral:3,window=40,least-middle=64",
        "spectral:0.5,window=70,least-middle=1,block=2,keys=head,values=2",
        "spectral:3,window=40,least-middle=64,without=trellis+klt",
    ];
    for kind in kinds {
        let cases = [(0, 0, 0), (10, 0, 0), (300, 0, 0), (300, 0, 1), (300, 0, 500), (10, 0, 400), (1, 0, 2)];
        let reserved = [(0, 50, 0), (300, 1000, 0), (300, 1, 1), (300, 70, 200), (10, 100, 400)];
        for (prompt, reserve, more) in cases.into_iter().chain(reserved) {
            let mut cache = kind.parse::<CacheKind>().unwrap().build(&context, None).unwrap();
            tape.prompt(cache.as_mut(), &ws, prompt, 64);
            // Working memory is the workspace's: what it has is not counted below.
            cache.reserve(reserve, &ws);
            for token in prompt..prompt + more {
                tape.decode(cache.as_mut(), &ws, token);
            }
            let reported = cache.bytes();
            assert_eq!(reported.total(), freed(cache), "{kind}, {prompt} + {more}, {reserve} reserved: {reported:?}");
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
    for kind in [
        "fourier:window=64,harmonics=16,least-middle=64",
        "int4:residual=64",
        "q8_0",
        "lowrank:residual=64",
        "spectral:window=64,least-middle=64",
    ] {
        let mut cache = kind.parse::<CacheKind>().unwrap().build(&context, None).unwrap();
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
        let held = cache.bytes().total();
        assert!(peak <= held + one_layer, "{kind}: {peak} against {held} + {one_layer}");
    }
}
