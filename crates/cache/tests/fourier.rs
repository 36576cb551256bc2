//! What the `fourier` cache promises beyond the contract.

mod common;

use std::sync::Arc;

use common::{Tape, context, difference, seeded, shape, wide, workspace};
use fourier_kv_cache::fourier::Band;
use fourier_kv_cache::plan::{HeadPlan, Plan, PlanModel, PlanOrigin};
use fourier_kv_cache::{
    AttnRows, CacheContext, CacheKind, CacheShape, FourierCache, KvCache, KvRows, QueryRows, Workspace,
};
use fourier_kv_spectral::period::fast_period;
use serde_json::Value;

fn plan(shape: &CacheShape, band: Band, keys: &[u16], values: &[u16]) -> Plan {
    let head = HeadPlan { keys: keys.to_vec(), values: values.to_vec() };
    Plan {
        model: PlanModel {
            name: "test".into(),
            fingerprint: "f".into(),
            layers: shape.layers,
            kv_heads: shape.kv_heads,
            head_dim: shape.head_dim,
        },
        band,
        origin: PlanOrigin {
            tokens: 0,
            sequences: 0,
            text_sha256: String::new(),
            harmonics: 1,
            rank: "weighted".into(),
        },
        heads: vec![vec![head; shape.kv_heads]; shape.layers],
        shares: None,
        codes: None,
    }
}

fn build(kind: &str, plan: Option<Plan>) -> Box<dyn KvCache> {
    kind.parse::<CacheKind>().unwrap().build(&context(), plan.map(Arc::new)).unwrap()
}

#[test]
fn no_spectral_dims_equal_the_exact_cache() {
    let (tape, ws) = (Tape::new(shape(), "none"), workspace());
    for storage in ["bf16", "f16", "f32"] {
        for (band, name) in [(Band::Base, "base"), (Band::Carrier, "carrier")] {
            let mut exact = build(&format!("exact:{storage}"), None);
            let kind =
                format!("fourier:band={name},exact={storage},window=40,least-middle=10,capacity=100,harmonics=4");
            let mut fourier = build(&kind, Some(plan(&shape(), band, &[], &[])));
            tape.prompt(exact.as_mut(), &ws, 200, 64);
            tape.prompt(fourier.as_mut(), &ws, 200, 64);
            for token in 200..420 {
                let (a, b) = (tape.decode(exact.as_mut(), &ws, token), tape.decode(fourier.as_mut(), &ws, token));
                assert!(difference(&b, &wide(&a)) < 2e-6, "{kind} at {token}");
            }
        }
    }
}

#[test]
fn the_full_spectrum_is_exact() {
    let (tape, ws) = (Tape::new(shape(), "full"), workspace());
    for (band, name, keys) in [(Band::Base, "base", 8), (Band::Carrier, "carrier", 4)] {
        let all = plan(&shape(), band, &(0..keys).collect::<Vec<_>>(), &(0..8).collect::<Vec<_>>());
        let kind = format!(
            "fourier:band={name},exact=f32,coefficients=f32,window=40,least-middle=10,capacity=120,harmonics=10000"
        );
        let mut cache = build(&kind, Some(all));
        tape.prompt(cache.as_mut(), &ws, 200, 64);
        for token in 200..520 {
            let out = tape.decode(cache.as_mut(), &ws, token);
            let off = difference(&out, &tape.oracle(1, token));
            assert!(off < 2e-5, "{name} at {token}: {off}");
        }
    }
}

