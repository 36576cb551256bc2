//! A cache of one's own: the first tokens and the last ones, and nothing between (as StreamingLLM does it).
//!
//!     cargo run --release --example own_cache -- model.gguf "What is a Fourier series?"
//!
//! The model calls five operations and never asks which cache it has. This one wraps the exact cache's attention
//! kernel around two short runs of tokens a head.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that prints")]

use std::ops::ControlFlow;
use std::path::Path;

use fourier_kv_engine::cache::{AttnRows, CacheBytes, CacheError, CacheShape, KvCache, KvRows, QueryRows, Workspace};
use fourier_kv_engine::kernels::attention::Queries;
use fourier_kv_engine::kernels::attention::exact::{ExactRegion, ExactScratch, Mask, attend_exact};
use fourier_kv_engine::{Engine, EngineOptions, GenerateOptions, Message, Session};

const SINK: usize = 4;
const WINDOW: usize = 256;

/// Keys and values `[tokens][D]` of the first and of the last tokens of one head.
#[derive(Clone, Default)]
struct Head {
    first: (Vec<f32>, Vec<f32>),
    last: (Vec<f32>, Vec<f32>),
}

struct FirstAndLast {
    shape: CacheShape,
    heads: Vec<Head>,
    lengths: Vec<usize>,
    sealed: bool,
}

impl KvCache for FirstAndLast {
    fn describe(&self) -> String {
        format!("first-and-last:window={WINDOW}")
    }

    fn shape(&self) -> &CacheShape {
        &self.shape
    }

    fn append(&mut self, layer: usize, rows: KvRows<'_>, _: &Workspace) -> Result<(), CacheError> {
        rows.check(&self.shape)?;
        if self.sealed {
            self.forget(layer);
        }
        let (dim, n) = (self.shape.head_dim, rows.tokens);
        for (g, head) in self.heads[layer * self.shape.kv_heads..][..self.shape.kv_heads].iter_mut().enumerate() {
            head.last.0.extend_from_slice(&rows.k[g * n * dim..(g + 1) * n * dim]);
            head.last.1.extend_from_slice(&rows.v[g * n * dim..(g + 1) * n * dim]);
        }
        self.lengths[layer] += n;
        Ok(())
    }

    fn seal(&mut self, layer: usize, _: &Workspace) -> Result<(), CacheError> {
        self.forget(layer);
        self.sealed = true;
        Ok(())
    }

    fn attend(
        &self,
        layer: usize,
        q: QueryRows<'_>,
        ws: &Workspace,
        out: &mut AttnRows<f32>,
    ) -> Result<(), CacheError> {
        q.check(&self.shape)?;
        let dim = self.shape.head_dim;
        let rows = self.shape.group() * q.tokens;
        let scale = 1.0 / (dim as f32).sqrt();
        for (g, mut state) in out.all().chunks(rows).into_iter().enumerate() {
            let head = &self.heads[layer * self.shape.kv_heads + g];
            let rows = &q.q[g * rows * dim..(g + 1) * rows * dim];
            let queries = Queries { rows, dim, tokens: q.tokens, first: 0, scale };
            let mut scratch = ExactScratch::default();
            for ((keys, values), mask) in [(&head.first, Mask::None), (&head.last, Mask::Causal)] {
                attend_exact(ws.isa(), queries, ExactRegion { keys, values }, mask, &mut scratch, &mut state);
            }
        }
        Ok(())
    }

    fn len(&self) -> usize {
        self.lengths.iter().copied().min().unwrap_or(0)
    }

    fn bytes(&self) -> CacheBytes {
        let numbers = |x: &(Vec<f32>, Vec<f32>)| x.0.capacity() + x.1.capacity();
        let tokens = self.heads.iter().map(|h| 4 * (numbers(&h.first) + numbers(&h.last))).sum();
        CacheBytes { tokens, ..CacheBytes::default() }
    }
}

impl FirstAndLast {
    fn new(shape: CacheShape) -> Self {
        let heads = vec![Head::default(); shape.layers * shape.kv_heads];
        FirstAndLast { heads, lengths: vec![0; shape.layers], shape, sealed: false }
    }

    /// Moves the sink out of the way once, and drops what has left the window.
    fn forget(&mut self, layer: usize) {
        let dim = self.shape.head_dim;
        for head in &mut self.heads[layer * self.shape.kv_heads..][..self.shape.kv_heads] {
            for (first, last) in [(&mut head.first.0, &mut head.last.0), (&mut head.first.1, &mut head.last.1)] {
                if first.is_empty() && last.len() > (SINK + WINDOW) * dim {
                    first.extend(last.drain(..SINK * dim));
                }
                if !first.is_empty() {
                    last.drain(..last.len().saturating_sub(WINDOW * dim));
                }
            }
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, question] = args.as_slice() else {
        return Err("expected a model and a question".into());
    };
    let engine = Engine::load(Path::new(model), &EngineOptions::default())?;
    let cache = FirstAndLast::new(engine.model().cache_shape());
    let mut session = Session::new(&engine, Box::new(cache));
    let prompt = engine.chat_prompt(&[Message::new("user", question.as_str())])?;
    let options = GenerateOptions { max_tokens: Some(400), ..GenerateOptions::default() };
    let answer = engine.generate(&mut session, &prompt, &options, &mut |_| ControlFlow::Continue(()))?;
    println!("{}\n{} tokens in {} bytes", answer.text, session.cache().len(), session.cache().bytes().total());
    Ok(())
}
