//! Decode attention on a GPU against `f64`, over random shapes. Where there is none, nothing is computed.

mod support;

use fourier_kv_cuda::attention::Heads;
use fourier_kv_cuda::attention::exact::ExactAttention;
use fourier_kv_cuda::attention::fourier::{FourierAttention, FourierMiddle, FourierPast, FourierSizes};
use fourier_kv_cuda::attention::prompt::PromptAttention;
use fourier_kv_cuda::attention::seal::{FourierSeal, Leaving};
use fourier_kv_cuda::{Buffer, Device};
use half::bf16;
use support::whole::{Whole, upload};
use support::{Circle, Numbers, distance, softmax_sum};

/// What rounding keys, values, queries and weights to `bf16` or halves once each may cost.
const CLOSE: f64 = 4e-3;

fn shapes() -> [Heads; 5] {
    let heads = |heads, kv_heads, head_dim| Heads { heads, kv_heads, head_dim };
    [heads(8, 2, 128), heads(9, 3, 64), heads(14, 2, 64), heads(8, 1, 128), heads(4, 4, 96)]
}

#[test]
fn exact_attention_is_that_of_f64() {
    let Some(device) = support::device() else { return };
    let mut numbers = Numbers(1);
    for heads in shapes() {
        let attention = ExactAttention::new(&device, heads).unwrap();
        for counts in [vec![1, 0, 63, 64], vec![65, 1000, 2], vec![4097]] {
            let all: Vec<_> = counts.iter().map(|&count| Whole::random(&mut numbers, heads, count)).collect();
            let queries = numbers.f32(all.len() * heads.heads * heads.head_dim, 2.0);
            let uploaded = upload(&device, &all);
            let mut work = attention.work(&device, all.len()).unwrap();
            let mut out = device.upload(&vec![f32::NAN; queries.len()]).unwrap();
            let q = device.upload(&queries).unwrap();
            attention.attend(&device, &q, &uploaded.views, &mut work, &mut out).unwrap();
            let out = out.read().unwrap();
            for (row, q) in queries.chunks(heads.head_dim).enumerate() {
                let (whole, g) = (&all[row / heads.heads], row % heads.heads / heads.group());
                let expected = softmax_sum(&whole.scores(heads, g, q), heads.head_dim, |t, d| {
                    whole.row(&whole.values, heads, g, t, d)
                });
                let off = distance(&out[row * heads.head_dim..][..heads.head_dim], &expected);
                assert!(off < CLOSE, "{heads:?}, {} tokens, row {row}: {off}", whole.count);
            }
        }
    }
}

/// One side of a middle, on the host.
struct Side {
    /// `[G][D]`: the spectral dims, then the exact ones.
    dims: Vec<u16>,
    /// `[G][tracks][2][N]`.
    spectra: Vec<bf16>,
    /// `[G][tracks]`.
    means: Vec<f32>,
    /// `[G][capacity][width]`.
    exact: Vec<bf16>,
    tracks: usize,
    width: usize,
}

impl Side {
    fn random(numbers: &mut Numbers, sizes: &FourierSizes, values: bool, period: usize, capacity: usize) -> Self {
        let Heads { kv_heads, head_dim, .. } = sizes.heads;
        let tracks = if values { sizes.value_tracks } else { sizes.key_tracks };
        let width = sizes.widths()[usize::from(values)];
        let deviation = period as f64 / (2.0 * (sizes.harmonics as f64).sqrt());
        let mut exact = numbers.bf16(kv_heads * capacity * width, 1.0);
        for (i, x) in exact.iter_mut().enumerate() {
            if i % width.max(1) >= head_dim - tracks {
                *x = bf16::ZERO;
            }
        }
        Side {
            dims: (0..kv_heads).flat_map(|_| numbers.permutation(head_dim)).collect(),
            spectra: numbers.bf16(kv_heads * tracks * 2 * sizes.harmonics, deviation),
            means: numbers.f32(kv_heads * tracks, 1.0),
            exact,
            tracks,
            width,
        }
    }

