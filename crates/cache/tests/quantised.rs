//! What the quantised caches promise beyond the contract.

mod common;

use common::{Tape, difference, seeded, wide, workspace};
use fourier_kv_cache::{AttnRows, CacheContext, CacheKind, CacheShape, KvCache, KvRows, QueryRows};
use fourier_kv_kernels::oracle;

const DIM: usize = 64;

/// Heads of a usual size, so that groups and blocks are whole.
fn shape() -> CacheShape {
    let rope_frequencies = (0..DIM / 2).map(|i| 10_000f64.powf(-(i as f64) / (DIM / 2) as f64)).collect();
    CacheShape { layers: 1, heads: 4, kv_heads: 2, head_dim: DIM, rope_frequencies }
}

fn build(kind: &str) -> Box<dyn KvCache> {
    kind.parse::<CacheKind>().unwrap().build(&CacheContext::uniform(shape()), None).unwrap()
}

/// Root of the mean squared error of the outputs of a few decoded tokens after a prompt of `tokens`.
fn error(kind: &str, tape: &Tape, tokens: usize) -> f64 {
    let (mut cache, ws) = (build(kind), workspace());
    tape.prompt(cache.as_mut(), &ws, tokens, 100);
    let (mut sum, mut count) = (0.0, 0);
    for token in tokens..tokens + 5 {
        let (out, truth) = (tape.decode(cache.as_mut(), &ws, token), tape.oracle(0, token));
        sum += out.iter().zip(&truth).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum::<f64>();
        count += truth.len();
    }
    (sum / count as f64).sqrt()
}

#[test]
fn more_bits_are_nearer_to_the_truth() {
    let tape = Tape::new(shape(), "bits");
    let errors = ["exact", "int8", "int4", "int3", "int2"].map(|kind| error(kind, &tape, 600));
    assert!(errors.is_sorted(), "{errors:?}");
    // One bit less is twice the step.
    assert!(errors[1] < 0.0003 && errors[2] < 0.004 && errors[3] < 0.01 && errors[4] < 0.06, "{errors:?}");
}

#[test]
fn eight_bit_blocks_are_near_exact_turned_or_not() {
    let tape = Tape::new(shape(), "blocks");
    for kind in ["q8_0", "q8_0:hadamard=on", "q8_0:residual=64", "q8_0:hadamard=on,residual=64"] {
        let off = error(kind, &tape, 600);
        assert!(off < 0.0004, "{kind}: {off}");
    }
}

/// Positions taken off and put on again cost nothing but a rounding to 8 bits.
#[test]
fn unrotated_keys_attend_as_rotated_ones() {
    let (tape, ws) = (Tape::new(shape(), "unrotated"), workspace());
    let [mut rotated, mut unrotated] = ["int8", "int8:keys=unrotated"].map(build);
    for cache in [&mut rotated, &mut unrotated] {
        tape.prompt(cache.as_mut(), &ws, 700, 100);
    }
    // One by one over the end of a group and of a block, and many at once.
    for token in 700..760 {
        let (a, b) = (tape.decode(rotated.as_mut(), &ws, token), tape.decode(unrotated.as_mut(), &ws, token));
        assert!(difference(&a, &wide(&b)) < 3e-4, "token {token}");
        assert!(difference(&b, &tape.oracle(0, token)) < 1e-3, "token {token}");
    }
    let (a, b) = (tape.step(rotated.as_mut(), &ws, 0, 760, 800), tape.step(unrotated.as_mut(), &ws, 0, 760, 800));
    assert!(difference(&a, &wide(&b)) < 3e-4);
}

