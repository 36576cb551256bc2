//! Parked sessions: bytes on disk against bytes held, and how fast they are written and read, for several caches.
//!
//!     cargo run --release --example parking -- model.gguf text.txt 6000 fourier int4 ...
//!
//! Prints a JSON row a cache. Times are of the thread that writes and reads, the least of three, so that other programs
//! on the machine do not count; the file lies in the folder for temporary files, and stays in the system's memory. That
//! what is read is what was written is checked by the bits of the next token's logits.
#![allow(clippy::print_stdout, reason = "a program that prints")]

use std::ops::ControlFlow;
use std::path::Path;

use fourier_kv_engine::model::decoder::LogitRows;
use fourier_kv_engine::{Engine, EngineOptions};
use serde_json::json;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, file, tokens, kinds @ ..] = args.as_slice() else {
        return Err("expected a model, a text file, a number of tokens, and caches".into());
    };
    let engine = Engine::load(Path::new(model), &EngineOptions::default())?;
    let mut prompt = engine.text_prompt(&std::fs::read_to_string(file)?)?;
    prompt.truncate(tokens.parse()?);
    for kind in kinds {
        let path = std::env::temp_dir().join(format!("parking-{}.fkvs", kind.replace([':', ',', '='], "-")));
        let mut session = engine.session(&kind.parse()?, None)?;
        session.prompt(&prompt, LogitRows::Last, &mut |_| ControlFlow::Continue(()))?;
        let held = session.cache().bytes();
        let (mut write, mut read, mut stored) = (f64::MAX, f64::MAX, 0);
        for _ in 0..3 {
            let begun = seconds()?;
            stored = session.park(&path)?;
            let written = seconds()?;
            engine.unpark(&path)?;
            write = write.min(written - begun);
            read = read.min(seconds()? - written);
        }
        let mut again = engine.unpark(&path)?;
        let bits = |logits: &[f32]| logits.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
        if bits(session.step(prompt[0])?) != bits(again.step(prompt[0])?) {
            return Err(format!("{kind} did not come back as it was").into());
        }
        let megabytes = held.total() as f64 / 1e6;
        println!(
            "{}",
            json!({"cache": session.cache().describe(), "tokens": prompt.len(), "held_bytes": held.total(),
            "by_kind": held, "stored_bytes": stored, "stored_of_held": stored as f64 / held.total() as f64,
            "write_mb_per_second": megabytes / write, "read_mb_per_second": megabytes / read})
        );
    }
    Ok(())
}

/// Seconds that this thread has computed.
fn seconds() -> Result<f64, Box<dyn std::error::Error>> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds: u64 = text.split_whitespace().next().ok_or("no time in /proc/thread-self/schedstat")?.parse()?;
    Ok(nanoseconds as f64 / 1e9)
}
