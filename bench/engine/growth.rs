//! A long prompt and long growth: bytes reported against bytes allocated, and time a token.
//!
//!     cargo run --release --example growth -- model.gguf text.txt 6000 8000 fourier
//!
//! Prints a JSON row every 500 tokens. The growth feeds the text's own next tokens, so it does not depend on what the
//! model would say, and goes beyond the context that the model was trained for if it must.
#![allow(clippy::print_stdout, reason = "a program that prints")]

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use fourier_kv_engine::model::decoder::LogitRows;
use fourier_kv_engine::{Engine, EngineOptions};
use fourier_kv_testkit::Counting;
use serde_json::json;

#[global_allocator]
static ALLOCATOR: Counting = Counting::new();

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, file, prompt, growth, cache] = args.as_slice() else {
        return Err("expected a model, a text file, the prompt's tokens, the growth's tokens, and a cache".into());
    };
    let (prompt, growth): (usize, usize) = (prompt.parse()?, growth.parse()?);
    let engine = Engine::load(Path::new(model), &EngineOptions::default())?;
    let tokens = engine.text_prompt(&std::fs::read_to_string(file)?)?;
    if tokens.len() < prompt + growth {
        return Err(format!("expected a text of {} tokens, got {}", prompt + growth, tokens.len()).into());
    }
    let mut session = engine.session(&cache.parse()?, None)?;
    let begun = Instant::now();
    session.prompt(&tokens[..prompt], LogitRows::Last, &mut |_| ControlFlow::Continue(()))?;
    println!(
        "{}",
        json!({"cache": session.cache().describe(), "prompt": prompt,
        "prefill_tokens_per_second": prompt as f64 / begun.elapsed().as_secs_f64()})
    );
    // From here on the cache grows, and the working memory of transforms when a new period is planned.
    session.step(tokens[prompt])?;
    let (held, reported) = (ALLOCATOR.held(), session.cache().bytes().total());
    let mut since = Instant::now();
    for (i, &token) in tokens[prompt + 1..prompt + growth].iter().enumerate() {
        let logits = session.step(token)?;
        if logits.iter().any(|x| !x.is_finite()) {
            return Err(format!("a logit after {i} tokens is not a number").into());
        }
        if (i + 1) % 500 == 0 || i + 2 == growth {
            let bytes = session.cache().bytes();
            let allocated = ALLOCATOR.held() as i64 - held as i64;
            let grown = bytes.total() as i64 - reported as i64;
            println!(
                "{}",
                json!({"tokens": session.cache().len(), "bytes": bytes.total(), "by_kind": bytes,
                "exact_bytes": session.cache().shape().exact_bytes(session.cache().len(), 2),
                "reported_growth": grown, "allocated_growth": allocated, "working_memory_growth": allocated - grown,
                "ms_a_token": since.elapsed().as_secs_f64() * 1e3 / 500.0_f64.min((i + 1) as f64)})
            );
            since = Instant::now();
        }
    }
    // Beside its cache a session frees its list of tokens and one row of activations.
    let (before, reported) = (ALLOCATOR.held(), session.cache().bytes().total());
    drop(session);
    let freed = before - ALLOCATOR.held();
    println!("{}", json!({"reported_at_the_end": reported, "freed": freed, "beside": freed as i64 - reported as i64}));
    Ok(())
}