/// Tokens that stream into the middle leave the same spectrum as tokens compressed at once under the same mean.
#[test]
fn streaming_equals_block() {
    let ws = workspace();
    for band in ["base", "carrier"] {
        let tape = Tape::new(shape(), "stream");
        let kind = format!(
            "fourier:band={band},exact=f32,coefficients=f32,window=32,least-middle=100,capacity=1000,harmonics=12"
        );
        let both = |first: usize| {
            let mut cache = build(&kind, Some(plan(&shape(), band_of(band), &[0, 1, 3], &[1, 2, 4, 5, 7])));
            tape.prompt(cache.as_mut(), &ws, first, 64);
            let mut out = Vec::new();
            for token in first..700 {
                out = tape.decode(cache.as_mut(), &ws, token);
            }
            (out, cache.bytes().coefficients)
        };
        let ((streamed, a), (block, b)) = (both(160), both(671));
        assert_eq!(a, b);
        // The means differ (160 tokens against 671): a shift that the band holds but for its edges.
        let off = difference(&streamed, &wide(&block));
        assert!(off < 0.03, "{band}: {off}");
        let (same_mean, _) = both(160);
        assert_eq!(streamed, same_mean, "deterministic");
    }
}

fn band_of(name: &str) -> Band {
    if name == "base" { Band::Base } else { Band::Carrier }
}

/// Growth past the planned capacity begins another stretch; nothing that is held is lost or grows in error.
#[test]
fn growth_beyond_the_capacity_begins_a_new_spectrum() {
    let (tape, ws) = (Tape::new(shape(), "beyond"), workspace());
    let mut cache = build("fourier:window=32,least-middle=64,capacity=128,harmonics=16", None);
    tape.prompt(cache.as_mut(), &ws, 4 + 128 + 32, 64);
    let one = cache.bytes().coefficients;
    assert!(one > 0);
    let mut steps = Vec::new();
    for token in 164..164 + 600 {
        tape.decode(cache.as_mut(), &ws, token);
        let now = cache.bytes().coefficients;
        if steps.last() != Some(&now) {
            steps.push(now);
        }
    }
    let expected: Vec<usize> = (1..=steps.len()).map(|n| n * one).collect();
    assert_eq!(steps, expected, "each spectrum takes what the first took");
    assert_eq!(steps.len(), 6, "one at first, 4 filled by 512 tokens, one begun with the 64 of the 88 left");
}

/// A short prompt is exact until there is enough to compress, and is compressed then.
#[test]
fn a_prompt_that_starts_short_and_grows_is_compressed() {
    let (tape, ws) = (Tape::new(shape(), "short"), workspace());
    let mut cache = build("fourier:window=32,least-middle=64,harmonics=16", None);
    tape.prompt(cache.as_mut(), &ws, 10, 10);
    for token in 10..4 + 64 + 32 {
        let out = tape.decode(cache.as_mut(), &ws, token);
        assert!(difference(&out, &tape.oracle(1, token)) < 4e-3);
        assert_eq!(cache.bytes().coefficients, 0, "token {token}");
    }
    tape.decode(cache.as_mut(), &ws, 100);
    assert!(cache.bytes().coefficients > 0);
}

#[test]
fn dims_are_chosen_within_the_budget_and_shown() {
    let (tape, ws) = (Tape::new(shape(), "choice"), workspace());
    let settings = match "fourier:band=carrier,window=32,least-middle=64,harmonics=16".parse().unwrap() {
        CacheKind::Fourier(settings) => settings,
        _ => unreachable!("a fourier cache was named"),
    };
    let mut cache = FourierCache::<f32, f32>::new(settings, context(), None).unwrap();
    assert!(cache.chosen().is_none());
    tape.prompt(&mut cache, &ws, 300, 64);
    let chosen = cache.chosen().unwrap();
    for head in chosen.iter().flatten() {
        assert_eq!((head.keys.len(), head.values.len()), (3, 6), "80 % of 4 pairs and of 8 dims");
    }
}

