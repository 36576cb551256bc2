//! How many contexts of 32k tokens fit beside the weights of a Llama-3.1-8B, by allocating them until no more fits.
//!
//!     cargo run --release -p fourier-kv-cuda --example cuda_capacity
//!
//! Weights are random numbers in `bf16`; each context is given, layer by layer, the memory that its cache takes: `exact`,
//! `fourier` with 97 of 128 dims spectral in 512 harmonics, `spectral` at 2 bits with its tables, the last two with a
//! sink and window of 1,024 tokens. Activations of a step and working memory are not there.

#[path = "../../crates/cuda/tests/support/mod.rs"]
mod support;

use std::io::Write;

use fourier_kv_cuda::attention::Heads;
use fourier_kv_cuda::attention::fourier::FourierSizes;
use fourier_kv_cuda::{Buffer, CudaError, Device, Random};
use half::bf16;

const HEADS: Heads = Heads { heads: 32, kv_heads: 8, head_dim: 128 };
const LAYERS: usize = 32;
const CONTEXT: usize = 32_768;
const WHOLE: usize = 1024;
/// Numbers of the weights: embedding and output of 128,256 words, and 32 layers of width 4,096 and hidden 14,336.
const WEIGHTS: usize = 2 * 128_256 * 4096 + LAYERS * (2 * 4096 * (4096 + 1024) + 3 * 4096 * 14_336);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(device) = support::device() else { return Ok(()) };
    let mut weights = Vec::new();
    let mut random = Random::new(&device, 1)?;
    for _ in 0..LAYERS {
        let mut layer = device.uninitialised::<bf16>(WEIGHTS / LAYERS)?;
        random.bf16(&device, &mut layer, 0.02)?;
        weights.push(layer);
    }
    let out = &mut std::io::stdout();
    writeln!(out, "{:?}; weights {:.2} GB", device.info(), 2.0 * WEIGHTS as f64 / 1e9)?;
    let row = 2 * 2 * HEADS.kv_heads * HEADS.head_dim;
    let fourier = FourierSizes { heads: HEADS, harmonics: 512, key_tracks: 97, value_tracks: 97 };
    let coded = (CONTEXT - WHOLE) * row / 8;
    // Of each coefficient half a pair (12 bytes, for 11 of 16) and the sources of a word; and the ways back of both sides,
    // of which a plan may give up the smaller directions.
    let tables = 2 * 16_384 * (4 + 8) + HEADS.kv_heads * (4 * 32 * 34 * 2 + 257 * 128 * 4);
    // And what new tokens are coded with: the ways forth, a place's number, a coefficient's size and bits.
    let tables = tables + HEADS.kv_heads * (4 * 32 * 33 * 4 + 128 * 257 * 2) + 2 * 16_384 * 2 + 22_528 * 5;
    let kinds = [
        ("exact", CONTEXT * row),
        ("fourier", fourier.bytes(CONTEXT - WHOLE) + WHOLE * row),
        ("spectral", coded + tables + WHOLE * row),
    ];
    for (name, bytes) in kinds {
        let contexts = fill(&device, bytes)?;
        let gigabytes = (LAYERS * bytes) as f64 / 1e9;
        writeln!(out, "{name}: {contexts} contexts of {CONTEXT} tokens, {gigabytes:.3} GB each")?;
    }
    drop(weights);
    Ok(())
}

/// Contexts that fit, each [`LAYERS`] times `bytes`. The memory is given back.
fn fill(device: &Device, bytes: usize) -> Result<usize, CudaError> {
    let mut held: Vec<Buffer<u8>> = Vec::new();
    loop {
        match device.uninitialised(bytes) {
            Ok(layer) => held.push(layer),
            Err(CudaError::Memory { .. }) => return Ok(held.len() / LAYERS),
            Err(other) => return Err(other),
        }
    }
}
