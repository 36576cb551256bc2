//! The forward pass on a GPU against `f64`. Where there is none, nothing is computed.

mod support;

use std::ops::ControlFlow;
use std::sync::Arc;

use fourier_kv_cuda::CudaError;
use fourier_kv_cuda::attention::Heads;
use fourier_kv_cuda::attention::fourier::FourierSizes;
use fourier_kv_cuda::attention::spectral::SpectralSizes;
use fourier_kv_cuda::model::{
    Batch, Dims, ExactPasts, FourierPasts, FourierSettings, Model, PromptError, SpectralPasts, SpectralSettings, TILE,
};
use support::plain_fit::PlainFit;
use support::tiny::{Kind, Tiny};
use support::{Numbers, distance};

/// Activations go into products in `bf16`, three layers of them.
const CLOSE: f64 = 2e-2;

const HEADS: Heads = Heads { heads: 4, kv_heads: 2, head_dim: 32 };
const KIND: Kind = Kind { heads: HEADS, interleaved: false, biased: false, tied: false };

fn model(tiny: &Tiny) -> Option<Arc<Model>> {
    let device = Arc::new(support::device()?);
    let weights = tiny.upload(&device).unwrap();
    Some(Arc::new(Model::new(device, weights, None).unwrap()))
}

fn exact(model: &Arc<Model>, batch: usize) -> Batch {
    let pasts = ExactPasts::new(model.device(), model.shape(), batch).unwrap();
    Batch::new(Arc::clone(model), Box::new(pasts)).unwrap()
}

fn tokens(numbers: &mut Numbers, count: usize, shape: &fourier_kv_cuda::model::ModelShape) -> Vec<u32> {
    (0..count).map(|_| numbers.below(shape.vocabulary) as u32).collect()
}

fn read(batch: &mut Batch, sequence: usize, tokens: &[u32]) -> Vec<f32> {
    batch.prompt(sequence, tokens, &mut |_, _| ControlFlow::Continue(())).unwrap()
}

fn stepped(batch: &mut Batch, tokens: &[u32], vocabulary: usize) -> Vec<Vec<f32>> {
    batch.step(tokens).unwrap();
    let mut logits = vec![f32::NAN; tokens.len() * vocabulary];
    batch.logits(&mut logits).unwrap();
    logits.chunks(vocabulary).map(<[f32]>::to_vec).collect()
}

#[test]
fn prompts_and_steps_are_those_of_f64() {
    let heads = |heads, kv_heads, head_dim| Heads { heads, kv_heads, head_dim };
    let kinds = [
        KIND,
        Kind { heads: heads(3, 1, 64), interleaved: true, ..KIND },
        Kind { heads: heads(8, 8, 32), biased: true, tied: true, ..KIND },
        Kind { heads: heads(4, 1, 128), biased: true, interleaved: true, tied: false },
    ];
    for (i, kind) in kinds.into_iter().enumerate() {
        let (tiny, mut numbers) = (Tiny::random(kind, 40 + i as u64), Numbers(i as u64));
        let Some(model) = model(&tiny) else { return };
        let mut text = tokens(&mut numbers, [37, 1, 130, 64][i], &tiny.shape);
        let mut batch = exact(&model, 1);
        let off = distance(&read(&mut batch, 0, &text), &tiny.logits(&text));
        assert!(off < CLOSE, "{kind:?}: {off}");
        for token in tokens(&mut numbers, 5, &tiny.shape) {
            text.push(token);
            let off = distance(&stepped(&mut batch, &[token], tiny.shape.vocabulary)[0], &tiny.logits(&text));
            assert!(off < CLOSE, "{kind:?}, a step: {off}");
        }
        assert_eq!(batch.pasts().lengths(), [text.len()]);
    }
}

#[test]
fn sequences_of_different_lengths_go_on_together() {
    let (tiny, mut numbers) = (Tiny::random(KIND, 7), Numbers(3));
    let Some(model) = model(&tiny) else { return };
    let mut texts: Vec<Vec<u32>> = [70, 0, 5, 300].map(|n| tokens(&mut numbers, n, &tiny.shape)).into();
    let mut batch = exact(&model, texts.len());
    for (b, text) in texts.iter().enumerate().filter(|(_, text)| !text.is_empty()) {
        read(&mut batch, b, text);
    }
    for _ in 0..3 {
        let next = tokens(&mut numbers, texts.len(), &tiny.shape);
        texts.iter_mut().zip(&next).for_each(|(text, &token)| text.push(token));
        for (logits, text) in stepped(&mut batch, &next, tiny.shape.vocabulary).iter().zip(&texts) {
            let off = distance(logits, &tiny.logits(text));
            assert!(off < CLOSE, "{} tokens: {off}", text.len());
        }
    }
    let likeliest = batch.likeliest().unwrap();
    let mut logits = vec![0.0; texts.len() * tiny.shape.vocabulary];
    batch.logits(&mut logits).unwrap();
    for (logits, token) in logits.chunks(tiny.shape.vocabulary).zip(&likeliest) {
        let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        assert_eq!(logits.iter().position(|&x| x == top), Some(*token as usize));
    }
    // The device goes on by itself with what it chose.
    batch.go_on().unwrap();
    texts.iter_mut().zip(&likeliest).for_each(|(text, &token)| text.push(token));
    batch.logits(&mut logits).unwrap();
    let off = distance(&logits[..tiny.shape.vocabulary], &tiny.logits(&texts[0]));
    assert!(off < CLOSE, "{off}");
}

