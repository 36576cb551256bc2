//! Decode attention over spectral caches on a GPU against `f64`, over random codes. Where there is none, nothing is
//! computed.

mod support;

use fourier_kv_cuda::attention::Heads;
use fourier_kv_cuda::attention::spectral::{
    BLOCK, Back, Codes, Coefficients, KEY_TILE, SUPERBLOCK, SpectralAttention, SpectralPast, SpectralSizes,
    SpectralTables,
};
use fourier_kv_spectral::dct::Dct;
use fourier_kv_spectral::trellis::{LANES, decode, unpack};
use support::whole::{Whole, upload};
use support::{Numbers, distance, softmax_sum};

/// Coefficients are halves here, queries and weights too.
const CLOSE: f64 = 4e-3;

/// Coefficients of one side, in the order of its stream.
#[derive(Default)]
struct Side {
    bits: Vec<u8>,
    sizes: Vec<f32>,
    places: Vec<u16>,
    starts: Vec<u32>,
}

impl Side {
    /// Random bits and sizes of `parts` times `places` coefficients, those that get bits.
    fn random(numbers: &mut Numbers, parts: usize, places: impl Fn(usize) -> usize, count: usize) -> Self {
        let mut side = Side { starts: vec![0], ..Side::default() };
        for _ in 0..parts {
            for i in 0..count {
                let bits = [0, 0, 0, 1, 1, 2, 2, 3, 4, 8][numbers.below(10)];
                if bits > 0 {
                    side.bits.push(bits);
                    side.sizes.push((numbers.normal() * 0.7).exp() as f32);
                    side.places.push(places(i) as u16);
                }
            }
            side.starts.push(side.bits.len() as u32);
        }
        side
    }

    fn view(&self) -> Coefficients<'_> {
        Coefficients { bits: &self.bits, sizes: &self.sizes, places: &self.places, starts: &self.starts }
    }

    /// Dense coefficients of a part of each of a superblock's lanes: `[16][places]`.
    fn dense(&self, words: &[u32], part: usize, places: usize) -> Vec<Vec<f64>> {
        let symbols = unpack(words, &self.bits);
        let own = self.starts[part] as usize..self.starts[part + 1] as usize;
        let lane = |lane: usize| {
            let symbols: Vec<u8> = symbols.iter().skip(lane).step_by(LANES).copied().collect();
            let values = decode(&symbols, &self.bits);
            let mut dense = vec![0.0; places];
            for i in own.clone() {
                dense[usize::from(self.places[i])] = values[i] * f64::from(self.sizes[i]);
            }
            dense
        };
        (0..LANES).map(lane).collect()
    }
}

/// A coded past on the host: tables and codes.
struct Coded {
    sizes: SpectralSizes,
    frequencies: Vec<f64>,
    sides: [Side; 2],
    key_back: Vec<f32>,
    key_means: Vec<f32>,
    value_back: Vec<f32>,
    value_means: Vec<f32>,
}

impl Coded {
    fn random(numbers: &mut Numbers, sizes: SpectralSizes) -> Self {
        let Heads { kv_heads, head_dim, .. } = sizes.heads;
        let keys = Side::random(numbers, kv_heads, |i| i, head_dim * BLOCK);
        let values = Side::random(numbers, sizes.value_tiles(), |i| i, sizes.channels() * BLOCK);
        let mut random = |count: usize, deviation: f64| numbers.f32(count, deviation);
        Coded {
            frequencies: (0..head_dim / 2).map(|i| 1e4f64.powf(-2.0 * i as f64 / head_dim as f64)).collect(),
            sides: [keys, values],
            key_back: random(kv_heads * head_dim * KEY_TILE, 0.2),
            key_means: random(kv_heads * head_dim, 1.0),
            value_back: random(kv_heads * sizes.channels() * head_dim, 0.1),
            value_means: random(kv_heads * head_dim, 0.02),
            sizes,
        }
    }

