//! Attention kernels against attention as it is defined, over random shapes.
//!
//! The Fourier kernel is compared with rebuilding: the kept spectrum is turned back into keys and values by the slow
//! definitions of the spectral crate, in `f64`, and those are attended to as they stand.

use fourier_kv_kernels::attention::Queries;
use fourier_kv_kernels::attention::exact::{ExactRegion, ExactScratch, Mask, attend_exact};
use fourier_kv_kernels::attention::fourier::{
    EXACT_BLOCK, FourierLayer, FourierRegion, FourierScratch, FourierSide, FourierTransforms, attend_fourier,
};
use fourier_kv_kernels::attention::state::{AttnRows, AttnRowsMut};
use fourier_kv_kernels::element::Element;
use fourier_kv_kernels::isa::Isa;
use fourier_kv_kernels::number::Number;
use fourier_kv_kernels::oracle;
use fourier_kv_kernels::team::Team;
use fourier_kv_kernels::transform::{LaneTransform, TimeTransform};
use fourier_kv_spectral::band::{PairBand, carrier_bin};
use fourier_kv_spectral::oracle as spectrum;
use fourier_kv_spectral::period::{fast_period, usable_harmonics};
use half::{bf16, f16};
use proptest::prelude::*;

/// Uniform numbers in -1 .. 1.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
    fn vec(&mut self, length: usize) -> Vec<f64> {
        (0..length).map(|_| self.next()).collect()
    }
}

fn cast<T: Element>(x: &[f64]) -> Vec<T> {
    x.iter().map(|&v| T::store::<f64>(v)).collect()
}

fn widen<T: Element>(x: &[T]) -> Vec<f64> {
    x.iter().map(|v| v.load::<f64>()).collect()
}

/// Largest difference, relative to the largest number expected (at least `floor`).
fn error(got: &[f64], expected: &[f64], floor: f64) -> f64 {
    let size = expected.iter().fold(floor, |m, v| m.max(v.abs()));
    got.iter().zip(expected).fold(0.0, |m: f64, (g, e)| if (g - e).is_nan() { f64::NAN } else { m.max((g - e).abs()) })
        / size
}

/// A middle of one head with its spectrum, and what rebuilding it gives.
struct Middle<C> {
    tokens: usize,
    harmonics: usize,
    period: usize,
    dim: usize,
    bands: Option<Vec<PairBand>>,
    keys: Side<C>,
    values: Side<C>,
    rebuilt_keys: Vec<f64>,
    rebuilt_values: Vec<f64>,
}

struct Side<C> {
    spectral: Vec<u16>,
    spectra: Vec<C>,
    mean: Vec<f64>,
    exact_dims: Vec<u16>,
    exact: Vec<C>,
}

#[derive(Clone, Debug)]
struct Shape {
    tokens: usize,
    spare: usize,
    harmonics: usize,
    pairs: usize,
    heads: usize,
    rows: usize,
    carrier: bool,
    /// 0: all dims exact, 1: all spectral, else mixed.
    mix: u8,
    seed: u64,
}

fn shapes() -> impl Strategy<Value = Shape> {
    let tokens = prop_oneof![Just(0usize), Just(1), 2usize..40, 60usize..200];
    let sizes = (0usize..30, 1usize..120, 1usize..9, 1usize..5, 1usize..4);
    (tokens, sizes, any::<bool>(), 0u8..6, any::<u64>()).prop_map(
        |(tokens, (spare, harmonics, pairs, heads, rows), carrier, mix, seed)| Shape {
            tokens,
            spare,
            harmonics,
            pairs,
            heads,
            rows,
            carrier,
            mix,
            seed,
        },
    )
}

