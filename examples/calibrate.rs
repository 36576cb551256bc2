//! Looks at a text with a model and writes a plan: which head dims may become spectral.
//!
//!     cargo run --release --example calibrate -- model.gguf text.txt model.plan
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that prints")]

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use fourier_kv_engine::cache::fourier::budget::shares;
use fourier_kv_engine::cache::plan::Plan;
use fourier_kv_engine::{CalibrateOptions, Engine, EngineOptions, calibrate};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, text, out] = args.as_slice() else {
        return Err("expected a model, a text file and the plan's file".into());
    };
    let engine = Engine::load(Path::new(model), &EngineOptions::default())?;
    let text = std::fs::read_to_string(text)?;
    let plan = calibrate(&engine, &text, &CalibrateOptions::default(), &mut |progress| {
        eprint!("\r{} of {}", progress.done, progress.total);
        ControlFlow::Continue(())
    })?;
    plan.write(Path::new(out))?;

    // A plan is plain data. It serves every quantisation of this model, and no other model.
    let plan = Plan::read(Path::new(out))?;
    for (layer, heads) in plan.heads.iter().enumerate() {
        let budget = shares(layer, plan.heads.len());
        println!("layer {layer}: keys {:?} ({:.0} %)", heads[0].keys, 100.0 * budget.keys);
    }
    engine.session(&"fourier".parse()?, Some(Arc::new(plan)))?;
    Ok(())
}
