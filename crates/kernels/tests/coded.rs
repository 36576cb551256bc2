//! Attention over coded blocks, piece by piece, against plain sums in f64, on every instruction set.

use fourier_kv_kernels::coded::{
    Direction, KeyTile, LANES, RUN, Segment, SlowNodes, SlowSpectra, SlowTile, TOGETHER, TWO, Tile, Turning, ValueTile,
    WeightSpectra, add_outputs, add_scores, add_slow_scores, add_slow_spectra, exponentials, key_channels, largest,
    padded, queries_of_lanes, queries_of_nodes, rebuild, slow_columns, weight_spectra,
};
use fourier_kv_kernels::isa::Isa;
use fourier_kv_kernels::trellis::{Pair, PairLayout, PairWords, STEP, TrellisTables, pair_values, split};
use fourier_kv_spectral::dct::Dct;
use fourier_kv_spectral::trellis::pack;
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

/// Random codes of pairs of so many bits, of some superblocks.
struct Codes {
    /// Of each coefficient.
    bits: Vec<u8>,
    sizes: Vec<f32>,
    pairs: Vec<Pair>,
    /// As the stream has them.
    streams: Vec<Vec<[u32; LANES]>>,
    /// As pairs are laid out.
    laid_out: Vec<Vec<[u32; LANES]>>,
    trellis_words: usize,
}

impl Codes {
    fn new(seed: u64, pairs: &[u8], superblocks: usize) -> Self {
        let bits: Vec<u8> = pairs.iter().flat_map(|&k| [k, k]).collect();
        let sizes: Vec<f32> = numbers(seed + 100, bits.len()).iter().map(|x| x.abs().max(1e-3)).collect();
        let mut layout = PairLayout::default();
        let made = pairs.iter().zip(sizes.as_chunks().0).map(|(&k, sizes)| layout.push(k, *sizes, 0)).collect();
        let streams: Vec<Vec<[u32; LANES]>> = (0..superblocks as u64)
            .map(|s| {
                let symbols: Vec<u8> =
                    numbers(seed + s, LANES * bits.len()).iter().map(|x| x.to_bits() as u8).collect();
                pack(&symbols, &bits).as_chunks().0.to_vec()
            })
            .collect();
        let words = layout.words();
        let lay_out = |stream: &Vec<[u32; LANES]>| {
            let mut out = vec![[u32::MAX; LANES]; words.iter().sum()];
            split(stream, &bits, &mut out);
            out
        };
        let laid_out = streams.iter().map(lay_out).collect();
        Codes { sizes, pairs: made, streams, laid_out, trellis_words: words[0], bits }
    }

