//! What makes two files the same model, however their weights are stored.

use std::fmt::Write;

use half::bf16;
use sha2::{Digest, Sha256};

use crate::config::ModelConfig;
use crate::error::WeightsError;
use crate::weights::{Role, Weights};

/// SHA-256, in hex, over the model's shape, its rotary frequencies and its norm weights, the latter
/// two rounded to bf16.
///
/// Norms are stored as floats in every quantisation of a model, so they say which model it is, and
/// every kind of further training changes them. Rotary frequencies stand for the scaling: file
/// formats state it differently.
pub(crate) fn fingerprint(config: &ModelConfig, weights: &Weights) -> Result<String, WeightsError> {
    let mut hash = Sha256::new();
    hash.update(shape_text(config));
    let frequencies: Vec<f32> = config.rope_frequencies().iter().map(|&f| f as f32).collect();
    update(&mut hash, &frequencies);
    for role in Role::all(config) {
        let norm = matches!(role, Role::OutputNorm | Role::AttentionNorm(_) | Role::FeedForwardNorm(_));
        if norm {
            update(&mut hash, &weights.vector(role)?);
        }
    }
    let mut hex = String::with_capacity(64);
    for byte in hash.finalize() {
        // writing to a text cannot fail
        let _ = write!(hex, "{byte:02x}");
    }
    Ok(hex)
}

fn shape_text(config: &ModelConfig) -> String {
    format!(
        "family={} layers={} heads={} kv_heads={} head_dim={} width={} hidden={} vocabulary={}\n",
        config.family.info().name,
        config.layers,
        config.heads,
        config.kv_heads,
        config.head_dim,
        config.width,
        config.hidden,
        config.vocabulary,
    )
}

fn update(hash: &mut Sha256, values: &[f32]) {
    for &value in values {
        hash.update(bf16::from_f32(value).to_bits().to_le_bytes());
    }
}
