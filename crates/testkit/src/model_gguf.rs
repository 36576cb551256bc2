//! Random models as GGUF files, laid out as llama.cpp's converter does it.

use std::io;
use std::path::Path;

use half::bf16;

use crate::gguf_writer::{GgufWriter, Meta};
use crate::quantise::Encoding;
use crate::random_model::{RandomModel, Tensor};
use crate::tiny_tokenizer;

impl RandomModel {
    /// Writes the model as a GGUF file.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn write_gguf(&self, path: &Path, encoding: Encoding) -> io::Result<()> {
        std::fs::write(path, self.gguf(encoding).finish())
    }

    /// The model as a GGUF file in the making.
    pub fn gguf(&self, encoding: Encoding) -> GgufWriter {
        let mut writer = GgufWriter::new();
        self.write_shape(&mut writer);
        write_tokenizer(&mut writer);
        for tensor in self.tensors() {
            self.write_tensor(&mut writer, &tensor, encoding);
        }
        if let Some(factors) = self.rope_factors() {
            let bytes = factors.iter().flat_map(|factor| factor.to_le_bytes()).collect();
            writer.tensor("rope_freqs.weight", &[factors.len()], 0, bytes);
        }
        writer
    }

    fn write_shape(&self, writer: &mut GgufWriter) {
        writer.pair("general.architecture", Meta::text(self.family));
        writer.pair("general.name", Meta::Text(format!("random {}", self.family)));
        let integers = [
            ("block_count", self.layers),
            ("context_length", self.context),
            ("embedding_length", self.width),
            ("feed_forward_length", self.hidden),
            ("attention.head_count", self.heads),
            ("attention.head_count_kv", self.kv_heads),
            ("rope.dimension_count", self.head_dim),
            ("vocab_size", self.vocabulary),
        ];
        for (key, value) in integers {
            writer.pair(&format!("{}.{key}", self.family), Meta::U32(value as u32));
        }
        let floats = [("attention.layer_norm_rms_epsilon", self.norm_eps), ("rope.freq_base", self.theta)];
        for (key, value) in floats {
            writer.pair(&format!("{}.{key}", self.family), Meta::F32(value));
        }
        if self.head_dim * self.heads != self.width {
            for key in ["attention.key_length", "attention.value_length"] {
                writer.pair(&format!("{}.{key}", self.family), Meta::U32(self.head_dim as u32));
            }
        }
    }

    fn write_tensor(&self, writer: &mut GgufWriter, tensor: &Tensor, encoding: Encoding) {
        let name = gguf_name(&tensor.name);
        let permuted = self.family == "llama" && (tensor.name.contains("q_proj") || tensor.name.contains("k_proj"));
        let values = match permuted {
            true => interleave_pairs(&tensor.values, &tensor.shape, self.head_dim),
            false => tensor.values.clone(),
        };
        let encoding = match tensor.shape[..] {
            [_, cols] => encoding.for_rows(cols),
            _ => Encoding::F32,
        };
        writer.tensor(&name, &tensor.shape, encoding.ggml_id(), encoding.encode(&values));
    }
}

fn write_tokenizer(writer: &mut GgufWriter) {
    writer
        .pair("tokenizer.ggml.model", Meta::text("gpt2"))
        .pair("tokenizer.ggml.pre", Meta::text("gpt-2"))
        .pair("tokenizer.ggml.tokens", Meta::Texts(tiny_tokenizer::tokens()))
        .pair("tokenizer.ggml.token_type", Meta::I32s(tiny_tokenizer::token_types()))
        .pair("tokenizer.ggml.merges", Meta::Texts(tiny_tokenizer::merges()))
        .pair("tokenizer.ggml.bos_token_id", Meta::U32(tiny_tokenizer::TURN_START))
        .pair("tokenizer.ggml.eos_token_id", Meta::U32(tiny_tokenizer::TURN_END))
        .pair("tokenizer.ggml.add_bos_token", Meta::Bool(false))
        .pair("tokenizer.chat_template", Meta::text(tiny_tokenizer::CHAT_TEMPLATE));
}

/// The rows of each head reordered so that rows `i` and `i + D / 2` become `2 i` and `2 i + 1`.
fn interleave_pairs(values: &[bf16], shape: &[usize], head_dim: usize) -> Vec<bf16> {
    let cols = shape.get(1).copied().unwrap_or(1);
    let mut out = Vec::with_capacity(values.len());
    for row in 0..shape[0] {
        let (head, dim) = (row / head_dim, row % head_dim);
        let from = head * head_dim + (dim % 2) * (head_dim / 2) + dim / 2;
        out.extend_from_slice(&values[from * cols..][..cols]);
    }
    out
}

/// The GGUF name of the tensor with this Hugging Face name.
fn gguf_name(name: &str) -> String {
    const PARTS: [(&str, &str); 13] = [
        ("model.embed_tokens", "token_embd"),
        ("model.norm", "output_norm"),
        ("lm_head", "output"),
        ("model.layers", "blk"),
        ("input_layernorm", "attn_norm"),
        ("post_attention_layernorm", "ffn_norm"),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
    ];
    PARTS.iter().fold(name.to_owned(), |name, (from, to)| name.replace(from, to))
}
