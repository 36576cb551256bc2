//! The bytes that are foretold against those of caches that were really filled.

mod common;

use std::sync::Arc;

use common::{Tape, context, shape, workspace};
use fourier_kv_cache::fourier::Band;
use fourier_kv_cache::plan::{HeadPlan, Plan, PlanModel, PlanOrigin};
use fourier_kv_cache::{CacheContext, CacheError, CacheKind, CacheShape, PromptSize};

fn assert_foretold(kind: &str, context: &CacheContext, plan: Option<&Arc<Plan>>, prompt: PromptSize) {
    let (tape, ws) = (Tape::new(CacheShape::clone(&context.shape), "expected"), workspace());
    let kind: CacheKind = kind.parse().unwrap();
    let mut cache = kind.build(context, plan.cloned()).unwrap();
    tape.prompt(cache.as_mut(), &ws, prompt.tokens, prompt.tile);
    let expected = kind.expected_bytes(&context.shape, plan, prompt).unwrap();
    assert_eq!(expected, cache.bytes(), "{kind}, {prompt:?}");
}

#[test]
fn many_settings_and_lengths() {
    let kinds = [
        "exact",
        "exact:f16",
        "exact:f32",
        "fourier",
        "fourier:window=70,harmonics=16,least-middle=40",
        "fourier:window=33,harmonics=8,capacity=100,least-middle=16,band=base,coefficients=f32",
        "fourier:window=1,sink=0,harmonics=4,least-middle=1,capacity=7",
        "fourier:window=16,harmonics=300,least-middle=20,exact=f32",
        "fourier:window=50,harmonics=20,rank=error,exact=f16,coefficients=f32",
        "fourier:window=64,harmonics=8,capacity=64,band=base,exact=f32,coefficients=f32",
        "fourier:window=40,harmonics=16,ratio=2",
        "fourier:window=40,harmonics=16,ratio=1.3,band=carrier",
        "fourier:window=40,harmonics=16,ratio=900",
        "streaming:tokens=70",
        "streaming:ratio=2.5,sink=0",
        "snapkv:ratio=3,window=8",
        "pyramidkv:tokens=100,window=16",
        "pyramidkv:ratio=1.2,window=16",
        "int8:residual=70",
        "int4",
        "int3:residual=30,keys=unrotated,group=16",
        "int2:residual=0,group=37",
        "q8_0",
        "q4_0:hadamard=on",
        "q4_0:residual=50",
        "lowrank",
        "lowrank:rank=3,residual=30,keys=rotated",
        "lowrank:rank=8,residual=1",
        "lowrank:ratio=1.6,residual=20,keys=rotated",
        "lowrank:ratio=900,residual=64",
        "spectral",
        "spectral:4,window=40,least-middle=50",
        "spectral:1,window=1,sink=0,least-middle=1,block=2,keys=heads,values=head",
        "spectral:0.5,window=70,least-middle=7,block=64,keys=2",
        "spectral:2,window=40,least-middle=50,without=klt+shares",
        "spectral:2,window=40,least-middle=50,without=time+weights+trellis",
    ];
    for kind in kinds {
        for tokens in [0, 1, 5, 40, 74, 75, 111, 256, 257, 300, 512, 777] {
            for tile in [1, 64, 512] {
                assert_foretold(kind, &context(), None, PromptSize { tokens, tile });
            }
        }
    }
}

/// Layers of one model have different shares.
#[test]
fn every_layers_share_counts() {
    let shape = CacheShape { layers: 9, ..shape() };
    let context = CacheContext::uniform(shape);
    for kind in ["fourier:window=40,harmonics=16", "fourier:window=40,harmonics=16,band=base"] {
        assert_foretold(kind, &context, None, PromptSize { tokens: 200, tile: 100 });
    }
}