impl<C: Element> Middle<C> {
    fn new(shape: &Shape, key_shift: f64, noise: &mut Noise) -> Self {
        let (m, dim) = (shape.tokens, 2 * shape.pairs);
        let period = fast_period(m + shape.spare);
        let harmonics = usable_harmonics(shape.harmonics, period);
        let chosen = |noise: &mut Noise| match shape.mix {
            0 => false,
            1 => true,
            _ => noise.next() > 0.0,
        };
        let spectral_pairs: Vec<bool> = (0..shape.pairs).map(|_| chosen(noise)).collect();
        let spectral_values: Vec<bool> = (0..dim).map(|_| chosen(noise)).collect();
        let mut keys = noise.vec(m * dim);
        let values = noise.vec(m * dim);
        for (i, k) in keys.iter_mut().enumerate() {
            *k += key_shift * ((i % dim) as f64 * 1.7).cos();
        }
        let value_side = Self::dims(&values, dim, &spectral_values, period, harmonics);
        let (key_side, bands) = if shape.carrier {
            let (side, bands) = Self::pairs(&keys, dim, &spectral_pairs, period, harmonics);
            (side, Some(bands))
        } else {
            let spectral: Vec<bool> = (0..dim).map(|d| spectral_pairs[d % shape.pairs]).collect();
            (Self::dims(&keys, dim, &spectral, period, harmonics), None)
        };
        Middle {
            rebuilt_keys: key_side.rebuild(m, dim, period, harmonics, bands.as_deref()),
            rebuilt_values: value_side.rebuild(m, dim, period, harmonics, None),
            tokens: m,
            harmonics,
            period,
            dim,
            bands,
            keys: key_side,
            values: value_side,
        }
    }

    fn column(x: &[f64], dim: usize, d: usize) -> (Vec<f64>, f64) {
        let column: Vec<f64> = x.iter().skip(d).step_by(dim).copied().collect();
        let mean = column.iter().sum::<f64>() / column.len().max(1) as f64;
        let mean = f64::from(mean as f32); // the kernel holds means in its own number type
        (column.iter().map(|v| v - mean).collect(), mean)
    }

    fn exact_blocks(x: &[f64], dim: usize, dims: &[u16]) -> Vec<C> {
        let tokens = x.len() / dim;
        let mut out = vec![C::default(); tokens.div_ceil(EXACT_BLOCK) * dims.len() * EXACT_BLOCK];
        for t in 0..tokens {
            for (d, &from) in dims.iter().enumerate() {
                let at = (t / EXACT_BLOCK * dims.len() + d) * EXACT_BLOCK + t % EXACT_BLOCK;
                out[at] = C::store(x[t * dim + usize::from(from)]);
            }
        }
        out
    }

    fn dims(x: &[f64], dim: usize, spectral: &[bool], period: usize, harmonics: usize) -> Side<C> {
        let (chosen, rest): (Vec<u16>, Vec<u16>) = (0..dim as u16).partition(|&d| spectral[usize::from(d)]);
        let (mut spectra, mut means) = (Vec::new(), Vec::new());
        for &d in &chosen {
            let (column, mean) = Self::column(x, dim, usize::from(d));
            spectra.extend(cast::<C>(&spectrum::analyse(&column, period, harmonics)));
            means.push(mean);
        }
        Side { spectral: chosen, spectra, mean: means, exact: Self::exact_blocks(x, dim, &rest), exact_dims: rest }
    }

    fn pairs(x: &[f64], dim: usize, spectral: &[bool], period: usize, harmonics: usize) -> (Side<C>, Vec<PairBand>) {
        let half = dim / 2;
        let chosen: Vec<u16> = (0..half as u16).filter(|&i| spectral[usize::from(i)]).collect();
        let rest: Vec<u16> = (0..dim as u16).filter(|&d| !spectral[usize::from(d) % half]).collect();
        let (mut spectra, mut mean, mut bands) = (Vec::new(), Vec::new(), Vec::new());
        for &i in &chosen {
            let (re, re_mean) = Self::column(x, dim, usize::from(i));
            let (im, im_mean) = Self::column(x, dim, usize::from(i) + half);
            let band = PairBand::around(carrier_bin(0.9 / (1.0 + f64::from(i)), period), harmonics, period);
            spectra.extend(cast::<C>(&spectrum::analyse_pair(&re, &im, period, band)));
            mean.extend([re_mean, im_mean]);
            bands.push(band);
        }
        let exact = Self::exact_blocks(x, dim, &rest);
        (Side { spectral: chosen, spectra, mean, exact, exact_dims: rest }, bands)
    }
}

