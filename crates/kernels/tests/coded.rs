//! Attention over coded blocks, piece by piece, against plain sums in f64, on every instruction set.

use fourier_kv_kernels::coded::{
    Direction, LANES, Segment, Tile, Weights, add_outputs, add_scores, exponentials, largest, queries_of_lanes, rebuild,
};
use fourier_kv_kernels::isa::Isa;
use fourier_kv_spectral::dct::Dct;
use proptest::prelude::*;

type Vector = [f32; LANES];

/// Numbers between -1 and 1.
fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / 8_388_608.0 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn vectors(seed: u64, count: usize) -> Vec<Vector> {
    numbers(seed, count * LANES).as_chunks().0.to_vec()
}

fn cosines(block: usize) -> Vec<f32> {
    Dct::new(block).unwrap().matrix().iter().map(|&c| c as f32).collect()
}

/// Which of `rows` directions have a coefficient at harmonic `f`: fewer and fewer.
fn is_present(row: usize, f: usize) -> bool {
    (row * 7 + f * 5) % 11 > f % 6
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn channels_are_directions_times_cosines(seed: u64, n in 1usize..40, log in 0u32..6) {
        let block = 1 << log;
        let rows = 1 + seed as usize % n;
        let (directions, mean, cosines) = (numbers(seed, rows * n), numbers(seed + 1, n), cosines(block));
        let present: Vec<Vec<u16>> =
            (0..block).map(|f| (0..rows).filter(|&r| is_present(r, f)).map(|r| r as u16).collect()).collect();
        let count = present.iter().map(Vec::len).sum();
        let coefficients = vectors(seed + 2, count);
        let tile = Tile { directions: &directions, mean: &mean, present: &present, cosines: &cosines };
        let places: Vec<(usize, u16)> =
            present.iter().enumerate().flat_map(|(f, rows)| rows.iter().map(move |&r| (f, r))).collect();
        for isa in Isa::available() {
            let mut out = vec![[f32::NAN; LANES]; n * block];
            rebuild(isa, tile, &coefficients, &mut out);
            for (at, lanes) in out.iter().enumerate() {
                let (channel, t) = (at / block, at % block);
                for (lane, got) in lanes.iter().enumerate() {
                    let part = |((f, row), x): (&(usize, u16), &Vector)| {
                        let u = f64::from(directions[usize::from(*row) * n + channel]);
                        f64::from(x[lane]) * u * f64::from(cosines[f * block + t])
                    };
                    let sum: f64 = places.iter().zip(&coefficients).map(part).sum();
                    let expected = sum + f64::from(mean[channel]);
                    prop_assert!((f64::from(*got) - expected).abs() < 1e-4, "{isa}: {got} {expected}");
                }
            }
        }
    }

    #[test]
    fn scores_are_dot_products_of_turned_keys(seed: u64, pairs in 1usize..20, log in 0u32..6, heads in 1usize..10) {
        let (block, dim) = (1usize << log, 2 * pairs);
        let angle = |position: usize, pair: usize| position as f64 * 10f64.powf(-(pair as f64) / 5.0);
        let turns: Vec<(f32, f32)> = (0..block)
            .flat_map(|t| (0..pairs).map(move |p| angle(t, p).sin_cos()))
            .map(|(sin, cos)| (cos as f32, sin as f32))
            .collect();
        let lanes: Vec<[Vector; 2]> = (0..pairs)
            .map(|p| {
                let of = |f: fn(f64) -> f64| std::array::from_fn(|lane| f(angle(lane * block, p)) as f32);
                [of(f64::cos), of(f64::sin)]
            })
            .collect();
        let (queries, channels) = (numbers(seed, heads * dim), vectors(seed + 1, dim * block));
        let before = numbers(seed + 2, heads * block * LANES);
        for isa in Isa::available() {
            let mut turned = vec![[0.0; LANES]; heads * dim];
            for (query, out) in queries.chunks_exact(dim).zip(turned.chunks_exact_mut(dim)) {
                queries_of_lanes(isa, query, &lanes, out);
            }
            let mut scores = before.as_chunks::<LANES>().0.to_vec();
            add_scores(isa, Segment { channels: &channels, queries: &turned, turns: &turns }, block, &mut scores);
            for (at, (got, before)) in scores.as_flattened().iter().zip(&before).enumerate() {
                let (head, t, lane) = (at / LANES / block, at / LANES % block, at % LANES);
                let pair = |p: usize| {
                    let (sin, cos) = angle(lane * block + t, p).sin_cos();
                    let key = |i: usize| f64::from(channels[i * block + t][lane]);
                    let (x, y) = (key(p), key(pairs + p));
                    let q = |i: usize| f64::from(queries[head * dim + i]);
                    q(p) * (x * cos - y * sin) + q(pairs + p) * (y * cos + x * sin)
                };
                let expected = f64::from(*before) + (0..pairs).map(pair).sum::<f64>();
                prop_assert!((f64::from(*got) - expected).abs() < 2e-5 * dim as f64, "{isa}: {got} {expected}");
            }
        }
    }

    #[test]
    fn outputs_are_weighted_sums_of_tokens(seed: u64, rows in 1usize..30, log in 0u32..6, heads in 1usize..14) {
        let block = 1usize << log;
        let cosines = cosines(block);
        let directions: Vec<Direction> = (0..rows)
            .map(|row| {
                let harmonics = (0..block).filter(|&f| is_present(row, f)).map(|f| f as u8).collect();
                Direction { row: row as u16, harmonics }
            })
            .collect();
        let count = directions.iter().map(|d| d.harmonics.len()).sum();
        let (coefficients, weights) = (vectors(seed, count), vectors(seed + 1, heads * block));
        let stride = rows + 3;
        for isa in Isa::available() {
            let (mut out, mut spectrum) = (vec![0.5; heads * stride], vec![[f32::NAN; LANES]; heads * block]);
            let all = Weights { weights: &weights, cosines: &cosines, block };
            add_outputs(isa, all, &directions, &coefficients, &mut spectrum, (&mut out, stride));
            for head in 0..heads {
                let mut rest = &coefficients[..];
                for direction in &directions {
                    let (own, later) = rest.split_at(direction.harmonics.len());
                    rest = later;
                    let mut expected = 0.5;
                    for (t, lane) in (0..block).flat_map(|t| (0..LANES).map(move |lane| (t, lane))) {
                        let value: f64 = own
                            .iter()
                            .zip(&direction.harmonics)
                            .map(|(x, &f)| f64::from(x[lane]) * f64::from(cosines[usize::from(f) * block + t]))
                            .sum();
                        expected += value * f64::from(weights[head * block + t][lane]);
                    }
                    let got = out[head * stride + usize::from(direction.row)];
                    prop_assert!((f64::from(got) - expected).abs() < 1e-3, "{isa}: {got} {expected}");
                }
                let untouched = &out[head * stride + rows..(head + 1) * stride];
                prop_assert!(untouched.iter().all(|x| *x == 0.5));
            }
        }
    }

    #[test]
    fn weights_are_exponentials(seed: u64, count in 1usize..20) {
        let scores = vectors(seed, count);
        for isa in Isa::available() {
            let most = scores.as_flattened().iter().copied().fold(f32::MIN, f32::max);
            prop_assert_eq!(largest(isa, &scores), most);
            let mut weights = scores.clone();
            weights[0][3] = f32::NEG_INFINITY;
            let mut sum = 0.0;
            let found = exponentials(isa, &mut weights, most);
            for (at, (got, score)) in weights.as_flattened().iter().zip(scores.as_flattened()).enumerate() {
                let expected = if at == 3 { 0.0 } else { f64::from(score - most).exp() };
                sum += expected;
                prop_assert!((f64::from(*got) - expected).abs() < 1e-6, "{isa}: {got} {expected}");
            }
            prop_assert!((f64::from(found) - sum).abs() < 1e-5 * sum.max(1.0));
        }
    }
}