fn plan(band: Band) -> Arc<Plan> {
    let head = |keys: &[u16], values: &[u16]| HeadPlan { keys: keys.to_vec(), values: values.to_vec() };
    let CacheShape { layers, kv_heads, head_dim, .. } = shape();
    let origin =
        PlanOrigin { tokens: 1, sequences: 1, text_sha256: String::new(), harmonics: 1, rank: "error".to_owned() };
    let heads = vec![vec![head(&[], &[0, 7]), head(&[1, 3], &[])], vec![head(&[0, 1, 2, 3], &[1]), head(&[], &[])]];
    let (name, fingerprint) = (String::new(), String::new());
    Arc::new(Plan {
        model: PlanModel { name, fingerprint, layers, kv_heads, head_dim },
        band,
        origin,
        heads,
        shares: None,
        codes: None,
    })
}

#[test]
fn plans_count_as_they_are() {
    for (band, name) in [(Band::Carrier, "carrier"), (Band::Base, "base")] {
        let kind = format!("fourier:window=40,harmonics=16,band={name}");
        for tokens in [40, 75, 76, 300] {
            assert_foretold(&kind, &context(), Some(&plan(band)), PromptSize { tokens, tile: 64 });
        }
    }
}

#[test]
fn plans_that_do_not_fit_are_refused() {
    let prompt = PromptSize { tokens: 10, tile: 64 };
    for kind in ["exact", "fourier:band=base", "int4", "q8_0", "lowrank"] {
        let kind: CacheKind = kind.parse().unwrap();
        let result = kind.expected_bytes(&shape(), Some(&plan(Band::Carrier)), prompt);
        assert!(matches!(result, Err(CacheError::Plan(_))), "{kind}");
    }
    let other = CacheShape { layers: 3, ..shape() };
    let kind: CacheKind = "fourier".parse().unwrap();
    assert!(matches!(kind.expected_bytes(&other, Some(&plan(Band::Carrier)), prompt), Err(CacheError::Plan(_))));
}

fn deep() -> CacheShape {
    let rope_frequencies = (0..32).map(|i| 1e4f64.powf(-f64::from(i) / 32.0)).collect();
    CacheShape { layers: 12, heads: 3, kv_heads: 1, head_dim: 64, rope_frequencies }
}

/// A ratio is met by the most directions that meet it.
#[test]
fn no_direction_more_would_meet_the_ratio() {
    let (shape, prompt) = (deep(), PromptSize { tokens: 6_000, tile: 512 });
    let bytes = |settings: &str| {
        let kind: CacheKind = format!("lowrank:{settings}").parse().unwrap();
        kind.expected_bytes(&shape, None, prompt).unwrap().total()
    };
    let exact = shape.exact_bytes(prompt.tokens, 2) as f64;
    let mut before = 65;
    for ratio in [1.0, 1.5, 2.0, 4.0, 8.0, 16.0] {
        let found = bytes(&format!("ratio={ratio}"));
        assert!(found as f64 * ratio <= exact, "{ratio}: {found} of {exact}");
        let rank = (1..=64).find(|rank| bytes(&format!("rank={rank}")) == found).unwrap();
        assert!(rank < before && bytes(&format!("rank={}", rank + 1)) as f64 * ratio > exact, "{ratio}: rank {rank}");
        before = rank;
    }
    // None makes it a thousand times smaller: one direction is kept.
    assert_eq!(bytes("ratio=1000"), bytes("rank=1"));
}

/// A ratio that the window leaves room for is met, and not by much more than a dim a head.
#[test]
fn a_ratio_that_is_asked_for_is_met() {
    let (shape, prompt) = (deep(), PromptSize { tokens: 6_000, tile: 512 });
    for band in ["base", "carrier"] {
        let mut before = 0.0;
        for ratio in [1.5, 2.0, 3.0, 6.0, 10.0] {
            let kind: CacheKind = format!("fourier:window=40,harmonics=64,band={band},ratio={ratio}").parse().unwrap();
            let bytes = kind.expected_bytes(&shape, None, prompt).unwrap().total();
            let measured = shape.exact_bytes(prompt.tokens, 2) as f64 / bytes as f64;
            assert!((ratio..1.15 * ratio).contains(&measured) && measured > before, "{kind}: {measured}");
            before = measured;
        }
        // No number of dims makes it a thousand times smaller: all are spectral then.
        let kind: CacheKind = format!("fourier:window=40,harmonics=64,band={band},ratio=1000").parse().unwrap();
        assert_eq!(kind.expected_bytes(&shape, None, prompt).unwrap().exact_dims, 0);
    }
}
