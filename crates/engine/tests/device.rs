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
/// The same of compressed pasts, whose codes differ where numbers are near a threshold: as a share of what compressing
/// changes on the CPU, which was 0.12 (`fourier`) and 0.16 (`spectral`, 3 bits). 0.21 was seen.
const SHARE: f32 = 0.3;
/// How much farther from exact logits a compressed past may be on the GPU than on the CPU.
const WORSE: f32 = 1.1;

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

/// The same tokens to a past on the CPU, one on the GPU, and an exact one on the CPU.
struct Steps {
    /// Distances of logits: of the GPU's from the CPU's, and of both from exact ones.
    apart: Vec<f32>,
    from_exact: [Vec<f32>; 2],
    /// Steps at which choices differ, with the GPU's.
    differ: Vec<(usize, usize)>,
    /// How far the logits of the two tokens are apart at most.
    widest: f32,
}

fn median(distances: &[f32]) -> f32 {
    let mut sorted = distances.to_vec();
    sorted.sort_by(f32::total_cmp);
    sorted[sorted.len() / 2]
}

/// Gives all three the same tokens, of which the first past chooses each.
fn step(sessions: [&mut dyn Predictor; 3], tokens: &[u32]) -> Steps {
    let [cpu, gpu, exact] = sessions;
    let mut steps = Steps { apart: vec![], from_exact: [vec![], vec![]], differ: vec![], widest: 0.0 };
    for (i, &token) in tokens.iter().enumerate() {
        let (a, b, expected) = (cpu.next_logits(), gpu.next_logits(), exact.next_logits());
        steps.apart.push(distance(b, a));
        steps.from_exact[0].push(distance(a, expected));
        steps.from_exact[1].push(distance(b, expected));
        let (ours, theirs) = (likeliest(a), likeliest(b));
        assert_eq!(ours, token as usize);
        if ours != theirs {
            let margin = a[ours] - a[theirs];
            println!("token {i}: {ours} on the CPU, {theirs} on the GPU, {margin} apart");
            steps.differ.push((i, theirs));
            steps.widest = steps.widest.max(margin);
        }
        for session in [&mut *cpu, &mut *gpu, &mut *exact] {
            session.advance(token).unwrap();
        }
    }
    steps
}

/// Answers greedily on both, and then gives both the same tokens.
fn compare(engine: &Engine, model: &DeviceModel, kind: &str, prompt: &[u32]) {
    let (name, kind, whole) = (kind, kind.parse().unwrap(), "exact:bf16".parse().unwrap());
    let cpu = answer(engine, &mut engine.session(&kind, None).unwrap(), prompt);
    let gpu = answer(engine, &mut model.session(engine, &kind, None).unwrap(), prompt);
    assert_eq!((cpu.len(), gpu.len()), (TOKENS, TOKENS));
    let same = cpu.iter().zip(&gpu).take_while(|(a, b)| a == b).count();

    let (mut session, mut exact) = (engine.session(&kind, None).unwrap(), engine.session(&whole, None).unwrap());
    let mut device_session = model.session(engine, &kind, None).unwrap();
    for session in [&mut session as &mut dyn Predictor, &mut device_session, &mut exact] {
        session.read(prompt, &mut |_| ControlFlow::Continue(())).unwrap();
    }
    let steps = step([&mut session, &mut device_session, &mut exact], &cpu);
    let (apart, [ours, theirs]) = (median(&steps.apart), steps.from_exact.each_ref().map(|all| median(all)));
    println!(
        "{name}, prompt of {}: first {same} of {TOKENS} tokens alike; with the same tokens {} choices differ, at most \
         {} apart; logits {apart:.4} of their deviation apart in the median, {ours:.4} and {theirs:.4} from exact ones; \
         {} and {} bytes",
        prompt.len(),
        steps.differ.len(),
        steps.widest,
        session.cache().bytes().total(),
        device_session.bytes().total(),
    );
    if same < TOKENS {
        let first = (same, gpu[same] as usize);
        assert!(steps.differ.contains(&first), "the first difference is the same with the same tokens before");
    }
    assert!(steps.widest < NEAR, "{}", steps.widest);
    assert!(apart < CLOSE.max(SHARE * ours), "{apart}, where compressing changes {ours}");
    assert!(theirs < CLOSE.max(WORSE * ours), "{theirs} from exact logits, on the CPU {ours}");
    assert_eq!(device_session.count(), prompt.len() + TOKENS);
}

#[test]
fn greedy_answers_are_those_of_the_cpu_up_to_near_ties() {
    let Some(device) = device() else { return };
    let engine = common::smollm2();
    let model = load(&engine, device);
    let short = "Write a short story about a lighthouse keeper.".to_owned();
    let long = common::report(1500) + "\nWhat is the state of the harbour, and how many people passed it?";
    let prompt = |text: &str| engine.chat_prompt(&[Message::new("user", text)]).unwrap();
    compare(&engine, &model, "exact:bf16", &prompt(&short));
    compare(&engine, &model, "exact:bf16", &prompt(&long));
    // As many tokens leave the window on both: a multiple of what leaves together on the GPU. Nothing is compressed of the
    // short one.
    let mut whole_blocks = prompt(&long);
    whole_blocks.drain(20..whole_blocks.len() - (4 + 1024 + 2048 - 20));
    for kind in ["fourier:window=1024,capacity=4096", "spectral:bits=3,values=head,window=1024"] {
        compare(&engine, &model, kind, &prompt(&short));
        compare(&engine, &model, kind, &whole_blocks);
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