    fn back(&self) -> Back<'_> {
        Back {
            keys: &self.key_back,
            key_means: &self.key_means,
            values: &self.value_back,
            value_means: &self.value_means,
        }
    }

    /// Dim of a head that channel `i` of a tile of keys is.
    fn dim_of(&self, tile: usize, i: usize) -> usize {
        let half = self.sizes.heads.head_dim / 2;
        let pair = tile * KEY_TILE / 2 + i % (KEY_TILE / 2);
        if i < KEY_TILE / 2 { pair } else { half + pair }
    }

    /// Keys `[16 BLOCK][D]` of head `g` of a superblock, with RoPE from position `first` on.
    fn keys(&self, words: &[u32], g: usize, first: usize) -> Vec<f64> {
        let dim = self.sizes.heads.head_dim;
        let mut rows = vec![0.0; SUPERBLOCK * dim];
        for (lane, dense) in self.sides[0].dense(words, g, dim * BLOCK).iter().enumerate() {
            for tile in 0..dim / KEY_TILE {
                let own = g * dim / KEY_TILE + tile;
                for i in 0..KEY_TILE {
                    let back = |r: usize| f64::from(self.key_back[(own * KEY_TILE + r) * KEY_TILE + i]);
                    let at = |f: usize, r: usize| dense[(tile * BLOCK + f) * KEY_TILE + r];
                    let harmonics: Vec<f64> =
                        (0..BLOCK).map(|f| (0..KEY_TILE).map(|r| at(f, r) * back(r)).sum()).collect();
                    for (t, x) in Dct::new(BLOCK).unwrap().inverse(&harmonics).iter().enumerate() {
                        let mean = f64::from(self.key_means[own * KEY_TILE + i]);
                        rows[(lane * BLOCK + t) * dim + self.dim_of(tile, i)] = x + mean;
                    }
                }
            }
        }
        for (t, row) in rows.chunks_exact_mut(dim).enumerate() {
            for (i, frequency) in self.frequencies.iter().enumerate() {
                let (sin, cos) = (frequency * (first + t) as f64).sin_cos();
                let (x, y) = (row[i], row[dim / 2 + i]);
                (row[i], row[dim / 2 + i]) = (x * cos - y * sin, x * sin + y * cos);
            }
        }
        rows
    }

    /// Values `[16 BLOCK][D]` of head `g` of a superblock.
    fn values(&self, words: &[u32], g: usize) -> Vec<f64> {
        let (dim, channels) = (self.sizes.heads.head_dim, self.sizes.channels());
        let mut rows = vec![0.0; SUPERBLOCK * dim];
        let dct = Dct::new(BLOCK).unwrap();
        for (lane, dense) in self.sides[1].dense(words, g / self.sizes.value_heads, channels * BLOCK).iter().enumerate()
        {
            let times: Vec<Vec<f64>> = dense.chunks_exact(BLOCK).map(|row| dct.inverse(row)).collect();
            for t in 0..BLOCK {
                for d in 0..dim {
                    let back = |r: usize| f64::from(self.value_back[(g * channels + r) * dim + d]);
                    let sum: f64 = (0..channels).map(|r| times[r][t] * back(r)).sum();
                    rows[(lane * BLOCK + t) * dim + d] = sum + f64::from(self.value_means[g * dim + d]);
                }
            }
        }
        rows
    }
}

