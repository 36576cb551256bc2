//! SmolLM2 over a long prompt: sizes, growth, and the byte report against the allocator.

#![allow(clippy::print_stdout, reason = "figures for the record: cargo test -- --nocapture")]

mod common;

use std::ops::ControlFlow;

use fourier_kv_engine::model::decoder::LogitRows;
use fourier_kv_engine::{GenerateOptions, Message};
use fourier_kv_testkit::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting::new();

/// One test, since the allocator counts for the whole process.
#[test]
fn six_thousand_tokens_take_half_the_bytes_and_grow_truly() {
    let engine = common::smollm2();
    let mut prompt = engine.text_prompt(&common::report(6_000 * 2)).unwrap();
    prompt.truncate(6_000);
    assert_eq!(prompt.len(), 6_000);
    let mut session = engine.session(&"fourier".parse().unwrap(), None).unwrap();
    let begun = ALLOCATOR.held();
    session.prompt(&prompt, LogitRows::Last, &mut |_| ControlFlow::Continue(())).unwrap();
    let bytes = session.cache().bytes();
    let exact = session.cache().shape().exact_bytes(6_000, 2);
    let ratio = exact as f64 / bytes.total() as f64;
    println!("{} bytes instead of {exact}: {ratio:.2} times fewer; {bytes:?}", bytes.total());
    assert!(ratio >= 1.9, "{ratio}");
    // What the session holds more than before is its cache, and working memory of the engine, below 32 MB.
    let grown = ALLOCATOR.held() - begun;
    assert!(grown < bytes.total() + (32 << 20), "{grown} bytes are held for {}", bytes.total());

    // Through the end of the first spectrum's room (5,760 tokens) and into the next one, begun when 1,024 more wait.
    session.step(prompt[0]).unwrap();
    let growth = 1_850;
    for i in 0..growth {
        let logits = session.step(prompt[i]).unwrap();
        assert!(logits.iter().all(|x| x.is_finite()), "token {i}");
    }
    assert_eq!(session.cache().len(), 6_000 + 1 + growth);
    let after = session.cache().bytes();
    assert!(after.coefficients > bytes.coefficients * 3 / 2, "a second spectrum: {after:?}");
    let reported = after.total();
    let before_drop = ALLOCATOR.held();
    drop(session);
    let freed = before_drop - ALLOCATOR.held();
    // Besides its cache a session holds its tokens, one row of activations, and itself.
    let besides = freed - reported;
    println!("after {growth} tokens more: {reported} bytes reported, {freed} freed");
    assert!(besides < 512 << 10, "{besides}");

    answers_a_question(&engine);
}

/// The whole way: a chat prompt of a few hundred tokens with one fact in it.
fn answers_a_question(engine: &fourier_kv_engine::Engine) {
    let text = format!("{}\nThe captain's dog is called Biscuit.\n", common::report(300));
    let prompt = engine.chat_prompt(&[Message::new("user", text + "\nWhat is the captain's dog called?")]).unwrap();
    let mut session = engine.session(&"fourier:window=128,harmonics=64".parse().unwrap(), None).unwrap();
    let options = GenerateOptions { max_tokens: Some(40), ..GenerateOptions::default() };
    let answer = engine.generate(&mut session, &prompt, &options, &mut |_| ControlFlow::Continue(())).unwrap();
    println!("{}", answer.text);
    assert!(answer.text.contains("Biscuit"), "{}", answer.text);
}