/// Keys that are slow before RoPE: there a group's range is small, after it pairs go round. Two bits tell.
#[test]
fn slow_keys_are_better_coded_before_rope() {
    let (shape, tokens) = (shape(), 512);
    let mut slow = vec![0f64; shape.kv_heads * tokens * DIM];
    for (i, x) in slow.iter_mut().enumerate() {
        let (t, d) = (i / DIM % tokens, i % DIM);
        *x = (d as f64 * 1.7).sin() + 0.3 * ((t / 40) as f64 * 0.9 + d as f64).sin();
    }
    let mut keys = slow.clone();
    for (i, row) in keys.chunks_exact_mut(DIM).enumerate() {
        for (pair, frequency) in shape.rope_frequencies.iter().enumerate() {
            let (sin, cos) = ((i % tokens) as f64 * frequency).sin_cos();
            let (x, y) = (row[pair], row[pair + DIM / 2]);
            (row[pair], row[pair + DIM / 2]) = (x * cos - y * sin, x * sin + y * cos);
        }
    }
    let tape = Tape::new(shape.clone(), "slow");
    // Values of two sizes cost two bits nothing: what is off is the keys' doing.
    let v: Vec<f32> = (0..slow.len()).map(|i| seeded("signs", i).signum() as f32).collect();
    let q = tape.rows("q", 0, 0, tokens);
    let k: Vec<f32> = keys.iter().map(|&x| x as f32).collect();
    let [rotated, unrotated] = ["int2:residual=0", "int2:residual=0,keys=unrotated"].map(|kind| {
        let (mut cache, ws) = (build(kind), workspace());
        cache.append(0, KvRows { q: &q, k: &k, v: &v, tokens }, &ws).unwrap();
        cache.seal(0, &ws).unwrap();
        let last: Vec<f32> = (0..4).flat_map(|h| q[(h * tokens + tokens - 1) * DIM..][..DIM].iter().copied()).collect();
        let mut out = AttnRows::new(4, DIM);
        cache.attend(0, QueryRows { q: &last, tokens: 1 }, &ws, &mut out).unwrap();
        let found = out.finish().to_vec();
        (0..4)
            .map(|h| {
                let at = h / 2 * tokens * DIM..(h / 2 + 1) * tokens * DIM;
                let query = wide(&last[h * DIM..(h + 1) * DIM]);
                let truth = oracle::attend(&query, &keys[at.clone()], &wide(&v[at]), 1.0 / (DIM as f64).sqrt());
                difference(&found[h * DIM..(h + 1) * DIM], &truth)
            })
            .fold(0.0, f64::max)
    });
    assert!(2.0 * unrotated < rotated, "{unrotated} against {rotated}");
}

/// A dim that is large in every token costs a code by channel nothing, one by token its other dims; turned by the
/// transform it is spread.
#[test]
fn large_dims_are_what_channels_and_the_transform_are_for() {
    let (shape, tokens, ws) = (shape(), 320, workspace());
    let tape = Tape::new(shape.clone(), "large");
    let (q, v) = (tape.rows("q", 0, 0, tokens), tape.rows("v", 0, 0, tokens));
    let mut k = tape.rows("k", 0, 0, tokens);
    k.iter_mut().skip(5).step_by(DIM).for_each(|x| *x += 40.0);
    let last: Vec<f32> = (0..4).flat_map(|h| q[(h * tokens + tokens - 1) * DIM..][..DIM].iter().copied()).collect();
    let off = |kind: &str| {
        let mut cache = build(kind);
        cache.append(0, KvRows { q: &q, k: &k, v: &v, tokens }, &ws).unwrap();
        cache.seal(0, &ws).unwrap();
        let mut out = AttnRows::new(4, DIM);
        cache.attend(0, QueryRows { q: &last, tokens: 1 }, &ws, &mut out).unwrap();
        let found = out.finish().to_vec();
        let scale = 1.0 / (DIM as f64).sqrt();
        let worst = (0..4).map(|h| {
            let at = h / 2 * tokens * DIM..(h / 2 + 1) * tokens * DIM;
            let query = wide(&last[h * DIM..(h + 1) * DIM]);
            let truth = oracle::attend(&query, &wide(&k[at.clone()]), &wide(&v[at]), scale);
            difference(&found[h * DIM..(h + 1) * DIM], &truth)
        });
        worst.fold(0.0, f64::max)
    };
    let [channel, token, turned] = ["int4:residual=0", "q4_0", "q4_0:hadamard=on"].map(off);
    assert!(3.0 * channel < token, "{channel} by channel, {token} by token");
    assert!(turned < token, "{turned} turned, {token} not");
}