    /// `[count][D]` of a head, rebuilt.
    fn rebuilt(&self, sizes: &FourierSizes, circle: &Circle, capacity: usize, g: usize, count: usize) -> Vec<f64> {
        let dim = sizes.heads.head_dim;
        let mut rows = vec![0.0; count * dim];
        for i in 0..dim {
            let d = usize::from(self.dims[g * dim + i]);
            if i < self.tracks {
                let track = g * self.tracks + i;
                let n = 2 * sizes.harmonics;
                let spectrum: Vec<f64> = self.spectra[track * n..][..n].iter().map(|x| x.to_f64()).collect();
                for (t, x) in circle.rebuild(&spectrum, count).iter().enumerate() {
                    rows[t * dim + d] = x + f64::from(self.means[track]);
                }
            } else {
                for t in 0..count {
                    rows[t * dim + d] = self.exact[(g * capacity + t) * self.width + i - self.tracks].to_f64();
                }
            }
        }
        rows
    }
}

/// A middle on the host.
struct Middle {
    sides: [Side; 2],
    count: usize,
    capacity: usize,
}

impl Middle {
    fn random(numbers: &mut Numbers, sizes: &FourierSizes, period: usize, count: usize) -> Self {
        let capacity = count + numbers.below(5);
        let mut side = |values| Side::random(numbers, sizes, values, period, capacity);
        Middle { sides: [side(false), side(true)], count, capacity }
    }

    fn upload(&self, device: &Device, sizes: &FourierSizes) -> FourierMiddle {
        let mut middle = FourierMiddle::new(device, sizes, self.capacity).unwrap();
        for (i, side) in self.sides.iter().enumerate() {
            middle.exact[i].write(&side.exact).unwrap();
            middle.spectra[i].write(&side.spectra).unwrap();
            middle.means[i].write(&side.means).unwrap();
            middle.dims[i].write(&side.dims).unwrap();
        }
        middle
    }
}

/// The largest distance of any row's output from rebuild-then-attend in `f64`.
fn fourier_error(device: &Device, sizes: FourierSizes, period: usize, counts: &[(usize, usize)], seed: u64) -> f64 {
    let Heads { heads, head_dim, .. } = sizes.heads;
    let mut numbers = Numbers(seed);
    let middles: Vec<_> =
        counts.iter().map(|&(count, _)| Middle::random(&mut numbers, &sizes, period, count)).collect();
    let whole: Vec<_> = counts.iter().map(|&(_, count)| Whole::random(&mut numbers, sizes.heads, count)).collect();
    let queries = numbers.f32(counts.len() * heads * head_dim, 1.0);

    let attention = FourierAttention::new(device, sizes).unwrap();
    let tables = FourierSeal::new(device, sizes).unwrap().tables(device, period).unwrap();
    let held: Vec<_> = middles.iter().map(|m| m.upload(device, &sizes)).collect();
    let views: Vec<_> = held.iter().zip(&middles).map(|(m, host)| m.view(&tables, host.count).unwrap()).collect();
    let (views, uploaded) = (device.upload(&views).unwrap(), upload(device, &whole));
    let q = device.upload(&queries).unwrap();
    let mut out = device.upload(&vec![f32::NAN; queries.len()]).unwrap();
    let mut work = attention.work(device, counts.len(), 1024).unwrap();
    let past = FourierPast { queries: &q, middles: &views, whole: &uploaded.views };
    attention.attend(device, past, &mut work, &mut out).unwrap();
    let out = out.read().unwrap();

    let circle = Circle::new(period);
    let mut worst: f64 = 0.0;
    for (b, (middle, whole)) in middles.iter().zip(&whole).enumerate() {
        for g in 0..sizes.heads.kv_heads {
            let [keys, values] =
                [0, 1].map(|i| middle.sides[i].rebuilt(&sizes, &circle, middle.capacity, g, middle.count));
            for h in g * sizes.heads.group()..(g + 1) * sizes.heads.group() {
                let row = b * heads + h;
                let q = &queries[row * head_dim..][..head_dim];
                let dot = |k: &[f64]| q.iter().zip(k).map(|(&a, b)| f64::from(a) * b).sum::<f64>();
                let mut scores: Vec<f64> = keys.chunks(head_dim).map(|k| dot(k) / (head_dim as f64).sqrt()).collect();
                scores.extend(whole.scores(sizes.heads, g, q));
                let expected = softmax_sum(&scores, head_dim, |t, d| match t.checked_sub(middle.count) {
                    None => values[t * head_dim + d],
                    Some(t) => whole.row(&whole.values, sizes.heads, g, t, d),
                });
                worst = worst.max(distance(&out[row * head_dim..][..head_dim], &expected));
            }
        }
    }
    worst
}