#[test]
fn pasts_grow_and_prompts_may_come_in_parts() {
    let (tiny, mut numbers) = (Tiny::random(KIND, 8), Numbers(4));
    let Some(model) = model(&tiny) else { return };
    let text = tokens(&mut numbers, 800, &tiny.shape);
    let mut batch = exact(&model, 1);
    read(&mut batch, 0, &text[..200]);
    read(&mut batch, 0, &text[200..500]);
    let small = batch.pasts().bytes();
    let mut last = Vec::new();
    for &token in &text[500..] {
        last = stepped(&mut batch, &[token], tiny.shape.vocabulary).remove(0);
    }
    assert!(batch.pasts().bytes() > small, "800 tokens take more than 500");
    let off = distance(&last, &tiny.logits(&text));
    assert!(off < CLOSE, "{off}");
    let whole = read(&mut exact(&model, 1), 0, &text);
    let off = distance(&whole, &tiny.logits(&text));
    assert!(off < CLOSE, "{off}");
}

#[test]
fn prompts_longer_than_a_tile_are_read_whole() {
    let (tiny, mut numbers) = (Tiny::random(KIND, 9), Numbers(5));
    let Some(model) = model(&tiny) else { return };
    let text = tokens(&mut numbers, TILE + 77, &tiny.shape);
    let off = distance(&read(&mut exact(&model, 1), 0, &text), &tiny.logits(&text));
    assert!(off < CLOSE, "{off}");
}

/// With half as many harmonics as the period has tokens a spectrum loses next to nothing, so the logits are those of
/// exact pasts: through the seal, and through tokens that leave the window.
#[test]
fn fourier_pasts_of_all_harmonics_are_exact() {
    let (tiny, mut numbers) = (Tiny::random(KIND, 11), Numbers(6));
    let Some(model) = model(&tiny) else { return };
    let sizes = FourierSizes { heads: HEADS, harmonics: 256, key_tracks: 20, value_tracks: 13 };
    let permuted =
        |numbers: &mut Numbers| (0..HEADS.kv_heads).flat_map(|_| numbers.permutation(HEADS.head_dim)).collect();
    let dims = (0..tiny.shape.layers).map(|_| [permuted(&mut numbers), permuted(&mut numbers)]).collect();
    let settings = FourierSettings {
        sizes: vec![sizes; tiny.shape.layers],
        sink: 4,
        window: 64,
        least: 1,
        period: Arc::new(|_| 512),
        dims: Dims::Given(dims),
    };
    let pasts = FourierPasts::new(model.device(), &tiny.shape, settings, 2).unwrap();
    let mut batch = Batch::new(Arc::clone(&model), Box::new(pasts)).unwrap();
    let mut texts = [101, 90].map(|n| tokens(&mut numbers, n, &tiny.shape));
    for (b, text) in texts.iter().enumerate() {
        let off = distance(&read(&mut batch, b, text), &tiny.logits(text));
        assert!(off < CLOSE, "{off}");
    }
    let small = batch.pasts().bytes();
    let mut worst: f64 = 0.0;
    for i in 0..400 {
        let next = tokens(&mut numbers, 2, &tiny.shape);
        texts.iter_mut().zip(&next).for_each(|(text, &token)| text.push(token));
        let logits = stepped(&mut batch, &next, tiny.shape.vocabulary);
        // Around the steps at which 64 tokens leave, and at the end.
        if [0, 1, 63].contains(&(i % 64)) || i == 399 {
            for (logits, text) in logits.iter().zip(&texts) {
                worst = worst.max(distance(logits, &tiny.logits(text)));
            }
        }
    }
    assert!(worst < 2.0 * CLOSE, "{worst}");
    assert!(batch.pasts().bytes() > small, "room for the exact dims of 400 more tokens");
    assert_eq!(batch.pasts().lengths(), [501, 490]);
    // A past with a middle takes no further prompt, nor one that leaves nothing for it.
    assert!(batch.prompt(0, &[1; 100], &mut |_, _| ControlFlow::Continue(())).is_err());
}