/// Codes at once: what is read in one go, over more than a block, is what is read token by token.
#[test]
fn tokens_that_are_coded_at_once_see_each_other_coded() {
    let (tape, ws) = (Tape::new(shape(), "at once"), workspace());
    for kind in ["q8_0", "q4_0:hadamard=on"] {
        let [mut one, mut many] = [kind, kind].map(build);
        for cache in [&mut one, &mut many] {
            tape.prompt(cache.as_mut(), &ws, 100, 100);
        }
        let out = tape.step(many.as_mut(), &ws, 0, 100, 400);
        for token in 100..400 {
            let expected = tape.decode(one.as_mut(), &ws, token);
            let got: Vec<f32> = (0..4).flat_map(|h| out[(h * 300 + token - 100) * DIM..][..DIM].to_vec()).collect();
            assert!(difference(&got, &wide(&expected)) < 1e-5, "{kind}, token {token}");
        }
        assert_eq!((one.bytes().tokens, many.bytes().tokens), (0, 0), "{kind} keeps no token whole");
    }
}

/// `bits + 32 / group` bits a number, and the last tokens as they are.
#[test]
fn bytes_are_bits() {
    let (tape, ws) = (Tape::new(shape(), "bytes"), workspace());
    let (residual, coded, heads) = (128, 320, 2);
    for (kind, bits) in [("int8", 9.0), ("int4", 5.0), ("int3", 4.0), ("int2", 3.0), ("int4:group=64", 4.5)] {
        let mut cache = build(kind);
        tape.prompt(cache.as_mut(), &ws, residual, 64);
        assert_eq!(cache.bytes().codes, 0, "{kind}: all are the last ones");
        let mut cache = build(kind);
        tape.prompt(cache.as_mut(), &ws, residual + coded, 64);
        let bytes = cache.bytes();
        assert_eq!(bytes.codes as f64, (2 * heads * coded * DIM) as f64 * bits / 8.0, "{kind}");
        let group = if kind.ends_with("64") { 64 } else { 32 };
        assert_eq!(bytes.tokens, 2 * 2 * heads * (residual + group) * DIM, "{kind}: and room for a group");
    }
    for (kind, bits) in [("q8_0", 8.5), ("q4_0", 4.5), ("q4_0:hadamard=on", 4.5)] {
        let mut cache = build(kind);
        tape.prompt(cache.as_mut(), &ws, 300, 64);
        let bytes = cache.bytes();
        assert_eq!(bytes.codes as f64, (2 * heads * 300 * DIM) as f64 * bits / 8.0, "{kind}");
        assert_eq!(bytes.tokens, 0, "{kind}");
    }
}

#[test]
fn forks_go_on_by_themselves() {
    let (tape, other, ws) = (Tape::new(shape(), "fork"), Tape::new(shape(), "other"), workspace());
    for kind in ["int4:keys=unrotated", "q8_0"] {
        let mut cache = build(kind);
        tape.prompt(cache.as_mut(), &ws, 200, 64);
        let mut fork = cache.fork().unwrap();
        (200..300).for_each(|token| drop(other.decode(fork.as_mut(), &ws, token)));
        let mut again = build(kind);
        tape.prompt(again.as_mut(), &ws, 200, 64);
        for token in 200..240 {
            let (a, b) = (tape.decode(cache.as_mut(), &ws, token), tape.decode(again.as_mut(), &ws, token));
            assert_eq!(a, b, "{kind}, token {token}");
        }
        assert_eq!((fork.len(), cache.len(), cache.describe()), (300, 240, again.describe()), "{kind}");
    }
}

/// Groups of a size that makes no sense are refused, by settings that were not read from a text too.
#[test]
fn settings_out_of_range_are_refused() {
    use fourier_kv_cache::KeysAs;
    use fourier_kv_cache::quantised::{Bits, QuantisedSettings, Scheme};
    for group in [0, 257] {
        let scheme = Scheme::Groups { bits: Bits::Four, group, keys: KeysAs::Rotated };
        let kind = CacheKind::Quantised(QuantisedSettings { scheme, residual: 0 });
        let error = kind.build(&CacheContext::uniform(shape()), None).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(&format!("`group` to be a whole number from 1 to 256, got `{group}`")), "{error}");
    }
}