    fn words(&self, superblock: usize) -> PairWords<'_> {
        PairWords::new(&self.laid_out[superblock], self.trellis_words)
    }

    /// Values as integers.
    fn values(&self, superblock: usize) -> Vec<Vector> {
        let mut out = vec![[0.0; LANES]; self.bits.len()];
        let tables = TrellisTables::new();
        pair_values(Isa::portable(), self.words(superblock), tables.pairs(), &self.pairs, &mut out);
        out
    }
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
    fn scores_are_dot_products_of_turned_keys(
        seed: u64,
        pairs in 1usize..20,
        before in 0usize..9,
        log in 0u32..6,
        heads in 1usize..10,
    ) {
        // A tile may begin with channels of another head.
        let (block, first) = (1usize << log, seed as usize % 3);
        let (half, channels) = (pairs + first, before + 2 * pairs);
        let dim = 2 * half;
        let angle = |position: usize, pair: usize| position as f64 * 10f64.powf(-(pair as f64) / 5.0);
        let turns: Vec<(f32, f32)> = (0..block)
            .flat_map(|t| (0..half).map(move |p| angle(t, p).sin_cos()))
            .map(|(sin, cos)| (cos as f32, sin as f32))
            .collect();
        let lanes: Vec<[Vector; 2]> = (0..half)
            .map(|p| {
                let of = |f: fn(f64) -> f64| std::array::from_fn(|lane| f(angle(lane * block, p)) as f32);
                [of(f64::cos), of(f64::sin)]
            })
            .collect();
        let (queries, keys) = (numbers(seed, heads * dim), vectors(seed + 1, padded(channels) * block));
        let (stride, noise) = (block + 2, numbers(seed + 2, heads * (block + 2) * LANES));
        for isa in Isa::available() {
            let mut turned = vec![[0.0; LANES]; heads * 2 * pairs];
            queries_of_lanes(isa, &queries, &lanes[first..], first, &mut turned);
            let mut scores = noise.as_chunks::<LANES>().0.to_vec();
            let segment =
                Segment { channels: &keys, from: before, pairs, queries: &turned, turns: &turns, dim, first };
            add_scores(isa, segment, block, &mut scores, stride);
            for (at, (got, noise)) in scores.as_flattened().iter().zip(&noise).enumerate() {
                let (head, t, lane) = (at / LANES / stride, at / LANES % stride, at % LANES);
                let pair = |p: usize| {
                    let (sin, cos) = angle(lane * block + t, first + p).sin_cos();
                    let key = |i: usize| {
                        let channel = before + i;
                        f64::from(keys[(channel / RUN * block + t) * RUN + channel % RUN][lane])
                    };
                    let (x, y) = (key(p), key(pairs + p));
                    let q = |i: usize| f64::from(queries[head * dim + first + i]);
                    q(p) * (x * cos - y * sin) + q(half + p) * (y * cos + x * sin)
                };
                let sum = if t < block { (0..pairs).map(pair).sum() } else { 0.0 };
                let expected = f64::from(*noise) + sum;
                prop_assert!((f64::from(*got) - expected).abs() < 2e-5 * dim as f64, "{isa}: {got} {expected}");
            }
        }
    }

    #[test]
    fn pairs_are_the_coefficients_of_the_stream(seed: u64, bits in prop::collection::vec(1u8..=8, 1..60)) {
        let codes = Codes::new(seed, &bits, 1);
        let tables = TrellisTables::new();
        let mut expected = vec![[0.0; LANES]; 2 * bits.len()];
        tables.decode(Isa::portable(), &codes.streams[0], &codes.bits, &codes.sizes, &mut expected);
        for isa in Isa::available() {
            let mut found = vec![[f32::NAN; LANES]; 2 * bits.len()];
            pair_values(isa, codes.words(0), tables.pairs(), &codes.pairs, &mut found);
            for (found, expected) in found.as_flattened().iter().zip(expected.as_flattened()) {
                // Half a step for a level, a third for a scale, half for a product, and what singles round.
                prop_assert!((found * STEP - expected).abs() < 1.7 * STEP, "{isa}: {found} {expected}");
            }
        }
    }

    #[test]
    fn keys_are_what_their_codes_say(seed: u64, half in 1usize..20, log in 0u32..6) {
        let (n, block) = (2 * half, 1usize << log);
        let (cosines, mean) = (cosines(block), numbers(seed, n));
        let rows = 1 + seed as usize % half;
        let places: Vec<(usize, u16)> = (0..block)
            .flat_map(|f| (0..rows).filter(move |&r| is_present(r, f)).map(move |r| (f, r as u16)))
            .collect();
        prop_assume!(!places.is_empty());
        let bits: Vec<u8> = places.iter().map(|&(f, r)| 1 + ((seed as usize + 3 * f + usize::from(r)) % 5) as u8).collect();
        let mut codes = Codes::new(seed + 1, &bits, TWO);
        codes.pairs.iter_mut().zip(&places).for_each(|(pair, &(_, row))| pair.place = row);
        let starts: Vec<u32> = (0..=block).map(|f| places.partition_point(|p| p.0 < f) as u32).collect();
        let bytes: Vec<i8> = numbers(seed + 2, 2 * rows * n).iter().map(|x| (x * 127.0) as i8).collect();
        let byte = |row: usize, c: usize| i32::from(bytes[row * n + c]);
        let directions: Vec<i32> = (0..rows)
            .flat_map(|r| (0..padded(n)).map(move |c| (r, c)))
            .map(|(r, c)| if c < n { byte(2 * r + 1, c) << 16 | byte(2 * r, c) & 0xFFFF } else { 0 })
            .collect();
        let steps: Vec<f32> = numbers(seed + 3, block).iter().map(|x| 0.5 + x.abs() / 2.0).collect();
        let (pairs, starts) = (&codes.pairs, &starts);
        let tile = KeyTile { pairs, starts, steps: &steps, directions: &directions, mean: &mean, cosines: &cosines };
        let tables = TrellisTables::new();
        let values: Vec<Vec<Vector>> = (0..TWO).map(|s| codes.values(s)).collect();
        for isa in Isa::available() {
            let mut out = vec![[f32::NAN; LANES]; TWO * padded(n) * block];
            key_channels(isa, tile, [codes.words(0), codes.words(1)], tables.pairs(), &mut out);
            for (s, out) in out.chunks_exact(padded(n) * block).enumerate() {
                for (channel, t) in (0..n).flat_map(|c| (0..block).map(move |t| (c, t))) {
                    let lane = (channel + t) % LANES;
                    let part = |(i, &(f, row)): (usize, &(usize, u16))| {
                        let value = |half: usize| {
                            f64::from(values[s][2 * i + half][lane]) * f64::from(byte(2 * usize::from(row) + half, channel))
                        };
                        (value(0) + value(1)) * f64::from(steps[f] * cosines[f * block + t])
                    };
                    let expected = f64::from(mean[channel]) + places.iter().enumerate().map(part).sum::<f64>();
                    let got = f64::from(out[(channel / RUN * block + t) * RUN + channel % RUN][lane]);
                    // Integers up to some 10^8 in singles.
                    prop_assert!((got - expected).abs() < 200.0, "{isa}: {got} {expected}");
                }
            }
        }
    }

    /// Against keys rebuilt and turned in `f64`, up to what the head of `slow.rs` says is left out.
    #[test]
    fn slow_scores_are_dot_products_of_turned_keys(
        seed: u64,
        half in 1usize..20,
        log in 0u32..6,
        heads in 1usize..9,
        hardly: bool,
        fastest in 0.0..1.0f64,
    ) {
        let (n, block, dim) = (2 * half, 1usize << log, 2 * half + 4);
        let (first, turning) = (seed as usize % 3, if hardly { Turning::Hardly } else { Turning::Slowly });
        let most = fastest * if hardly { 0.15 } else { 0.5 } / (LANES * block / 2) as f64;
        let frequencies: Vec<f64> = (0..dim / 2).map(|p| most * 0.8f64.powi(p as i32)).collect();
        // Perhaps no direction at all: then there is the mean alone.
        let rows = seed as usize % (half + 1);
        let places: Vec<(usize, u16)> = (0..block)
            .flat_map(|f| (0..rows).filter(move |&r| is_present(r, f)).map(move |r| (f, r as u16)))
            .collect();
        let bits: Vec<u8> = places.iter().map(|&(f, r)| 1 + ((seed as usize + 3 * f + usize::from(r)) % 5) as u8).collect();
        let mut codes = Codes::new(seed + 1, &bits, TWO);
        codes.pairs.iter_mut().zip(&places).for_each(|(pair, &(_, row))| pair.place = row);
        let starts: Vec<u32> = (0..=block).map(|f| places.partition_point(|p| p.0 < f) as u32).collect();
        // The last pair of directions may be half a pair.
        let directions = (2 * rows).saturating_sub(seed as usize % 2);
        let mut bytes: Vec<i8> = numbers(seed + 2, 2 * rows * n).iter().map(|x| (x * 127.0) as i8).collect();
        bytes[directions * n..].fill(0);
        let steps: Vec<f32> = numbers(seed + 3, block).iter().map(|x| 0.5 + x.abs() / 2.0).collect();
        // In the steps of coded values, and larger than what is coded.
        let mean: Vec<f32> = numbers(seed + 4, n).iter().map(|x| x * 3e7).collect();
        let queries = numbers(seed + 5, TWO * heads * dim);
        let (tables, nodes, cosines) = (TrellisTables::new(), SlowNodes::new(block), cosines(block));
        let mut columns = vec![1.0; 3];
        slow_columns(&bytes[..directions * n], &mean, &frequencies[first..first + half], &mut columns);
        let (pairs, columns) = (&codes.pairs, &columns[3..]);
        let tile =
            SlowTile { pairs, starts: &starts, steps: &steps, columns, turning, nodes: &nodes, directions, channels: n };
        let turns: Vec<f32> = nodes
            .positions(turning)
            .iter()
            .flat_map(|x| [f64::cos, f64::sin].map(|of| frequencies.iter().map(move |f| of(f * x) as f32)))
            .flatten()
            .collect();
        let values: Vec<Vec<Vector>> = (0..TWO).map(|s| codes.values(s)).collect();
        // A coded channel and the whole one.
        let key = |s: usize, lane: usize, t: usize, channel: usize| -> [f64; 2] {
            let part = |(i, &(f, row)): (usize, &(usize, u16))| {
                let value = |half: usize| {
                    let byte = bytes[(2 * usize::from(row) + half) * n + channel];
                    f64::from(values[s][2 * i + half][lane]) * f64::from(byte)
                };
                (value(0) + value(1)) * f64::from(steps[f] * cosines[f * block + t])
            };
            let coded: f64 = places.iter().enumerate().map(part).sum();
            [coded, coded + f64::from(mean[channel])]
        };
        let angle = |b: f64| b * block as f64 / (LANES * block / 2) as f64 / 2.0;
        let b = most * (LANES * block / 2) as f64;
        let (a, between) = (angle(b), if hardly { b.powi(3) / 24.0 } else { b.powi(5) / 1920.0 });
        let left_out = [if hardly { a } else { a * a / 2.0 } + between + 1e-3, a.powi(3) / 6.0 + between + 1e-6];
        for isa in Isa::available() {
            let a_superblock = turning.nodes() * heads * n;
            let mut at_nodes = vec![f32::NAN; TWO * a_superblock];
            for (queries, out) in queries.chunks_exact(heads * dim).zip(at_nodes.chunks_exact_mut(a_superblock)) {
                queries_of_nodes(isa, queries, &turns, (dim, first..first + half), out);
            }
            let [a, b] = SlowSpectra::sizes(heads, block);
            let (mut spectra, mut means, mut work) = (vec![[0.0; LANES]; a], vec![[0.0; LANES]; b], Vec::new());
            let out = SlowSpectra { spectra: &mut spectra, means: &mut means };
            let words = [codes.words(0), codes.words(1)];
            add_slow_spectra(isa, tile, words, tables.pairs(), &at_nodes, &mut work, out);
            for s in 0..TWO {
                let stride = block + 1;
                let mut scores = vec![[1e6; LANES]; heads * stride];
                let from = SlowSpectra { spectra: &mut spectra, means: &mut means };
                add_slow_scores(isa, from, (s, turning), &cosines, &mut scores, stride);
                for (t, lane) in (0..block).step_by(block.div_ceil(4)).flat_map(|t| [0, 6, 15].map(|lane| (t, lane))) {
                    let keys: Vec<[f64; 2]> = (0..n).map(|channel| key(s, lane, t, channel)).collect();
                    for head in 0..heads {
                        let q = |i: usize| f64::from(queries[(s * heads + head) * dim + first + i]);
                        let (mut expected, mut sizes) = (1e6, [0.0; 2]);
                        for p in 0..half {
                            let (sin, cos) = ((lane * block + t) as f64 * frequencies[first + p]).sin_cos();
                            let (x, y) = (keys[p][1], keys[half + p][1]);
                            expected += q(p) * (x * cos - y * sin) + q(dim / 2 + p) * (y * cos + x * sin);
                            let query = q(p).hypot(q(dim / 2 + p));
                            for (i, size) in sizes.iter_mut().enumerate() {
                                *size += query * keys[p][i].hypot(keys[half + p][i]);
                            }
                        }
                        let allowed = left_out[0] * sizes[0] + left_out[1] * (sizes[0] + sizes[1]);
                        let got = f64::from(scores[head * stride + t][lane]);
                        prop_assert!((got - expected).abs() <= allowed, "{isa}: {got} {expected} {allowed}");
                    }
                    prop_assert_eq!(scores[block], [1e6; LANES]);
                }
            }
        }
    }

    #[test]
    fn outputs_are_weighted_sums_of_tokens(
        seed: u64, rows in 1usize..20, log in 1u32..6, heads in 1usize..14, superblocks in 1..=TOGETHER,
    ) {
        let block = 1usize << log;
        let cosines = cosines(block);
        let places: Vec<(u16, u16)> = (0..rows)
            .flat_map(|r| (0..block / 2).filter(move |&g| is_present(r, g)).map(move |g| (r as u16, g as u16)))
            .collect();
        prop_assume!(!places.is_empty());
        let bits: Vec<u8> = places.iter().map(|&(r, g)| 1 + ((seed as usize + usize::from(r + 5 * g)) % 5) as u8).collect();
        let mut codes = Codes::new(seed, &bits, TOGETHER);
        codes.pairs.iter_mut().zip(&places).for_each(|(pair, &(_, g))| pair.place = g);
        let directions: Vec<Direction> = places
            .chunk_by(|a, b| a.0 == b.0)
            .map(|run| Direction { row: run[0].0, pairs: run.len() as u16, step: 1e-4 + 1e-6 * f32::from(run[0].0) })
            .collect();
        let tables = TrellisTables::new();
        let mut weights: Vec<Vector> =
            vectors(seed + 1, heads * TOGETHER * block).into_iter().map(|x| x.map(f32::abs)).collect();
        // Superblocks that are not there weigh nothing.
        weights.chunks_exact_mut(TOGETHER * block).for_each(|head| head[superblocks * block..].fill([0.0; LANES]));
        let values: Vec<Vec<Vector>> = (0..TOGETHER).map(|s| codes.values(s)).collect();
        let stride = rows + 3;
        let from = seed as usize % heads;
        for isa in Isa::available() {
            let (mut spectra, mut steps) = (vec![[7; LANES]; weights.len() / 2], vec![f32::NAN; heads]);
            weight_spectra(isa, &mut weights.clone(), &cosines, &mut spectra, &mut steps);
            let mut out = vec![0.5; (heads - from) * stride];
            let all = WeightSpectra { spectra: &spectra, steps: &steps, heads: (from, heads) };
            let tile = ValueTile { pairs: &codes.pairs, first: 0, directions: &directions, superblocks };
            let words = std::array::from_fn(|s| codes.words(s));
            add_outputs(isa, tile, words, tables.pairs(), all, (&mut out, stride));
            for head in from..heads {
                let mut expected = vec![0.5; stride];
                let mut size = 0.0;
                for (s, (t, lane)) in (0..TOGETHER)
                    .flat_map(|s| (0..block).flat_map(move |t| (0..LANES).map(move |lane| (s, (t, lane)))))
                {
                    let weight = f64::from(weights[(head * TOGETHER + s) * block + t][lane]);
                    for (i, &(row, g)) in places.iter().enumerate() {
                        let part = |half: usize| {
                            let cosine = cosines[(2 * usize::from(g) + half) * block + t];
                            f64::from(values[s][2 * i + half][lane]) * f64::from(cosine)
                        };
                        let value = (part(0) + part(1)) * f64::from(1e-4 + 1e-6 * f32::from(row));
                        expected[usize::from(row)] += weight * value;
                        size += value * value;
                    }
                }
                // Weights' harmonics are rounded to fractions of the largest: half a step each, at random.
                let allowed = 6.0 * f64::from(steps[head]) / 12f64.sqrt() * size.sqrt() + 1e-3;
                for (got, expected) in out[(head - from) * stride..][..stride].iter().zip(&expected) {
                    prop_assert!((f64::from(*got) - expected).abs() < allowed, "{isa}: {got} {expected} {allowed}");
                }
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
