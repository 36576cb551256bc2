//! Models with random weights that a few lines of any language can make again, bit for bit.
//!
//! Element `i` (row-major) of the tensor with the Hugging Face name `name` comes from
//! `z = fnv1a64(name) + (i + 1) * 0x9E3779B97F4A7C15` through the SplitMix64 finaliser, as
//! `u = 2 * (z >> 40) / 2^24 - 1`, uniform in [-1, 1). Its value is computed in f64 and rounded
//! once, to the nearest bf16 (ties to even):
//!
//! | tensor | value |
//! | --- | --- |
//! | token embedding | `u` |
//! | other matrices `[rows, cols]` | `u * sqrt(3 / cols)`: outputs as large as inputs |
//! | norms | `1 + 0.1 * u` |
//! | biases | `0.5 * u` |

use half::bf16;

/// Shape and constants of a random model.
#[derive(Debug, Clone, PartialEq)]
pub struct RandomModel {
    /// `llama` or `qwen2`.
    pub family: &'static str,
    /// L: layers.
    pub layers: usize,
    /// H: query heads.
    pub heads: usize,
    /// G: key/value heads.
    pub kv_heads: usize,
    /// D: dims of a head.
    pub head_dim: usize,
    /// Width of the residual stream.
    pub width: usize,
    /// Width of the feed-forward layers.
    pub hidden: usize,
    /// Number of tokens; the tokenizer written with the model has 96.
    pub vocabulary: usize,
    /// Base of the rotary frequencies.
    pub theta: f32,
    /// Scaling of the rotary frequencies.
    pub rope_scaling: Option<Llama3Scaling>,
    /// Whether the output matrix is the token embedding.
    pub tied: bool,
    /// Whether query, key and value projections have biases.
    pub attention_bias: bool,
    /// Whether the attention's output projection has a bias.
    pub attention_output_bias: bool,
    /// What RMS norms add to the mean square.
    pub norm_eps: f32,
    /// Context length in tokens.
    pub context: usize,
}

/// Rotary scaling of the `llama3` kind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Llama3Scaling {
    /// What low frequencies are divided by.
    pub factor: f64,
    /// Pairs with fewer turns in the original context are divided.
    pub low_freq_factor: f64,
    /// Pairs with more turns in the original context are kept.
    pub high_freq_factor: f64,
    /// The original context length in tokens.
    pub original_context: usize,
}

/// A named tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Its Hugging Face name.
    pub name: String,
    /// Dimensions, slowest first.
    pub shape: Vec<usize>,
    /// Values, row-major.
    pub values: Vec<bf16>,
}

impl RandomModel {
    /// Two layers of the llama family: grouped queries, `llama3` rotary scaling, untied output.
    pub fn llama() -> RandomModel {
        RandomModel {
            family: "llama",
            layers: 2,
            heads: 6,
            kv_heads: 2,
            head_dim: 8,
            width: 48,
            hidden: 80,
            vocabulary: 96,
            theta: 10_000.0,
            rope_scaling: Some(Llama3Scaling {
                factor: 8.0,
                low_freq_factor: 1.0,
                high_freq_factor: 4.0,
                original_context: 16,
            }),
            tied: false,
            attention_bias: false,
            attention_output_bias: false,
            norm_eps: 1e-5,
            context: 256,
        }
    }

    /// Two layers of the qwen2 family: biases, tied output.
    pub fn qwen2() -> RandomModel {
        RandomModel {
            family: "qwen2",
            layers: 2,
            heads: 4,
            kv_heads: 2,
            head_dim: 8,
            width: 32,
            hidden: 64,
            vocabulary: 96,
            theta: 1_000_000.0,
            rope_scaling: None,
            tied: true,
            attention_bias: true,
            attention_output_bias: false,
            norm_eps: 1e-6,
            context: 256,
        }
    }

    /// All tensors, by their Hugging Face names.
    pub fn tensors(&self) -> Vec<Tensor> {
        let mut tensors = vec![embedding("model.embed_tokens.weight", self.vocabulary, self.width)];
        for layer in 0..self.layers {
            tensors.extend(self.layer_tensors(&format!("model.layers.{layer}.")));
        }
        tensors.push(norm("model.norm.weight".to_owned(), self.width));
        if !self.tied {
            tensors.push(matrix("lm_head.weight".to_owned(), self.vocabulary, self.width));
        }
        tensors
    }