impl<C: Element> Side<C> {
    /// `[M][D]` as the kept numbers say, by the definitions.
    fn rebuild(&self, m: usize, dim: usize, period: usize, harmonics: usize, bands: Option<&[PairBand]>) -> Vec<f64> {
        let mut out = vec![0.0; m * dim];
        let mut put = |d: usize, column: &[f64], mean: f64| {
            for t in 0..m {
                out[t * dim + d] = column[t] + mean;
            }
        };
        let mut at = 0;
        for (track, &s) in self.spectral.iter().enumerate() {
            let s = usize::from(s);
            let length = bands.map_or(2 * harmonics, |b| 2 * b[track].count);
            let kept = widen(&self.spectra[at..at + length]);
            at += length;
            match bands {
                None => put(s, &spectrum::synthesise(&kept, period, m), self.mean[track]),
                Some(bands) => {
                    let (x, y) = spectrum::synthesise_pair(&kept, period, bands[track], m);
                    put(s, &x, self.mean[2 * track]);
                    put(s + dim / 2, &y, self.mean[2 * track + 1]);
                }
            }
        }
        for t in 0..m {
            for (d, &to) in self.exact_dims.iter().enumerate() {
                let from = (t / EXACT_BLOCK * self.exact_dims.len() + d) * EXACT_BLOCK + t % EXACT_BLOCK;
                out[t * dim + usize::from(to)] = self.exact[from].load::<f64>();
            }
        }
        out
    }
}

/// Periods from here on are transformed as they are in programs.
const LONG: usize = 32_768;

/// The kernel on one head.
fn attend_middle<T: Number, S: Element, C: Element>(
    isa: Isa,
    middle: &Middle<C>,
    q: Queries<'_, T>,
    region: FourierRegion<'_, T, S, C>,
    state: &mut AttnRows<T>,
) {
    // Grids are for single precision; see `long_middles_go_by_a_grid`.
    let plan = |harmonics| match middle.period {
        ..LONG => TimeTransform::Lanes(LaneTransform::new(middle.period, harmonics)),
        _ => TimeTransform::new(middle.period, harmonics),
    };
    let (values, full) = (plan(middle.harmonics), plan(middle.period / 2 + 1));
    let keys = if region.bands.is_some() { &full } else { &values };
    let transforms = FourierTransforms { keys, values: &values };
    let layer =
        FourierLayer { heads: 1, queries: &|_| q, regions: &|_| region, beside: &|_, _: AttnRowsMut<'_, T>| {} };
    attend_fourier((isa, &Team::alone()), transforms, layer, &mut FourierScratch::default(), state);
}

/// Sink, middle and window attended by the kernels and merged; what rebuilding gives; and by how much each row's largest
/// score leads.
fn run<T: Number>(isa: Isa, shape: &Shape, key_shift: f64, query_size: f64) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let mut noise = Noise(shape.seed);
    let middle = Middle::<T>::new(shape, key_shift, &mut noise);
    let dim = middle.dim;
    let rows = shape.heads * shape.rows;
    let queries: Vec<T> = cast(&noise.vec(rows * dim).iter().map(|v| v * query_size).collect::<Vec<_>>());
    let exact_tokens = shape.seed as usize % 7;
    let mut exact_keys = noise.vec(exact_tokens * dim);
    for (i, k) in exact_keys.iter_mut().enumerate() {
        *k += key_shift * ((i % dim) as f64 * 1.7).cos();
    }
    let (exact_keys, exact_values): (Vec<T>, Vec<T>) = (cast(&exact_keys), cast(&noise.vec(exact_tokens * dim)));
    let scale = 1.0 / (dim as f64).sqrt();

    let q = Queries { rows: &queries, dim, tokens: shape.rows, first: 0, scale: T::of(scale) };
    let (key_mean, value_mean) = (cast::<T>(&middle.keys.mean), cast::<T>(&middle.values.mean));
    let region = FourierRegion {
        tokens: middle.tokens,
        bands: middle.bands.as_deref(),
        keys: FourierSide {
            spectral: &middle.keys.spectral,
            spectra: &middle.keys.spectra,
            mean: &key_mean,
            exact_dims: &middle.keys.exact_dims,
            exact: &middle.keys.exact,
        },
        values: FourierSide {
            spectral: &middle.values.spectral,
            spectra: &middle.values.spectra,
            mean: &value_mean,
            exact_dims: &middle.values.exact_dims,
            exact: &middle.values.exact,
        },
    };
    let mut state = AttnRows::new(rows, dim);
    attend_middle(isa, &middle, q, region, &mut state);
    let mut others = AttnRows::new(rows, dim);
    let exact = ExactRegion { keys: &exact_keys, values: &exact_values };
    attend_exact(isa, q, exact, Mask::None, &mut ExactScratch::default(), &mut others.all());
    state.merge(&others);

    let keys = [middle.rebuilt_keys, widen(&exact_keys)].concat();
    let values = [middle.rebuilt_values, widen(&exact_values)].concat();
    let expected = (0..rows).flat_map(|r| oracle::attend(&widen(q.row(r)), &keys, &values, scale)).collect();
    let leads = (0..rows).map(|r| lead(&widen(q.row(r)), &keys, scale)).collect();
    (widen(state.finish()), expected, leads)
}

