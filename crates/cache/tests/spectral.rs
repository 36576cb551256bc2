//! The `spectral` cache: what its codes lose, how attention meets them, and that nothing drifts.

mod common;

use std::sync::Arc;

use common::{Tape, difference, seeded, shape, wide, workspace};
use fourier_kv_cache::spectral::{Shares, SpectralSettings};
use fourier_kv_cache::{AttnRows, CacheContext, CacheKind, CacheShape, KvCache, KvRows, QueryRows, SpectralCache};
use fourier_kv_kernels::oracle;

fn settings(text: &str) -> SpectralSettings {
    match format!("spectral:{text}").parse().unwrap() {
        CacheKind::Spectral(settings) => settings,
        _ => unreachable!("a spectral cache was named"),
    }
}

/// A context whose value dims are mixed by the output projection.
fn context(shape: &CacheShape) -> CacheContext {
    let dim = shape.head_dim;
    let mut grams = Vec::new();
    for head in 0..shape.layers * shape.kv_heads {
        let w: Vec<f32> = (0..dim * dim).map(|i| seeded("projection", head * 1000 + i) as f32).collect();
        grams.extend(
            (0..dim * dim).map(|at| -> f32 { (0..dim).map(|k| w[k * dim + at / dim] * w[k * dim + at % dim]).sum() }),
        );
    }
    CacheContext::new(shape.clone(), grams)
}

/// Attention of the last token in one pass equals attention over what [`SpectralCache::rebuilt`] says is there, for every
/// way of cutting channels, and whether one token asks or several do.
#[test]
fn attention_in_place_is_attention_over_what_is_rebuilt() {
    let (tape, ws) = (Tape::new(shape(), "in place"), workspace());
    for text in [
        "2,window=30,least-middle=40",
        "3,window=30,least-middle=40,keys=2,values=2",
        "1,window=30,least-middle=40,keys=heads,values=head",
        "4,window=30,least-middle=40,keys=head,values=4,block=4",
        "2,window=30,least-middle=40,block=2",
        "2,window=30,least-middle=40,block=64,sink=9",
        "3,window=30,least-middle=40,without=time",
        "3,window=30,least-middle=40,without=klt",
        "3,window=30,least-middle=40,without=weights",
        "3,window=30,least-middle=40,block=4,without=trellis",
        "3,window=30,least-middle=40,without=time+trellis",
    ] {
        let mut cache = SpectralCache::new(settings(text), context(&shape()), None);
        tape.prompt(&mut cache, &ws, 500, 100);
        for layer in 0..2 {
            let (first, [keys, values]) = cache.rebuilt(layer, &ws).unwrap();
            let coded = keys.len() / 2 / 8;
            assert!(coded > 350 && first < 10, "{text}");
            // Two tokens more, of which the window keeps both.
            let [q, k, v] = ["q", "k", "v"].map(|side| tape.rows(side, layer, 500, 502));
            cache.append(layer, KvRows { q: &q, k: &k, v: &v, tokens: 2 }, &ws).unwrap();
            let (mut two, mut one) = (AttnRows::new(12, 8), AttnRows::new(6, 8));
            cache.attend(layer, QueryRows { q: &q, tokens: 2 }, &ws, &mut two).unwrap();
            let last: Vec<f32> = q.chunks_exact(8).skip(1).step_by(2).flatten().copied().collect();
            cache.attend(layer, QueryRows { q: &last, tokens: 1 }, &ws, &mut one).unwrap();
            let two: Vec<f32> = two.finish().chunks_exact(8).skip(1).step_by(2).flatten().copied().collect();
            let side = |name: &str, rebuilt: &[f32], g: usize| -> Vec<f64> {
                let mut rows = tape.rows(name, layer, 0, 502)[g * 502 * 8..(g + 1) * 502 * 8].to_vec();
                rows.iter_mut().for_each(|x| *x = half::bf16::from_f32(*x).to_f32());
                rows[first * 8..(first + coded) * 8].copy_from_slice(&rebuilt[g * coded * 8..(g + 1) * coded * 8]);
                wide(&rows)
            };
            let expected: Vec<f64> = (0..6)
                .flat_map(|h| {
                    let (k, v) = (side("k", &keys, h / 3), side("v", &values, h / 3));
                    oracle::attend(&wide(&last[h * 8..(h + 1) * 8]), &k, &v, 1.0 / 8f64.sqrt())
                })
                .collect();
            let one = one.finish().to_vec();
            // Weights over codes are rounded to 2,047 parts of the largest, harmonic by harmonic, and coefficients to 2^-15
            // of the largest that they are summed up with.
            assert!(difference(&one, &expected) < 3e-3, "{text}: {}", difference(&one, &expected));
            assert!(difference(&two, &expected) < 1e-4, "{text}: {}", difference(&two, &expected));
        }
    }
}

