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
/// A choice between tokens whose logits are nearer than this is a tie; 0.10 was the most seen.
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

#[test]
fn greedy_answers_are_those_of_the_cpu_up_to_near_ties() {
    let Some(device) = device() else { return };
    let engine = common::smollm2();
    let model = load(&engine, device);
    let kind = "exact:bf16".parse().unwrap();
    let texts = [
        "Write a short story about a lighthouse keeper.".to_owned(),
        common::report(1500) + "\nWhat is the state of the harbour, and how many people passed it?",
    ];
    for text in texts {
        let prompt = engine.chat_prompt(&[Message::new("user", text)]).unwrap();
        let cpu = answer(&engine, &mut engine.session(&kind, None).unwrap(), &prompt);
        let gpu = answer(&engine, &mut model.session(&kind).unwrap(), &prompt);
        assert_eq!((cpu.len(), gpu.len()), (TOKENS, TOKENS));
        let same = cpu.iter().zip(&gpu).take_while(|(a, b)| a == b).count();

        // The same tokens to both: every step's logits, and every choice that differs.
        let (mut session, mut device_session) = (engine.session(&kind, None).unwrap(), model.session(&kind).unwrap());
        let (mut distances, mut differ, mut widest) = (Vec::new(), 0, 0f32);
        session.read(&prompt, &mut |_| ControlFlow::Continue(())).unwrap();
        device_session.read(&prompt, &mut |_| ControlFlow::Continue(())).unwrap();
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
            "prompt of {}: first {same} of {TOKENS} tokens alike; with the same tokens {differ} choices differ, at most \
             {widest} apart; logits {median:.4} of their deviation apart in the median, {worst:.4} at most",
            prompt.len()
        );
        assert!(widest < NEAR, "{widest}");
        assert!(median < CLOSE, "{median}");
        assert_eq!(device_session.count(), prompt.len() + TOKENS);
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
    for kind in ["spectral", "fourier", "exact:f32", "streaming"] {
        let refused = model.session(&kind.parse().unwrap()).unwrap_err().to_string();
        assert!(refused.contains("exact:bf16"), "{refused}");
    }
}