/// A dim whose queries are silent is the first to go, and one that the output does not use.
#[test]
fn what_nobody_asks_for_is_spectral() {
    let ws = workspace();
    let mut energy = vec![1.0; 2 * 2 * 8];
    energy.iter_mut().skip(5).step_by(8).for_each(|e| *e = 0.0);
    let context = CacheContext::with_energy(shape(), &energy);
    let settings = match "fourier:band=base,window=32,least-middle=64,harmonics=4".parse().unwrap() {
        CacheKind::Fourier(settings) => settings,
        _ => unreachable!("a fourier cache was named"),
    };
    let mut cache = FourierCache::<f32, f32>::new(settings, context, None).unwrap();
    let n = 300;
    let numbers =
        |heads: usize, name: &str| -> Vec<f32> { (0..heads * n * 8).map(|i| seeded(name, i) as f32).collect() };
    let (mut q, k, v) = (numbers(6, "q"), numbers(2, "k"), numbers(2, "v"));
    q.iter_mut().skip(2).step_by(8).for_each(|x| *x = 0.0);
    for layer in 0..2 {
        cache.append(layer, KvRows { q: &q, k: &k, v: &v, tokens: n }, &ws).unwrap();
        cache.seal(layer, &ws).unwrap();
    }
    for head in cache.chosen().unwrap().iter().flatten() {
        assert!(head.keys.contains(&2) && head.values.contains(&5), "{head:?}");
    }
}

/// The oracle of tools/goldens/fourier_cache.py, written independently in NumPy.
#[test]
fn agrees_with_the_numpy_oracle() {
    let golden: Value = serde_json::from_str(include_str!("goldens/fourier_head.json")).unwrap();
    let mut checked = 0;
    for case in golden["cases"].as_array().unwrap() {
        let size = |key: &str| case[key].as_u64().unwrap() as usize;
        // Caches have periods of `fast_period`, a window, and let 64 tokens at a time into the middle.
        if fast_period(size("P")) != size("P") || size("window") == 0 || size("sealed") != size("M") {
            continue;
        }
        let out = golden_case(case, &workspace());
        let expected: Vec<f64> = numbers(&case["out"]);
        let off = difference(&out, &expected);
        assert!(off < 2e-6, "{}: {off}", case["name"]);
        checked += 1;
    }
    assert_eq!(checked, 16, "cases that a cache can be put into");
}

fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(numbers).collect(),
        other => vec![other.as_f64().unwrap()],
    }
}

/// Puts a golden's tokens into a cache with one head and asks its queries.
fn golden_case(case: &Value, ws: &Workspace) -> Vec<f32> {
    let size = |key: &str| case[key].as_u64().unwrap() as usize;
    let (dim, heads) = (size("D"), size("H"));
    let frequencies = numbers(&case["frequencies"]);
    let shape = CacheShape { layers: 1, heads, kv_heads: 1, head_dim: dim, rope_frequencies: frequencies };
    let band = case["band"].as_str().unwrap();
    let tracks = |key: &str| -> Vec<u16> { numbers(&case[key]).into_iter().map(|d| d as u16).collect() };
    let mut keys = tracks("k_spectral");
    if band == "carrier" {
        keys.retain(|&d| usize::from(d) < dim / 2);
    }
    let plan = plan(&shape, band_of(band), &keys, &tracks("v_spectral"));
    let kind: CacheKind = format!(
        "fourier:band={band},exact=f32,coefficients=f32,sink={},window={},harmonics={},capacity={},least-middle=1",
        size("sink"),
        size("window"),
        size("N"),
        size("P")
    )
    .parse()
    .unwrap();
    let mut cache = kind.build(&CacheContext::uniform(shape), Some(Arc::new(plan))).unwrap();
    let of = |name: &str, count: usize| -> Vec<f32> { (0..count * dim).map(|i| seeded(name, i) as f32).collect() };
    let side = |s: &str| {
        [of(&format!("sink_{s}"), size("sink")), of(s, size("M")), of(&format!("window_{s}"), size("window"))].concat()
    };
    let (k, v, q) = (side("k"), side("v"), of("q", heads));
    let tokens = k.len() / dim;
    let silent = vec![0.0; heads * tokens * dim];
    cache.append(0, KvRows { q: &silent, k: &k, v: &v, tokens }, ws).unwrap();
    cache.seal(0, ws).unwrap();
    let mut out = AttnRows::new(heads, dim);
    cache.attend(0, QueryRows { q: &q, tokens: 1 }, ws, &mut out).unwrap();
    out.finish().to_vec()
}