/// How far the largest score is ahead of the second.
fn lead(query: &[f64], keys: &[f64], scale: f64) -> f64 {
    let scores = keys.chunks_exact(query.len()).map(|k| scale * k.iter().zip(query).map(|(a, b)| a * b).sum::<f64>());
    let (first, second) = scores.fold((f64::NEG_INFINITY, f64::NEG_INFINITY), |(first, second), s| {
        if s > first { (s, first) } else { (first, second.max(s)) }
    });
    first - second
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn spectral_equals_rebuilt_in_f64(shape in shapes(), shift in -3.0f64..3.0, size in 0.1f64..10.0) {
        let (got, expected, _) = run::<f64>(Isa::detect(), &shape, shift, size);
        prop_assert!(error(&got, &expected, 1e-3) < 1e-9, "{}", error(&got, &expected, 1e-3));
    }

    /// Scores that reach from -5e5 to 5e5, by large queries or by a large shift common to all keys.
    #[test]
    fn spectral_equals_rebuilt_at_huge_scores_in_f64(shape in shapes(), shift in -5e5f64..5e5, size in 1e3f64..5e5, shifted: bool) {
        let (shift, size) = if shifted { (shift, 1.0) } else { (0.0, size) };
        let (got, expected, _) = run::<f64>(Isa::detect(), &shape, shift, size);
        prop_assert!(error(&got, &expected, 1e-1) < 1e-9, "{}", error(&got, &expected, 1e-1));
    }

    /// The same in f32, whose scores of 5e5 are known to 0.1 at best: where the largest is ahead of all others by more
    /// than that can blur (with 20 to spare, exp(-20) = 2e-9), the answer is that token's value, to 1e-4; where it is
    /// not, no arithmetic in f32 can tell, and the answer is still one of finite values.
    #[test]
    fn spectral_equals_rebuilt_at_huge_scores_in_f32(shape in shapes(), size in 1e3f64..5e5) {
        for isa in Isa::available() {
            let (got, expected, leads) = run::<f32>(isa, &shape, 0.0, size);
            let dim = 2 * shape.pairs;
            for (r, lead) in leads.iter().enumerate() {
                let (got, expected) = (&got[r * dim..(r + 1) * dim], &expected[r * dim..(r + 1) * dim]);
                prop_assert!(got.iter().all(|v| v.abs() < 1e3), "{got:?}");
                if *lead > 20.0 + 1e-5 * size {
                    prop_assert!(error(got, expected, 1e-1) < 1e-4, "{isa}: {}", error(got, expected, 1e-1));
                }
            }
        }
    }

    #[test]
    fn spectral_equals_rebuilt_in_f32(shape in shapes(), shift in -3.0f64..3.0, size in 0.1f64..3.0) {
        for isa in Isa::available() {
            let (got, expected, _) = run::<f32>(isa, &shape, shift, size);
            prop_assert!(error(&got, &expected, 1e-1) < 1e-4, "{isa}: {}", error(&got, &expected, 1e-1));
        }
    }

    #[test]
    fn exact_equals_the_definition(tokens in 0usize..600, n in 1usize..5, heads in 1usize..6, pairs in 1usize..40, causal: bool, seed: u64) {
        let dim = 2 * pairs;
        let mut noise = Noise(seed);
        let q64 = noise.vec(heads * n * dim);
        let (k64, v64) = (noise.vec(tokens * dim), noise.vec(tokens * dim));
        let causal = causal && tokens >= n;
        let mask = if causal { Mask::Causal } else { Mask::None };
        let expected = |k: &[f64], v: &[f64]| -> Vec<f64> {
            (0..heads * n).flat_map(|r| {
                let seen = if causal { tokens - (n - 1 - r % n) } else { tokens };
                oracle::attend(&q64[r * dim..(r + 1) * dim], &k[..seen * dim], &v[..seen * dim], 0.7)
            }).collect()
        };
        let q: Vec<f64> = q64.clone();
        let queries = Queries { rows: &q, dim, tokens: n, first: 0, scale: 0.7 };
        let mut state = AttnRows::new(heads * n, dim);
        attend_exact(Isa::detect(), queries, ExactRegion { keys: &k64, values: &v64 }, mask, &mut ExactScratch::default(), &mut state.all());
        prop_assert!(error(state.finish(), &expected(&k64, &v64), 1e-2) < 1e-12);

        let q: Vec<f32> = cast(&q64);
        for isa in Isa::available() {
            prop_assert!(stored::<f32>(isa, &q, (n, dim), &k64, &v64, mask, &expected) < 1e-5);
            prop_assert!(stored::<f16>(isa, &q, (n, dim), &k64, &v64, mask, &expected) < 1e-5);
            prop_assert!(stored::<bf16>(isa, &q, (n, dim), &k64, &v64, mask, &expected) < 1e-5);
        }
    }

    /// However the tokens are split, the merged state is the same.
    #[test]
    fn states_merge_in_any_order(tokens in 1usize..60, cut in 0usize..60, pairs in 1usize..8, size in 0.0f64..5e5, seed: u64) {
        let dim = 2 * pairs;
        let cut = cut.min(tokens);
        let mut noise = Noise(seed);
        let q: Vec<f64> = noise.vec(dim).iter().map(|v| v * size).collect();
        let (k, v) = (noise.vec(tokens * dim), noise.vec(tokens * dim));
        let queries = Queries { rows: &q, dim, tokens: 1, first: 0, scale: 1.0 };
        let part = |from: usize, to: usize| {
            let mut state = AttnRows::new(1, dim);
            let region = ExactRegion { keys: &k[from * dim..to * dim], values: &v[from * dim..to * dim] };
            attend_exact(Isa::detect(), queries, region, Mask::None, &mut ExactScratch::default(), &mut state.all());
            state
        };
        let mut forwards = part(0, cut);
        forwards.merge(&part(cut, tokens));
        let mut backwards = part(cut, tokens);
        backwards.merge(&AttnRows::new(1, dim));
        backwards.merge(&part(0, cut));
        let whole = part(0, tokens).finish().to_vec();
        prop_assert!(error(forwards.finish(), &whole, 1e-3) < 1e-8);
        prop_assert!(error(backwards.finish(), &whole, 1e-3) < 1e-8);
        prop_assert!(error(&whole, &oracle::attend(&q, &k, &v, 1.0), 1e-3) < 1e-8);
    }
}