/// The largest distance of any row's output from rebuild-then-attend in `f64`.
fn error(sizes: SpectralSizes, counts: &[(usize, usize)], first: usize, seed: u64) -> Option<f64> {
    let device = support::device()?;
    let Heads { heads, head_dim, .. } = sizes.heads;
    let mut numbers = Numbers(seed);
    let coded = Coded::random(&mut numbers, sizes);
    let attention = SpectralAttention::new(&device, sizes, &coded.frequencies).unwrap();
    let [keys, values] = &coded.sides;
    let tables = SpectralTables::new(&device, &sizes, keys.view(), values.view(), coded.back()).unwrap();
    let [key_words, value_words] = tables.words();
    let room = key_words + value_words + 3;
    let host: Vec<Vec<u32>> = counts
        .iter()
        .map(|&(count, _)| {
            let words = (count.div_ceil(SUPERBLOCK) * room + 1) * LANES;
            (0..words).map(|_| numbers.bits() as u32).collect()
        })
        .collect();
    let codes: Vec<Codes> = counts
        .iter()
        .zip(&host)
        .map(|(&(count, _), words)| Codes { words: device.upload(words).unwrap(), room, count, first })
        .collect();
    let views: Vec<_> = codes.iter().map(|codes| tables.view(codes).unwrap()).collect();
    let whole: Vec<_> = counts.iter().map(|&(_, count)| Whole::random(&mut numbers, sizes.heads, count)).collect();
    let queries = numbers.f32(counts.len() * heads * head_dim, 0.5);
    let (views, uploaded) = (device.upload(&views).unwrap(), upload(&device, &whole));
    let q = device.upload(&queries).unwrap();
    let mut out = device.upload(&vec![f32::NAN; queries.len()]).unwrap();
    let longest = counts.iter().map(|&(count, _)| count).max().unwrap_or(0);
    let mut work = attention.work(&device, counts.len(), longest, 100).unwrap();
    let past = SpectralPast { queries: &q, coded: &views, whole: &uploaded.views };
    attention.attend(&device, past, &mut work, &mut out).unwrap();
    let out = out.read().unwrap();

    let mut worst: f64 = 0.0;
    for (b, (&(count, _), words)) in counts.iter().zip(&host).enumerate() {
        for g in 0..sizes.heads.kv_heads {
            let (mut k, mut v) = (vec![], vec![]);
            for superblock in 0..count.div_ceil(SUPERBLOCK) {
                let own = &words[superblock * room * LANES..];
                k.extend(coded.keys(&own[..key_words * LANES], g, first + superblock * SUPERBLOCK));
                v.extend(coded.values(&own[key_words * LANES..][..value_words * LANES], g));
            }
            k.truncate(count * head_dim);
            for h in g * sizes.heads.group()..(g + 1) * sizes.heads.group() {
                let row = b * heads + h;
                let q = &queries[row * head_dim..][..head_dim];
                let dot = |k: &[f64]| q.iter().zip(k).map(|(&a, b)| f64::from(a) * b).sum::<f64>();
                let mut scores: Vec<f64> = k.chunks(head_dim).map(|k| dot(k) / (head_dim as f64).sqrt()).collect();
                scores.extend(whole[b].scores(sizes.heads, g, q));
                let expected = softmax_sum(&scores, head_dim, |t, d| match t.checked_sub(count) {
                    None => v[t * head_dim + d],
                    Some(t) => whole[b].row(&whole[b].values, sizes.heads, g, t, d),
                });
                worst = worst.max(distance(&out[row * head_dim..][..head_dim], &expected));
            }
        }
    }
    Some(worst)
}

#[test]
fn spectral_attention_is_that_of_the_rebuilt_past_in_f64() {
    let heads = |heads, kv_heads, head_dim| Heads { heads, kv_heads, head_dim };
    for (i, (heads, value_heads)) in [
        (heads(8, 2, 128), 2),
        (heads(8, 2, 128), 1),
        (heads(9, 3, 64), 1),
        (heads(14, 2, 64), 1),
        (heads(4, 4, 96), 2),
    ]
    .into_iter()
    .enumerate()
    {
        let sizes = SpectralSizes { heads, value_heads };
        let counts: &[_] = if i == 0 { &[(1024, 70), (0, 5), (16, 0), (688, 130)] } else { &[(528, 33)] };
        let Some(off) = error(sizes, counts, [4, 20_000][i % 2], 100 + i as u64) else { return };
        assert!(off < CLOSE, "{sizes:?}: {off}");
    }
}

#[test]
fn tables_that_do_not_fit_are_refused() {
    let heads = Heads { heads: 8, kv_heads: 2, head_dim: 128 };
    assert!(SpectralSizes { heads, value_heads: 2 }.check().is_ok());
    assert!(SpectralSizes { heads, value_heads: 3 }.check().is_err());
    assert!(SpectralSizes { heads, value_heads: 0 }.check().is_err());
    let wide = Heads { heads: 24, ..heads };
    assert!(SpectralSizes { heads: wide, value_heads: 1 }.check().is_err());
    let Some(device) = support::device() else { return };
    let sizes = SpectralSizes { heads, value_heads: 2 };
    let coded = Coded::random(&mut Numbers(1), sizes);
    let [keys, values] = [coded.sides[0].view(), coded.sides[1].view()];
    let new = |keys, values, back| SpectralTables::new(&device, &sizes, keys, values, back).map(|_| ());
    assert!(new(keys, values, coded.back()).is_ok());
    let bits = vec![9; keys.bits.len()];
    assert!(new(Coefficients { bits: &bits, ..keys }, values, coded.back()).is_err());
    assert!(new(Coefficients { sizes: &keys.sizes[1..], ..keys }, values, coded.back()).is_err());
    assert!(new(Coefficients { starts: &[0, 1], ..keys }, values, coded.back()).is_err());
    let places = vec![128 * 16; keys.places.len()];
    assert!(new(Coefficients { places: &places, ..keys }, values, coded.back()).is_err());
    assert!(new(keys, values, Back { keys: &[], ..coded.back() }).is_err());
}
