//! No allocation in the decode loop after the first token, on any thread.
//!
//! Covered: [`Session::step`] after [`Session::reserve`], with `exact` and `fourier` caches, the latter through steps of
//! the window that move tokens into the spectrum; and all of [`Engine::generate`] between two tokens: choosing (greedy,
//! and at random with top-k and top-p), text, stop strings, events. Not covered, and allowed to allocate: answers longer
//! than what room is made for, and the beginning of a new stretch of the middle.

mod common;

use std::num::NonZeroUsize;
use std::ops::ControlFlow;

use fourier_kv_engine::model::decoder::LogitRows;
use fourier_kv_engine::{Engine, EngineOptions, Event, GenerateOptions, Sampling, Session};
use fourier_kv_testkit::{Counting, Encoding, RandomModel};

#[global_allocator]
static ALLOCATOR: Counting = Counting::new();

/// Three threads, on machines with fewer cores too: who does which task then changes from step to step.
fn options() -> EngineOptions {
    EngineOptions { threads: NonZeroUsize::new(3), isa: None }
}

fn tiny(model: &RandomModel) -> Engine {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    model.write_gguf(&path, Encoding::BF16).unwrap();
    Engine::load(&path, &options()).unwrap()
}

fn prompt(length: usize) -> Vec<u32> {
    (0..length as u32).map(|i| 3 + i * 7 % 90).collect()
}

/// A session that has read a prompt and computed one token, with room for `steps` more.
fn begun<'e>(engine: &'e Engine, cache: &str, length: usize, steps: usize) -> Session<'e> {
    let mut session = engine.session(&cache.parse().unwrap(), None).unwrap();
    session.prompt(&prompt(length), LogitRows::Last, &mut |_| ControlFlow::Continue(())).unwrap();
    session.reserve(1 + steps);
    session.step(5).unwrap();
    session
}

/// Allocations of `steps` steps after the first.
fn in_steps(engine: &Engine, cache: &str, length: usize, steps: usize) -> usize {
    let mut session = begun(engine, cache, length, steps);
    let before = ALLOCATOR.allocations();
    for i in 0..steps {
        let logits = session.step(3 + i as u32 % 90).unwrap();
        assert!(logits.iter().all(|x| x.is_finite()));
    }
    let allocations = ALLOCATOR.allocations() - before;
    assert_eq!(session.cache().len(), length + 1 + steps);
    allocations
}

/// Allocations between one token of an answer and the next, from the second on.
fn in_answer(engine: &Engine, cache: &str, length: usize, sampling: Sampling) -> usize {
    let options = GenerateOptions {
        max_tokens: Some(100),
        sampling,
        stop: vec!["a text that never comes".to_owned(), "aaaaaaaaab".to_owned()],
        ignore_end: true,
        past_context: true,
    };
    let mut counts = Vec::with_capacity(200);
    let mut session = engine.session(&cache.parse().unwrap(), None).unwrap();
    let answer = engine.generate(&mut session, &prompt(length), &options, &mut |event| {
        if matches!(event, Event::Token) {
            counts.push(ALLOCATOR.allocations());
        }
        ControlFlow::Continue(())
    });
    assert_eq!((answer.unwrap().tokens.len(), counts.len()), (100, 100));
    counts[99] - counts[2]
}

/// One test, since the allocator counts for the whole process.
#[test]
fn steps_allocate_nothing() {
    // The counter does count: this cache has room for nothing beforehand.
    let engine = tiny(&RandomModel::llama());
    let mut session = engine.session(&"exact".parse().unwrap(), None).unwrap();
    let before = ALLOCATOR.allocations();
    session.step(5).unwrap();
    assert!(ALLOCATOR.allocations() > before + 8);
    drop(session);

    // 64 tokens leave the window at a time: 100 steps see one or two such moves, of a middle that was begun by the
    // prompt.
    let fourier = "fourier:window=16,least-middle=16,harmonics=4,capacity=400";
    let carrier = "fourier:window=16,least-middle=16,harmonics=4,capacity=400,band=carrier";
    for model in [RandomModel::llama(), RandomModel::qwen2()] {
        let engine = tiny(&model);
        for cache in ["exact", "exact:f32", fourier, carrier] {
            assert_eq!(in_steps(&engine, cache, 90, 150), 0, "{cache} of {}", model.family);
            for sampling in [
                Sampling::Greedy,
                Sampling::Random { temperature: 1.3, top_k: 0, top_p: 1.0, min_p: 0.0, seed: 1 },
                Sampling::Random { temperature: 0.9, top_k: 20, top_p: 0.9, min_p: 0.0, seed: 2 },
            ] {
                assert_eq!(in_answer(&engine, cache, 90, sampling), 0, "{cache} of {}: {sampling:?}", model.family);
            }
        }
    }

    // A past that grows beyond what one task attends to.
    assert_eq!(in_steps(&tiny(&RandomModel::llama()), "exact", 1000, 80), 0);

    let path = common::cached_model("smollm2-135m-instruct-q4_1.gguf").expect("required");
    let engine = Engine::load(&path, &options()).unwrap();
    for cache in ["exact", "fourier:window=60,least-middle=64,harmonics=32,capacity=1000", "fourier"] {
        assert_eq!(in_steps(&engine, cache, 300, 80), 0, "{cache} of SmolLM2");
    }
    let sampling = Sampling::Random { temperature: 0.8, top_k: 40, top_p: 0.95, min_p: 0.0, seed: 3 };
    assert_eq!(in_answer(&engine, "fourier:window=60,least-middle=64,harmonics=32,capacity=1000", 300, sampling), 0);
}