/// What attention over keys and values is to give.
type Expected<'a> = dyn Fn(&[f64], &[f64]) -> Vec<f64> + 'a;

/// The error of attention over keys and values stored as `S`, against the oracle on what was stored.
fn stored<S: Element>(
    isa: Isa,
    q: &[f32],
    (n, dim): (usize, usize),
    k: &[f64],
    v: &[f64],
    mask: Mask,
    expected: &Expected<'_>,
) -> f64 {
    let (keys, values): (Vec<S>, Vec<S>) = (cast(k), cast(v));
    let queries = Queries { rows: q, dim, tokens: n, first: 0, scale: 0.7 };
    let mut state = AttnRows::new(queries.count(), dim);
    attend_exact(
        isa,
        queries,
        ExactRegion { keys: &keys, values: &values },
        mask,
        &mut ExactScratch::default(),
        &mut state.all(),
    );
    error(&widen(state.finish()), &expected(&widen(&keys), &widen(&values)), 1e-1)
}

/// Over contexts so long that transforms go by way of a grid, which is checked here, the answer is the same.
#[test]
fn long_middles_go_by_a_grid() {
    for (harmonics, mix, seed) in [(12, 1, 21), (40, 2, 22)] {
        let sizes =
            Shape { tokens: 33_000, spare: 2_000, harmonics, pairs: 2, heads: 2, rows: 1, carrier: false, mix, seed };
        let period = fast_period(sizes.tokens + sizes.spare);
        assert!(period >= LONG && matches!(TimeTransform::<f32>::new(period, harmonics), TimeTransform::Grid(_)));
        for isa in Isa::available() {
            let (got, expected, _) = run::<f32>(isa, &sizes, 1.0, 2.0);
            assert!(error(&got, &expected, 1e-1) < 1e-7, "{isa}: {:e}", error(&got, &expected, 1e-1));
        }
    }
}