/// Of a prompt too short for a middle, whose steps begin one later.
#[test]
fn middles_are_begun_when_enough_tokens_wait() {
    let (tiny, mut numbers) = (Tiny::random(KIND, 12), Numbers(7));
    let Some(model) = model(&tiny) else { return };
    let sizes = FourierSizes { heads: HEADS, harmonics: 256, key_tracks: 32, value_tracks: 32 };
    let all: Vec<u16> = (0..HEADS.kv_heads).flat_map(|_| 0..HEADS.head_dim as u16).collect();
    let settings = FourierSettings {
        sizes: vec![sizes; tiny.shape.layers],
        sink: 3,
        window: 50,
        least: 100,
        period: Arc::new(|_| 512),
        dims: Dims::Given(vec![[all.clone(), all]; tiny.shape.layers]),
    };
    let pasts = FourierPasts::new(model.device(), &tiny.shape, settings, 1).unwrap();
    let mut batch = Batch::new(Arc::clone(&model), Box::new(pasts)).unwrap();
    let mut text = tokens(&mut numbers, 20, &tiny.shape);
    let off = distance(&read(&mut batch, 0, &text), &tiny.logits(&text));
    assert!(off < CLOSE, "{off}");
    for i in 0..300 {
        let next = tokens(&mut numbers, 1, &tiny.shape);
        text.push(next[0]);
        let logits = stepped(&mut batch, &next, tiny.shape.vocabulary).remove(0);
        if i % 40 == 0 || i == 299 {
            let off = distance(&logits, &tiny.logits(&text));
            assert!(off < 2.0 * CLOSE, "token {i}: {off}");
        }
    }
}

/// In 8 bits a number codes lose next to nothing, so the logits are those of exact pasts: through the seal, through
/// superblocks that leave the window, and where a middle is begun late.
#[test]
fn spectral_pasts_of_many_bits_are_exact() {
    for (value_heads, shared) in [(1, false), (2, true)] {
        let (tiny, mut numbers) = (Tiny::random(KIND, 13), Numbers(8));
        let Some(model) = model(&tiny) else { return };
        let sizes = SpectralSizes { heads: HEADS, value_heads };
        let fit = Arc::new(PlainFit { sizes, frequencies: tiny.shape.frequencies.clone() });
        let settings = SpectralSettings { sizes, sink: 4, window: 100, least: 1, fit, shared };
        let pasts = SpectralPasts::new(model.device(), &tiny.shape, settings, 2).unwrap();
        let mut batch = Batch::new(Arc::clone(&model), Box::new(pasts)).unwrap();
        let mut texts = [600, 340].map(|n| tokens(&mut numbers, n, &tiny.shape));
        for (b, text) in texts.iter().enumerate() {
            let off = distance(&read(&mut batch, b, text), &tiny.logits(text));
            assert!(off < CLOSE, "{off}");
        }
        let (small, mut worst) = (batch.pasts().bytes(), 0.0f64);
        for i in 0..560 {
            let next = tokens(&mut numbers, 2, &tiny.shape);
            texts.iter_mut().zip(&next).for_each(|(text, &token)| text.push(token));
            let logits = stepped(&mut batch, &next, tiny.shape.vocabulary);
            if i % 140 == 0 || i == 559 {
                for (logits, text) in logits.iter().zip(&texts) {
                    worst = worst.max(distance(logits, &tiny.logits(text)));
                }
            }
        }
        support::say(&format!("{value_heads} heads: {worst:.1e}"));
        assert!(worst < 2.0 * CLOSE, "{worst}");
        assert!(batch.pasts().bytes() > small, "codes of 512 more tokens");
    }
}

#[test]
fn wrong_requests_are_refused_and_reading_can_be_stopped() {
    let tiny = Tiny::random(KIND, 10);
    let Some(model) = model(&tiny) else { return };
    let mut batch = exact(&model, 2);
    let mut go = |_: usize, _: usize| ControlFlow::Continue(());
    assert!(batch.prompt(0, &[], &mut go).is_err());
    assert!(batch.prompt(0, &[50], &mut go).is_err());
    assert!(batch.step(&[1]).is_err());
    assert!(batch.step(&[1, 50]).is_err());
    let mut heard = Vec::new();
    let stopped = batch.prompt(0, &[1, 2], &mut |done, of| {
        heard.push((done, of));
        if done == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(matches!(stopped, Err(PromptError::Stopped)));
    assert_eq!(heard, [(1, 3), (2, 3)]);
}

#[test]
fn memory_that_is_not_there_is_an_error_that_says_how_much() {
    let Some(device) = support::device() else { return };
    let bytes = device.info().memory_bytes;
    match device.uninitialised::<u8>(bytes + 1) {
        Err(CudaError::Memory { asked, free, total }) => {
            assert_eq!((asked, total), (bytes + 1, bytes));
            assert!(free > 0 && free < bytes);
        }
        other => panic!("{other:?}"),
    }
    // It goes on after that.
    assert_eq!(device.upload(&[1u32, 2]).unwrap().read().unwrap(), [1, 2]);
}
