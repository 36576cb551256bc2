//! Random models as folders of safetensors files.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, serialize};
use serde_json::{Value, json};

use crate::quantise::Encoding;
use crate::random_model::{RandomModel, Tensor};
use crate::tiny_tokenizer;

impl RandomModel {
    /// Writes the model into a folder: weights in `parts` files (1 for `model.safetensors`, more
    /// for numbered parts with an index), configuration, tokenizer.
    ///
    /// # Errors
    ///
    /// If a file cannot be written.
    ///
    /// # Panics
    ///
    /// If `encoding` is not one of the plain floats, or `parts` is 0.
    pub fn write_safetensors(&self, folder: &Path, encoding: Encoding, parts: usize) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let tensors = self.tensors();
        let mut map = serde_json::Map::new();
        for (part, tensors) in tensors.chunks(tensors.len().div_ceil(parts)).enumerate() {
            let file = match parts {
                1 => "model.safetensors".to_owned(),
                _ => format!("model-{:05}-of-{parts:05}.safetensors", part + 1),
            };
            fs::write(folder.join(&file), safetensors_bytes(tensors, encoding))?;
            map.extend(tensors.iter().map(|tensor| (tensor.name.clone(), json!(file))));
        }
        if parts > 1 {
            let index = json!({ "metadata": {}, "weight_map": map });
            write_json(folder, "model.safetensors.index.json", &index)?;
        }
        write_json(folder, "config.json", &self.config_json())?;
        write_json(folder, "tokenizer.json", &tiny_tokenizer::tokenizer_json())?;
        write_json(folder, "tokenizer_config.json", &tiny_tokenizer::tokenizer_config())
    }

    /// The model's `config.json`.
    pub fn config_json(&self) -> Value {
        let scaling = self.rope_scaling.map(|scaling| {
            json!({
                "rope_type": "llama3",
                "factor": scaling.factor,
                "low_freq_factor": scaling.low_freq_factor,
                "high_freq_factor": scaling.high_freq_factor,
                "original_max_position_embeddings": scaling.original_context,
            })
        });
        let mut config = json!({
            "model_type": self.family,
            "hidden_act": "silu",
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "hidden_size": self.width,
            "intermediate_size": self.hidden,
            "vocab_size": self.vocabulary,
            "max_position_embeddings": self.context,
            "rms_norm_eps": decimal(self.norm_eps),
            "rope_theta": self.theta,
            "rope_scaling": scaling,
            "tie_word_embeddings": self.tied,
            "bos_token_id": tiny_tokenizer::TURN_START,
            "eos_token_id": tiny_tokenizer::TURN_END,
            "torch_dtype": "bfloat16",
        });
        if self.family == "llama" {
            config["attention_bias"] = json!(self.attention_bias);
            config["head_dim"] = json!(self.head_dim);
        }
        config
    }
}

/// The number that is written for a 32-bit float: 0.00001 rather than its nearest neighbour.
fn decimal(value: f32) -> Value {
    let shortest: f64 = value.to_string().parse().expect("a float reads back");
    json!(shortest)
}

fn safetensors_bytes(tensors: &[Tensor], encoding: Encoding) -> Vec<u8> {
    let dtype = match encoding {
        Encoding::F32 => Dtype::F32,
        Encoding::F16 => Dtype::F16,
        Encoding::BF16 => Dtype::BF16,
        Encoding::Q8_0 => panic!("safetensors files hold plain floats"),
    };
    let bytes: Vec<Vec<u8>> = tensors.iter().map(|t| encoding.encode(&t.values)).collect();
    let views: BTreeMap<&str, TensorView<'_>> = tensors
        .iter()
        .zip(&bytes)
        .map(|(tensor, bytes)| {
            let view = TensorView::new(dtype, tensor.shape.clone(), bytes);
            (tensor.name.as_str(), view.expect("as many bytes as the shape needs"))
        })
        .collect();
    serialize(views, None).expect("a header of a few kilobytes")
}

fn write_json(folder: &Path, file: &str, value: &Value) -> io::Result<()> {
    fs::write(folder.join(file), value.to_string())
}