#[test]
fn fourier_attention_is_that_of_the_rebuilt_past_in_f64() {
    let Some(device) = support::device() else { return };
    for (i, heads) in shapes().into_iter().enumerate() {
        let d = heads.head_dim;
        for (j, (harmonics, key_tracks, value_tracks)) in
            [(256, d * 3 / 4 + 1, d * 3 / 4 + 1), (512, d * 9 / 10, d * 19 / 20), (256, d / 2, d * 7 / 10), (256, d, d)]
                .into_iter()
                .enumerate()
        {
            let sizes = FourierSizes { heads, harmonics, key_tracks, value_tracks };
            let seed = (10 * i + j) as u64;
            let counts: &[_] = if j == 0 { &[(1500, 70), (0, 5), (1, 0), (1536, 0)] } else { &[(1030, 70)] };
            let off = fourier_error(&device, sizes, 1536, counts, seed);
            assert!(off < CLOSE, "{sizes:?}: {off}");
        }
    }
}

#[test]
fn prompt_attention_is_that_of_f64() {
    let Some(device) = support::device() else { return };
    let mut numbers = Numbers(3);
    for heads in shapes() {
        let attention = PromptAttention::new(&device, heads).unwrap();
        for (before, count) in [(0, 1), (0, 33), (0, 200), (77, 128), (500, 130)] {
            let whole = Whole::random(&mut numbers, heads, before + count);
            let queries = numbers.bf16(count * heads.heads * heads.head_dim, 2.0);
            let uploaded = upload(&device, std::slice::from_ref(&whole));
            let mut out = device.upload(&vec![bf16::NAN; queries.len()]).unwrap();
            let q = device.upload(&queries).unwrap();
            let past = uploaded.host[0];
            attention.attend(&device, &q, past, count, &mut out).unwrap();
            let out: Vec<f32> = out.read().unwrap().iter().map(|x| x.to_f32()).collect();
            for (row, q) in queries.chunks(heads.head_dim).enumerate() {
                let (t, g) = (row / heads.heads, row % heads.heads / heads.group());
                let q: Vec<f32> = q.iter().map(|x| x.to_f32()).collect();
                let scores = whole.scores(heads, g, &q);
                let expected = softmax_sum(&scores[..=before + t], heads.head_dim, |t, d| {
                    whole.row(&whole.values, heads, g, t, d)
                });
                let off = distance(&out[row * heads.head_dim..][..heads.head_dim], &expected);
                assert!(off < 2.0 * CLOSE, "{heads:?}, {count} after {before}, row {row}: {off}");
            }
        }
    }
}

/// The error of stored numbers that should be `expected`, relative to those.
fn stored_error(stored: &Buffer<bf16>, expected: &[f64]) -> f64 {
    let stored: Vec<f32> = stored.read().unwrap().iter().map(|x| x.to_f32()).collect();
    distance(&stored, expected)
}

