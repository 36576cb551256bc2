//! Caches that drop tokens, against attention in f64 over the tokens that should be kept.

mod common;

use common::{Tape, context, difference, shape, workspace};
use fourier_kv_cache::{CacheKind, KvCache};

fn filled(kind: &str, tape: &Tape, prompt: usize) -> Box<dyn KvCache> {
    let mut cache = kind.parse::<CacheKind>().unwrap().build(&context(), None).unwrap();
    tape.prompt(cache.as_mut(), &workspace(), prompt, 50);
    cache
}

#[test]
fn streaming_sees_the_first_and_the_last() {
    let (tape, ws) = (Tape::new(shape(), "streaming"), workspace());
    let mut cache = filled("streaming:tokens=100,sink=3", &tape, 400);
    let mut window = 400 - 97;
    for token in 400..700 {
        // What is over by a whole step leaves before the next token comes.
        window += (3 + token - window - 100) / 64 * 64;
        let kept: Vec<usize> = (0..3).chain(window..=token).collect();
        let out = tape.decode(cache.as_mut(), &ws, token);
        if token % 7 == 0 {
            let off = difference(&out, &tape.oracle_over(1, token, |_| kept.clone()));
            assert!(off < 1e-5, "token {token}: {off}");
        }
    }
    assert_eq!(cache.len(), 700);
}

/// The votes of the definition: mean attention of the last queries, in f64.
fn votes(tape: &Tape, layer: usize, g: usize, prompt: usize, window: usize) -> Vec<f64> {
    let mut votes = vec![0.0; prompt - window];
    for token in prompt - window..prompt {
        for h in g * 3..(g + 1) * 3 {
            let weights = tape.weights(layer, h, token);
            votes.iter_mut().zip(&weights).for_each(|(v, w)| *v += w);
        }
    }
    votes
}

/// The tokens with most votes after pooling by the largest neighbour within `reach`, and the window.
fn chosen(votes: &[f64], reach: usize, count: usize, prompt: usize) -> Vec<usize> {
    let pooled = |i: usize| {
        let near = &votes[i.saturating_sub(reach)..(i + reach + 1).min(votes.len())];
        near.iter().copied().fold(0.0, f64::max)
    };
    let mut order: Vec<usize> = (0..votes.len()).collect();
    order.sort_by(|&a, &b| pooled(b).total_cmp(&pooled(a)).then(a.cmp(&b)));
    order.truncate(count);
    order.extend(votes.len()..prompt);
    order
}

#[test]
fn the_end_of_the_prompt_chooses() {
    let (tape, ws) = (Tape::new(shape(), "votes"), workspace());
    let (prompt, window) = (300, 16);
    // Of `pyramidkv` the first layer keeps 2 x 44 x (1 - 1/40) tokens beside the window, rounded, the second the rest.
    for (kind, counts) in [
        ("snapkv:tokens=60,window=16,kernel=5", [44, 44]),
        ("snapkv:ratio=3,window=16,kernel=5", [84, 84]),
        ("pyramidkv:tokens=60,window=16,kernel=5", [86, 2]),
    ] {
        let mut cache = filled(kind, &tape, prompt);
        for token in prompt..prompt + 2 {
            for layer in 0..2 {
                let out = tape.step(cache.as_mut(), &ws, layer, token, token + 1);
                let expected = tape.oracle_over(layer, token, |g| {
                    let mut kept = chosen(&votes(&tape, layer, g, prompt, window), 2, counts[layer], prompt);
                    kept.extend(prompt..=token);
                    kept
                });
                let off = difference(&out, &expected);
                assert!(off < 1e-5, "{kind}, token {token}: {off}");
            }
        }
    }
}

#[test]
fn short_prompts_stay_whole() {
    let (tape, ws) = (Tape::new(shape(), "short"), workspace());
    for kind in ["streaming:tokens=500", "snapkv:tokens=200", "pyramidkv:tokens=500"] {
        let mut cache = filled(kind, &tape, 150);
        for token in 150..200 {
            let out = tape.decode(cache.as_mut(), &ws, token);
            assert!(difference(&out, &tape.oracle(1, token)) < 4e-3, "{kind}, token {token}");
        }
    }
}

/// Measured bytes meet the ratio that was asked for, bookkeeping and all but a percent.
#[test]
fn ratios_are_met() {
    let tape = Tape::new(shape(), "ratio");
    for ratio in [2.0, 4.0, 8.0] {
        for kind in ["streaming", "snapkv", "pyramidkv"] {
            let cache = filled(
                &format!("{kind}:ratio={ratio}{}", if kind == "streaming" { "" } else { ",window=8" }),
                &tape,
                1_000,
            );
            let measured = shape().exact_bytes(1_000, 2) as f64 / cache.bytes().tokens as f64;
            assert!((ratio..1.02 * ratio).contains(&measured), "{kind} at {ratio}: {measured}");
        }
    }
}
