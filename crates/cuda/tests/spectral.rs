//! Decode attention over spectral caches on a GPU against `f64`, over random codes. Where there is none, nothing is
//! computed.

mod support;

use fourier_kv_cuda::attention::Heads;
use fourier_kv_cuda::attention::spectral::{
    Back, Codes, Coefficients, SUPERBLOCK, SpectralAttention, SpectralPast, SpectralSizes, SpectralTables,
};
use fourier_kv_spectral::trellis::LANES;
use support::coded::Coded;
use support::whole::{Whole, upload};
use support::{Numbers, distance, softmax_sum};

/// Coefficients are halves here, queries and weights too.
const CLOSE: f64 = 4e-3;

/// Bits of a coefficient: all there are, most of them few.
fn random_bits(numbers: &mut Numbers, _: usize) -> u8 {
    [0, 0, 0, 1, 1, 2, 2, 3, 4, 8][numbers.below(10)]
}

/// Bits in runs, as harmonics have them: more than are kept in shared memory.
fn bits_in_runs(_: &mut Numbers, place: usize) -> u8 {
    [8, 7, 6, 5, 4, 4, 3, 3, 2, 2, 1, 1, 1, 0, 0, 0][place / 32 % 16]
}

/// The largest distance of any row's output from rebuild-then-attend in `f64`.
fn error(
    sizes: SpectralSizes,
    bits: fn(&mut Numbers, usize) -> u8,
    counts: &[(usize, usize)],
    first: usize,
    seed: u64,
) -> Option<f64> {
    let device = support::device()?;
    let Heads { heads, head_dim, .. } = sizes.heads;
    let mut numbers = Numbers(seed);
    let coded = Coded::random(&mut numbers, sizes, bits);
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
    let codes = |(&(count, _), words): (&(usize, usize), &Vec<u32>)| {
        let words = device.upload(words).unwrap();
        let words = attention.arrange(&device, &tables, (&words, room), count.div_ceil(SUPERBLOCK)).unwrap();
        Codes { words, count, first }
    };
    let codes: Vec<Codes> = counts.iter().zip(&host).map(codes).collect();
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
        for bits in [random_bits, bits_in_runs] {
            let Some(off) = error(sizes, bits, counts, [4, 20_000][i % 2], 100 + i as u64) else { return };
            support::say(&format!("{sizes:?}: {off:.1e}"));
            assert!(off < CLOSE, "{sizes:?}: {off}");
        }
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
    let coded = Coded::random(&mut Numbers(1), sizes, random_bits);
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
