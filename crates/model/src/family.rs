//! The model families, as data: what their tensors are called, which biases they have, how their
//! rotary pairs lie.
//!
//! The decoder is the same for all of them. A new family of the kind is a new entry in
//! [`FAMILIES`].

use serde::Serialize;

pub use fourier_kv_kernels::rope::RopePairs;

use crate::weights::Role;

/// A family of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Llama 2, 3, 3.1, 3.2, SmolLM2 and everything of their shape.
    Llama,
    /// Qwen2 and Qwen2.5.
    Qwen2,
}

/// What there is to know about a family.
#[derive(Debug)]
pub struct FamilyInfo {
    /// The family.
    pub family: Family,
    /// Its name: `general.architecture` in GGUF files and `model_type` in `config.json`.
    pub name: &'static str,
    /// Whether its query, key and value projections always have biases; otherwise they have them
    /// where the model says so.
    pub always_biased: bool,
    /// How its rotary pairs lie in GGUF files. In safetensors folders they always lie in halves.
    pub gguf_pairs: RopePairs,
    /// Names of its tensors in GGUF files.
    pub gguf_names: &'static TensorNames,
    /// Names of its tensors in safetensors files.
    pub safetensors_names: &'static TensorNames,
}

/// The families supported.
pub const FAMILIES: &[FamilyInfo] = &[
    FamilyInfo {
        family: Family::Llama,
        name: "llama",
        always_biased: false,
        // llama.cpp's converter permutes the rows of Q and K to this order
        gguf_pairs: RopePairs::Interleaved,
        gguf_names: &GGUF_NAMES,
        safetensors_names: &SAFETENSORS_NAMES,
    },
    FamilyInfo {
        family: Family::Qwen2,
        name: "qwen2",
        always_biased: true,
        gguf_pairs: RopePairs::Halves,
        gguf_names: &GGUF_NAMES,
        safetensors_names: &SAFETENSORS_NAMES,
    },
];

/// What the tensors of each role are called. The names of a layer's tensors follow the layer's
/// own, in which `{}` stands for its number.
#[derive(Debug)]
#[allow(missing_docs)] // each is named after its role
pub struct TensorNames {
    pub token_embedding: &'static str,
    pub output_norm: &'static str,
    pub output: &'static str,
    pub layer: &'static str,
    pub attention_norm: &'static str,
    pub query: &'static str,
    pub query_bias: &'static str,
    pub key: &'static str,
    pub key_bias: &'static str,
    pub value: &'static str,
    pub value_bias: &'static str,
    pub attention_output: &'static str,
    pub attention_output_bias: &'static str,
    pub feed_forward_norm: &'static str,
    pub gate: &'static str,
    pub up: &'static str,
    pub down: &'static str,
}

const GGUF_NAMES: TensorNames = TensorNames {
    token_embedding: "token_embd.weight",
    output_norm: "output_norm.weight",
    output: "output.weight",
    layer: "blk.{}.",
    attention_norm: "attn_norm.weight",
    query: "attn_q.weight",
    query_bias: "attn_q.bias",
    key: "attn_k.weight",
    key_bias: "attn_k.bias",
    value: "attn_v.weight",
    value_bias: "attn_v.bias",
    attention_output: "attn_output.weight",
    attention_output_bias: "attn_output.bias",
    feed_forward_norm: "ffn_norm.weight",
    gate: "ffn_gate.weight",
    up: "ffn_up.weight",
    down: "ffn_down.weight",
};

const SAFETENSORS_NAMES: TensorNames = TensorNames {
    token_embedding: "model.embed_tokens.weight",
    output_norm: "model.norm.weight",
    output: "lm_head.weight",
    layer: "model.layers.{}.",
    attention_norm: "input_layernorm.weight",
    query: "self_attn.q_proj.weight",
    query_bias: "self_attn.q_proj.bias",
    key: "self_attn.k_proj.weight",
    key_bias: "self_attn.k_proj.bias",
    value: "self_attn.v_proj.weight",
    value_bias: "self_attn.v_proj.bias",
    attention_output: "self_attn.o_proj.weight",
    attention_output_bias: "self_attn.o_proj.bias",
    feed_forward_norm: "post_attention_layernorm.weight",
    gate: "mlp.gate_proj.weight",
    up: "mlp.up_proj.weight",
    down: "mlp.down_proj.weight",
};

impl TensorNames {
    /// The name of the tensor with this role.
    pub fn of(&self, role: Role) -> String {
        let (layer, name) = match role {
            Role::TokenEmbedding => return self.token_embedding.to_owned(),
            Role::OutputNorm => return self.output_norm.to_owned(),
            Role::Output => return self.output.to_owned(),
            Role::AttentionNorm(layer) => (layer, self.attention_norm),
            Role::Query(layer) => (layer, self.query),
            Role::QueryBias(layer) => (layer, self.query_bias),
            Role::Key(layer) => (layer, self.key),
            Role::KeyBias(layer) => (layer, self.key_bias),
            Role::Value(layer) => (layer, self.value),
            Role::ValueBias(layer) => (layer, self.value_bias),
            Role::AttentionOutput(layer) => (layer, self.attention_output),
            Role::AttentionOutputBias(layer) => (layer, self.attention_output_bias),
            Role::FeedForwardNorm(layer) => (layer, self.feed_forward_norm),
            Role::Gate(layer) => (layer, self.gate),
            Role::Up(layer) => (layer, self.up),
            Role::Down(layer) => (layer, self.down),
        };
        self.layer.replace("{}", &layer.to_string()) + name
    }
}

impl Family {
    /// What there is to know about the family.
    pub fn info(self) -> &'static FamilyInfo {
        match self {
            Family::Llama => &FAMILIES[0],
            Family::Qwen2 => &FAMILIES[1],
        }
    }

    /// The family with this name, if it is supported.
    pub fn from_name(name: &str) -> Option<Family> {
        FAMILIES.iter().find(|info| info.name == name).map(|info| info.family)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_finds_its_own_entry() {
        for info in FAMILIES {
            assert_eq!(info.family.info().name, info.name);
            assert_eq!(Family::from_name(info.name), Some(info.family));
        }
        assert_eq!(Family::from_name("mamba"), None);
    }
}
