//! SmolLM2 on a GPU against the CPU, greedily, token for token. Where there is no GPU, nothing is computed.

#![allow(clippy::print_stdout, reason = "figures for the record: cargo test -- --nocapture")]

mod common;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use fourier_kv_engine::device::{Compiler, CudaError, Device, DeviceModel};
use fourier_kv_engine::{Engine, EngineError, GenerateOptions, Message, Predictor};

/// Tokens of the answers.
const TOKENS: usize = 200;
/// A choice between tokens whose logits are nearer than this is a tie; 0.10 was the most seen of exact pasts.
const NEAR: f32 = 0.2;
/// Most that logits may differ in the median of the steps, relative to their deviation: weights and activations of the
/// GPU are in `bf16`. 0.016 was seen.
const CLOSE: f32 = 0.03;

fn device() -> Option<Arc<Device>> {
    match fourier_kv_cuda::device::count() {
        Err(CudaError::NoDriver) | Ok(0) => {
            println!("no GPU here: nothing was computed on one");
            None
        }
        Err(error) => panic!("{error}"),
        Ok(_) => {
            let library = std::env::var_os("FOURIER_KV_NVRTC").map(PathBuf::from);
            let compiler = Compiler::new(library.as_deref(), None).expect("a compiler");
            Some(Arc::new(Device::open(0, compiler).expect("a device")))
        }
    }
}

fn load(engine: &Engine, device: Arc<Device>) -> DeviceModel {
    DeviceModel::load(engine, device, None, &mut |_, _| ControlFlow::Continue(())).unwrap()
}

fn answer(engine: &Engine, sequence: &mut dyn Predictor, prompt: &[u32]) -> Vec<u32> {
    let options = GenerateOptions { max_tokens: Some(TOKENS), ignore_end: true, ..GenerateOptions::default() };
    engine.generate(sequence, prompt, &options, &mut |_| ControlFlow::Continue(())).unwrap().tokens
}

fn likeliest(logits: &[f32]) -> usize {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    logits.iter().position(|&x| x == top).unwrap()
}

/// Root mean square of the differences, relative to the logits' own deviation.
fn distance(a: &[f32], b: &[f32]) -> f32 {
    let count = b.len() as f32;
    let mean = b.iter().sum::<f32>() / count;
    let deviation = b.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / count;
    let error = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f32>() / count;
    (error / deviation).sqrt()
}

/// What is held of the past, and how far answers may be apart.
struct Case {
    kind: &'static str,
    /// A choice between tokens whose logits are nearer than this is a tie.
    near: f32,
    /// Most that logits may differ in the median of the steps, relative to their deviation.
    close: f32,
}

/// Answers greedily on both, and then gives both the same tokens.
fn compare(engine: &Engine, model: &DeviceModel, case: &Case, prompt: &[u32]) {
    let kind = case.kind.parse().unwrap();
    let cpu = answer(engine, &mut engine.session(&kind, None).unwrap(), prompt);
    let gpu = answer(engine, &mut model.session(engine, &kind, None).unwrap(), prompt);
    assert_eq!((cpu.len(), gpu.len()), (TOKENS, TOKENS));
    let same = cpu.iter().zip(&gpu).take_while(|(a, b)| a == b).count();

    // The same tokens to both: every step's logits, and every choice that differs.
    let mut session = engine.session(&kind, None).unwrap();
    let mut device_session = model.session(engine, &kind, None).unwrap();
    let (mut distances, mut differ, mut widest) = (Vec::new(), 0, 0f32);
    session.read(prompt, &mut |_| ControlFlow::Continue(())).unwrap();
    device_session.read(prompt, &mut |_| ControlFlow::Continue(())).unwrap();
    for (i, &token) in cpu.iter().enumerate() {
        let (a, b) = (session.next_logits(), device_session.next_logits());
        distances.push(distance(b, a));
        let (ours, theirs) = (likeliest(a), likeliest(b));
        assert_eq!(ours, token as usize);
        if ours != theirs {
            let margin = a[ours] - a[theirs];
            println!("token {i}: {ours} on the CPU, {theirs} on the GPU, {margin} apart");
            (differ, widest) = (differ + 1, widest.max(margin));
        }
        if i == same {
            assert_eq!(theirs, gpu[i] as usize, "the first difference is the same with the same tokens before");
        }
        session.advance(token).unwrap();
        device_session.advance(token).unwrap();
    }
    distances.sort_by(f32::total_cmp);
    let (median, worst) = (distances[TOKENS / 2], distances[TOKENS - 1]);
    println!(
        "{}, prompt of {}: first {same} of {TOKENS} tokens alike; with the same tokens {differ} choices differ, at most \
         {widest} apart; logits {median:.4} of their deviation apart in the median, {worst:.4} at most; {} and {} bytes",
        case.kind,
        prompt.len(),
        session.cache().bytes().total(),
        device_session.bytes().total(),
    );
    assert!(widest < case.near, "{widest}");
    assert!(median < case.close, "{median}");
    assert_eq!(device_session.count(), prompt.len() + TOKENS);
}

#[test]
fn greedy_answers_are_those_of_the_cpu_up_to_near_ties() {
    let Some(device) = device() else { return };
    let engine = common::smollm2();
    let model = load(&engine, device);
    let case = |kind, near, close| Case { kind, near, close };
    let short = "Write a short story about a lighthouse keeper.".to_owned();
    let long = common::report(1500) + "\nWhat is the state of the harbour, and how many people passed it?";
    let prompt = |text: &str| engine.chat_prompt(&[Message::new("user", text)]).unwrap();
    compare(&engine, &model, &case("exact:bf16", NEAR, CLOSE), &prompt(&short));
    compare(&engine, &model, &case("exact:bf16", NEAR, CLOSE), &prompt(&long));
    // As many tokens leave the window on both: a multiple of what leaves together on the GPU. Nothing is compressed of the
    // short one.
    let mut whole_blocks = prompt(&long);
    whole_blocks.drain(20..whole_blocks.len() - (4 + 1024 + 2048 - 20));
    for kind in ["fourier:window=1024,capacity=4096", "spectral:bits=3,values=head,window=1024"] {
        compare(&engine, &model, &case(kind, NEAR, CLOSE), &prompt(&short));
        compare(&engine, &model, &case(kind, NEAR, CLOSE), &whole_blocks);
    }
}

#[test]
fn caches_that_are_not_there_are_refused() {
    let Some(device) = device() else { return };
    let engine = common::tiny(&fourier_kv_testkit::RandomModel::llama());
    let model = match DeviceModel::load(&engine, device, None, &mut |_, _| ControlFlow::Continue(())) {
        // Heads of a few dims are for tests on the CPU.
        Err(EngineError::Cuda(error)) => return assert!(error.to_string().contains("head dims"), "{error}"),
        other => other.unwrap(),
    };
    for kind in ["spectral:block=8", "fourier:band=carrier", "exact:f32", "streaming"] {
        let refused = model.session(&engine, &kind.parse().unwrap(), None).unwrap_err();
        assert!(matches!(refused, EngineError::DeviceCache(_)), "{kind}: {refused}");
    }
}