#[test]
fn sealing_and_growing_are_the_transform_of_f64() {
    let Some(device) = support::device() else { return };
    let heads = Heads { heads: 4, kv_heads: 2, head_dim: 64 };
    let sizes = FourierSizes { heads, harmonics: 256, key_tracks: 49, value_tracks: 62 };
    let (period, first, sealed, grown) = (1024, 4, 700, 150);
    let mut numbers = Numbers(5);
    let whole = Whole::random(&mut numbers, heads, first + sealed + grown);
    let uploaded = upload(&device, std::slice::from_ref(&whole));
    let seal = FourierSeal::new(&device, sizes).unwrap();
    let tables = seal.tables(&device, period).unwrap();
    let mut middle = FourierMiddle::new(&device, &sizes, sealed + grown).unwrap();
    let dims = [0, 1].map(|_| (0..2).flat_map(|_| numbers.permutation(64)).collect::<Vec<u16>>());
    for (side, dims) in dims.iter().enumerate() {
        middle.dims[side].write(dims).unwrap();
    }
    let leaving = Leaving { tokens: uploaded.host[0], first, count: sealed };
    seal.seal(&device, &mut middle, &tables, leaving).unwrap();
    let leaving = Leaving { first: first + sealed, count: grown, ..leaving };
    seal.grow(&device, &mut middle, &tables, sealed, leaving).unwrap();
    let more = Leaving { count: grown + 1, ..leaving };
    assert!(
        seal.grow(&device, &mut middle, &tables, sealed, more).is_err(),
        "one token more than there are: nothing is added"
    );

    let circle = Circle::new(period);
    for (side, rows) in [&whole.keys, &whole.values].into_iter().enumerate() {
        let (tracks, width) = ([sizes.key_tracks, sizes.value_tracks][side], sizes.widths()[side]);
        let (mut spectra, mut means, mut exact) = (vec![], vec![], vec![]);
        for g in 0..2 {
            let dims = &dims[side][g * 64..][..64];
            let at = |t: usize, d: u16| whole.row(rows, heads, g, first + t, usize::from(d));
            for &d in &dims[..tracks] {
                let mean = (0..sealed).map(|t| at(t, d)).sum::<f64>() / sealed as f64;
                let signal: Vec<f64> = (0..sealed + grown).map(|t| at(t, d) - mean).collect();
                spectra.extend(circle.transform(&signal, sizes.harmonics));
                means.push(mean);
            }
            for t in 0..sealed + grown {
                exact.extend(dims[tracks..].iter().map(|&d| at(t, d)));
                exact.extend(std::iter::repeat_n(0.0, width - (64 - tracks)));
            }
        }
        // Spectra are rounded to bf16 four times here; what is copied is exact.
        let off = stored_error(&middle.spectra[side], &spectra);
        assert!(off < 6e-3, "spectra of side {side}: {off}");
        assert_eq!(stored_error(&middle.exact[side], &exact), 0.0, "exact dims of side {side}");
        let off = distance(&middle.means[side].read().unwrap(), &means);
        assert!(off < 1e-5, "means of side {side}: {off}");
    }
}

#[test]
fn sizes_that_the_kernels_are_not_written_for_are_refused() {
    let heads = Heads { heads: 32, kv_heads: 8, head_dim: 128 };
    assert!(heads.check().is_ok());
    for wrong in [
        Heads { heads: 33, ..heads },
        Heads { kv_heads: 0, ..heads },
        Heads { kv_heads: 2, ..heads },
        Heads { head_dim: 80, ..heads },
        Heads { head_dim: 512, ..heads },
    ] {
        assert!(wrong.check().is_err(), "{wrong:?}");
    }
    let sizes = FourierSizes { heads, harmonics: 512, key_tracks: 97, value_tracks: 97 };
    assert!(sizes.check().is_ok());
    assert_eq!(sizes.widths(), [32, 32]);
    for wrong in [
        FourierSizes { harmonics: 500, ..sizes },
        FourierSizes { harmonics: 0, ..sizes },
        FourierSizes { key_tracks: 0, ..sizes },
        FourierSizes { value_tracks: 129, ..sizes },
    ] {
        assert!(wrong.check().is_err(), "{wrong:?}");
    }
}

#[test]
fn too_little_memory_is_an_error_that_names_what_was_asked_and_what_is_free() {
    let Some(device) = support::device() else { return };
    let asked = 4 * device.info().memory_bytes;
    let error = device.uninitialised::<u8>(asked).unwrap_err().to_string();
    assert!(error.contains(&format!("{asked} bytes were asked for")) && error.contains("are free"), "{error}");
    // The device can be used as before.
    assert_eq!(device.upload(&[1.0f32, 2.0]).unwrap().read().unwrap(), [1.0, 2.0]);
}