/// What biased keys do: a shift of the scores by hundreds of thousands, the same for every token, changes nothing.
#[test]
fn a_huge_common_shift_keeps_single_precision() {
    for (carrier, seed) in [(false, 11), (true, 12), (false, 13), (true, 14)] {
        let shape = Shape { tokens: 150, spare: 7, harmonics: 20, pairs: 4, heads: 2, rows: 2, carrier, mix: 1, seed };
        for isa in Isa::available() {
            for shift in [-4e5, -1e3, 1e3, 4e5] {
                let (got, expected) = run_shifted(isa, &shape, shift);
                assert!(error(&got, &expected, 0.1) < 1e-4, "{carrier} {shift}: {}", error(&got, &expected, 0.1));
            }
        }
    }
}

/// As [`run`] in `f32` over a middle alone whose scores are shifted by about `shift`; the expected values come from
/// the unshifted middle, since a common shift cancels in the softmax.
fn run_shifted(isa: Isa, shape: &Shape, shift: f64) -> (Vec<f64>, Vec<f64>) {
    let middle = Middle::<f32>::new(shape, 0.0, &mut Noise(shape.seed));
    let dim = middle.dim;
    let queries: Vec<f32> = cast(&Noise(!shape.seed).vec(4 * dim));
    let q = Queries { rows: &queries, dim, tokens: 2, first: 0, scale: 0.4 };
    let mean: Vec<f32> = middle.keys.mean.iter().map(|m| (m + shift) as f32).collect();
    let value_mean = cast::<f32>(&middle.values.mean);
    let region = FourierRegion {
        tokens: middle.tokens,
        bands: middle.bands.as_deref(),
        keys: FourierSide {
            spectral: &middle.keys.spectral,
            spectra: &middle.keys.spectra,
            mean: &mean,
            exact_dims: &[],
            exact: &[] as &[f32],
        },
        values: FourierSide {
            spectral: &middle.values.spectral,
            spectra: &middle.values.spectra,
            mean: &value_mean,
            exact_dims: &[],
            exact: &[] as &[f32],
        },
    };
    let mut state = AttnRows::new(4, dim);
    attend_middle(isa, &middle, q, region, &mut state);
    let got = widen(state.finish());
    let expected = (0..4)
        .flat_map(|r| oracle::attend(&widen(q.row(r)), &middle.rebuilt_keys, &middle.rebuilt_values, f64::from(0.4f32)))
        .collect();
    (got, expected)
}
