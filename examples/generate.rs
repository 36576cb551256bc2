//! Answers a question about a file, with the past in a small cache.
//!
//!     cargo run --release --example generate -- model.gguf report.txt "Summarise the findings."
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that prints")]

use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;

use fourier_kv_engine::{Engine, EngineOptions, Event, GenerateOptions, Message};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, file, question] = args.as_slice() else {
        return Err("expected a model, a text file and a question".into());
    };
    let engine = Engine::load(Path::new(model), &EngineOptions::default())?;
    let text = std::fs::read_to_string(file)?;
    let prompt = engine.chat_prompt(&[Message::new("user", format!("{text}\n\n{question}"))])?;

    let mut session = engine.session(&"fourier".parse()?, None)?;
    let options = GenerateOptions { max_tokens: Some(200), ..GenerateOptions::default() };
    let answer = engine.generate(&mut session, &prompt, &options, &mut |event| {
        if let Event::Text(text) = event {
            print!("{text}");
            // Nothing can be done about a closed terminal but to stop.
            if std::io::stdout().flush().is_err() {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    })?;

    let cache = session.cache();
    let (held, exact) = (cache.bytes().total(), cache.shape().exact_bytes(cache.len(), 2));
    println!(
        "\n{} tokens read in {:.1} s; {} written in {:.1} s; the past takes {:.1} MB instead of {:.1} MB",
        prompt.len(),
        answer.prefill.as_secs_f64(),
        answer.tokens.len(),
        answer.decode.as_secs_f64(),
        held as f64 / 1e6,
        exact as f64 / 1e6
    );
    Ok(())
}