    fn layer_tensors(&self, layer: &str) -> Vec<Tensor> {
        let query = self.heads * self.head_dim;
        let key = self.kv_heads * self.head_dim;
        let (width, hidden) = (self.width, self.hidden);
        let name = |name: &str| format!("{layer}{name}");
        let mut tensors = vec![
            norm(name("input_layernorm.weight"), width),
            matrix(name("self_attn.q_proj.weight"), query, width),
            matrix(name("self_attn.k_proj.weight"), key, width),
            matrix(name("self_attn.v_proj.weight"), key, width),
            matrix(name("self_attn.o_proj.weight"), width, query),
            norm(name("post_attention_layernorm.weight"), width),
            matrix(name("mlp.gate_proj.weight"), hidden, width),
            matrix(name("mlp.up_proj.weight"), hidden, width),
            matrix(name("mlp.down_proj.weight"), width, hidden),
        ];
        if self.attention_bias {
            tensors.push(bias(name("self_attn.q_proj.bias"), query));
            tensors.push(bias(name("self_attn.k_proj.bias"), key));
            tensors.push(bias(name("self_attn.v_proj.bias"), key));
        }
        if self.attention_output_bias {
            tensors.push(bias(name("self_attn.o_proj.bias"), width));
        }
        tensors
    }

    /// What each rotary pair's frequency is divided by (D/2 factors), if the model scales them.
    pub fn rope_factors(&self) -> Option<Vec<f32>> {
        let scaling = self.rope_scaling?;
        let frequency = |pair: usize| f64::from(self.theta).powf(-2.0 * pair as f64 / self.head_dim as f64);
        Some((0..self.head_dim / 2).map(|pair| scaling.divisor(frequency(pair)) as f32).collect())
    }
}

impl Llama3Scaling {
    /// What a frequency is divided by: the rule in wavelengths, as llama.cpp's converter has it.
    fn divisor(&self, frequency: f64) -> f64 {
        let wavelength = std::f64::consts::TAU / frequency;
        let original = self.original_context as f64;
        if wavelength < original / self.high_freq_factor {
            return 1.0;
        }
        if wavelength > original / self.low_freq_factor {
            return self.factor;
        }
        let smooth = (original / wavelength - self.low_freq_factor) / (self.high_freq_factor - self.low_freq_factor);
        1.0 / ((1.0 - smooth) / self.factor + smooth)
    }
}

fn embedding(name: &str, rows: usize, cols: usize) -> Tensor {
    tensor(name.to_owned(), vec![rows, cols], |u| u)
}

fn matrix(name: String, rows: usize, cols: usize) -> Tensor {
    let scale = (3.0 / cols as f64).sqrt();
    tensor(name, vec![rows, cols], |u| u * scale)
}

fn norm(name: String, len: usize) -> Tensor {
    tensor(name, vec![len], |u| 1.0 + 0.1 * u)
}

fn bias(name: String, len: usize) -> Tensor {
    tensor(name, vec![len], |u| 0.5 * u)
}

fn tensor(name: String, shape: Vec<usize>, value: impl Fn(f64) -> f64) -> Tensor {
    let seed = fnv1a64(name.as_bytes());
    let len: usize = shape.iter().product();
    let values = (0..len as u64).map(|i| nearest_bf16(value(uniform(seed, i)))).collect();
    Tensor { name, shape, values }
}

/// The FNV-1a hash of 64 bits.
pub fn fnv1a64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// Element `i` of the stream with this seed, uniform in [-1, 1).
pub fn uniform(seed: u64, i: u64) -> f64 {
    let mut z = seed.wrapping_add((i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    2.0 * ((z >> 40) as f64 / f64::from(1u32 << 24)) - 1.0
}

/// The nearest bf16, ties to even, rounding once (by way of f32 it would be twice). For numbers
/// that are normal in bf16, and 0.
fn nearest_bf16(value: f64) -> bf16 {
    const DROPPED: u32 = 52 - 7;
    let bits = value.to_bits();
    let half = (1u64 << (DROPPED - 1)) - 1 + ((bits >> DROPPED) & 1);
    let rounded = f64::from_bits((bits + half) >> DROPPED << DROPPED);
    bf16::from_f32(rounded as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_streams_are_those_of_the_published_algorithms() {
        // FNV-1a test vectors by its authors; SplitMix64 outputs for seed 1234567
        assert_eq!(fnv1a64(b""), 0xcbf29ce484222325);
        assert_eq!(fnv1a64(b"foobar"), 0x85944171f73967e8);
        let expected = [6457827717110365317u64, 3203168211198807973, 9817491932198370423];
        for (i, z) in expected.into_iter().enumerate() {
            let u = 2.0 * ((z >> 40) as f64 / 16777216.0) - 1.0;
            assert_eq!(uniform(1234567, i as u64), u);
        }
    }

    #[test]
    fn rounding_is_to_nearest_even_and_once() {
        let one = 1.0f64;
        let step = 2f64.powi(-7);
        assert_eq!(nearest_bf16(one).to_f64(), one);
        assert_eq!(nearest_bf16(one + 0.5 * step).to_f64(), one, "tie to even");
        assert_eq!(nearest_bf16(one + 1.5 * step).to_f64(), one + 2.0 * step, "tie to even");
        // by way of f32 this would become the tie above, and then 1
        assert_eq!(nearest_bf16(one + 0.5 * step + 2f64.powi(-40)).to_f64(), one + step);
        assert_eq!(nearest_bf16(-0.3).to_f32(), bf16::from_f32(-0.3).to_f32());
        assert_eq!(nearest_bf16(0.0).to_f32(), 0.0);
    }
}