fn mean_square(tape: &Tape, cache: &SpectralCache, side: usize, tokens: std::ops::Range<usize>) -> f64 {
    let (first, sides) = cache.rebuilt(0, &workspace()).unwrap();
    let coded = sides[side].len() / 2 / 8;
    let truth = tape.rows(["k", "v"][side], 0, tokens.start, tokens.end);
    let mut sum = 0.0;
    for (g, truth) in truth.chunks_exact(tokens.len() * 8).enumerate() {
        let own = &sides[side][(g * coded + tokens.start - first) * 8..][..truth.len()];
        sum += truth.iter().zip(own).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
    }
    sum / truth.len() as f64
}

/// More bits, less error: six decibels a bit, by and large, where both sides get as many and all value dims matter alike.
#[test]
fn errors_fall_with_bits() {
    let (tape, ws) = (Tape::new(shape(), "rates"), workspace());
    let even = [0.5, 8.0];
    let even = Arc::new(Shares { rates: even.to_vec(), bits: even.map(|bits| vec![[bits; 2]; 2]).to_vec() });
    let errors = |bits: f64| -> [f64; 2] {
        let settings = settings(&format!("{bits},window=10,least-middle=40"));
        let mut cache = SpectralCache::new(settings, CacheContext::uniform(shape()), Some(even.clone()));
        tape.prompt(&mut cache, &ws, 3000, 512);
        [0, 1].map(|side| mean_square(&tape, &cache, side, 10..2900))
    };
    let found = [1.0, 2.0, 4.0, 6.0].map(errors);
    for side in 0..2 {
        for pair in found.windows(2) {
            assert!(pair[1][side] < pair[0][side] / 2.0, "side {side}: {found:?}");
        }
        assert!(found[3][side] < found[1][side] / 60.0, "four bits are 24 decibels: {found:?}");
    }
}

/// The code of a block depends on nothing before it: after a hundred thousand tokens the newest are as good as the first.
#[test]
fn nothing_drifts() {
    let shape = CacheShape { layers: 1, ..shape() };
    let (tape, ws) = (Tape::new(shape.clone(), "long"), workspace());
    let mut cache = SpectralCache::new(settings("3,window=16,least-middle=2000"), context(&shape), None);
    let append = |cache: &mut SpectralCache, from: usize, to: usize| {
        let [q, k, v] = ["q", "k", "v"].map(|side| tape.rows(side, 0, from, to));
        cache.append(0, KvRows { q: &q, k: &k, v: &v, tokens: to - from }, &ws).unwrap();
    };
    append(&mut cache, 0, 3000);
    cache.seal(0, &ws).unwrap();
    for from in (3000..103_000).step_by(100) {
        append(&mut cache, from, from + 100);
    }
    assert_eq!(cache.len(), 103_000);
    for side in 0..2 {
        let [early, late] = [100..2900, 99_000..102_000].map(|tokens| mean_square(&tape, &cache, side, tokens));
        assert!(late < 1.3 * early, "side {side}: {early} then {late}");
    }
}

/// A plan moves bits between layers and sides and keeps their sum.
#[test]
fn shares_move_bits() {
    let (tape, ws) = (Tape::new(shape(), "shares"), workspace());
    let fill = |shares: Option<Shares>| {
        let settings = settings("2,window=10,least-middle=40");
        let mut cache = SpectralCache::new(settings, context(&shape()), shares.map(Arc::new));
        tape.prompt(&mut cache, &ws, 1500, 500);
        cache
    };
    let even = fill(None);
    let statistics = even.statistics().unwrap();
    // Keys of the first layer do all the harm.
    let shares = Shares::of_least_harm(&statistics, &[[100.0, 0.01], [0.01, 0.01]]);
    assert!(shares.check(2).is_ok() && shares.check(3).is_err());
    for (rate, bits) in shares.rates.iter().zip(&shares.bits) {
        let mean = bits.iter().flatten().sum::<f64>() / 4.0;
        assert!((mean - rate).abs() < 1e-9, "{rate}: {bits:?}");
        assert!(*rate > 4.0 || bits[0][0] > bits[0][1], "{rate}: {bits:?}");
    }
    let planned = fill(Some(shares));
    let [before, after] = [&even, &planned].map(|cache| cache.statistics().unwrap());
    assert!(after[0][0].error() < before[0][0].error() / 4.0);
    assert!(after[1][1].error() > before[1][1].error());
    let [a, b] = [even.bytes().codes, planned.bytes().codes];
    assert!(a.abs_diff(b) * 50 < a, "{a} and {b} bytes");
}

/// What a plan expects to lose is what is lost, measured in the weighted space by the errors of rebuilt rows: here with
/// an output projection and queries that weigh all dims alike.
#[test]
fn expected_errors_are_found() {
    let shape = CacheShape { layers: 1, ..shape() };
    let (tape, ws) = (Tape::new(shape.clone(), "expected"), workspace());
    for bits in [1.0, 2.0, 3.0] {
        let text = format!("{bits},window=10,least-middle=40");
        let mut cache = SpectralCache::new(settings(&text), CacheContext::uniform(shape.clone()), None);
        tape.prompt(&mut cache, &ws, 5000, 500);
        let expected = cache.statistics().unwrap()[0][1].error();
        let found = mean_square(&tape, &cache, 1, 10..4900);
        assert!((0.7..1.5).contains(&(found / expected)), "{bits} bits: {found} of {expected}");
    }
}
