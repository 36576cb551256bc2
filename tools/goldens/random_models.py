"""Goldens of two-layer models with random weights.

    python tools/goldens/random_models.py

Writes crates/model/tests/goldens/random_llama.json and random_qwen2.json:

- config: as in a Hugging Face config.json;
- tokens: the ids fed, positions counted from 0;
- checksums: [tensor name, sum, sum of squares] after rounding to bfloat16;
- logits: one row a token, 10 significant digits.

Weights follow the rule of seeded.py under their Hugging Face names, in
float64, then rounded to bfloat16:

    matrix [rows, cols]   u * sqrt(3 / cols)     (variance 1 / cols)
    embedding             u
    norm weight           1 + 0.1 u
    bias                  0.5 u

Token i is `(z >> 40) % vocab` of the name "tokens".
"""

import math

import numpy as np

import golden_file
import reference_model
import seeded

TOKENS = 40
DIGITS = 10

LLAMA = {
    "model_type": "llama",
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "vocab_size": 96,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "rope_scaling": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 16,
    },
    "tie_word_embeddings": False,
}

QWEN2 = {
    "model_type": "qwen2",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "vocab_size": 96,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
    "tie_word_embeddings": True,
}

CHECKED_TENSORS = [
    "model.embed_tokens.weight",
    "model.layers.0.self_attn.q_proj.weight",
    "model.layers.0.self_attn.k_proj.bias",
    "model.layers.1.mlp.down_proj.weight",
    "model.layers.1.input_layernorm.weight",
    "model.norm.weight",
    "lm_head.weight",
]


def layer_shapes(config, layer):
    """Name to shape of one layer's tensors."""
    width, hidden = config["hidden_size"], config["intermediate_size"]
    dims = reference_model.head_dim(config)
    queries = config["num_attention_heads"] * dims
    keys = config["num_key_value_heads"] * dims
    shapes = {
        "input_layernorm.weight": (width,),
        "self_attn.q_proj.weight": (queries, width),
        "self_attn.k_proj.weight": (keys, width),
        "self_attn.v_proj.weight": (keys, width),
        "self_attn.o_proj.weight": (width, queries),
        "post_attention_layernorm.weight": (width,),
        "mlp.gate_proj.weight": (hidden, width),
        "mlp.up_proj.weight": (hidden, width),
        "mlp.down_proj.weight": (width, hidden),
    }
    if config["model_type"] == "qwen2":
        shapes["self_attn.q_proj.bias"] = (queries,)
        shapes["self_attn.k_proj.bias"] = (keys,)
        shapes["self_attn.v_proj.bias"] = (keys,)
    return {f"model.layers.{layer}.{k}": v for k, v in shapes.items()}


def tensor_shapes(config):
    """Name to shape of all tensors of a model."""
    width, vocab = config["hidden_size"], config["vocab_size"]
    shapes = {"model.embed_tokens.weight": (vocab, width)}
    for layer in range(config["num_hidden_layers"]):
        shapes.update(layer_shapes(config, layer))
    shapes["model.norm.weight"] = (width,)
    if not config["tie_word_embeddings"]:
        shapes["lm_head.weight"] = (vocab, width)
    return shapes


def unrounded_weight(name, shape):
    """A tensor by the rule above, before rounding to bfloat16."""
    u = seeded.uniform(name, shape)
    if name.endswith("norm.weight"):
        return 1.0 + 0.1 * u
    if name.endswith(".bias"):
        return 0.5 * u
    if name == "model.embed_tokens.weight":
        return u
    return u * math.sqrt(3.0 / shape[1])


def random_weights(config):
    """All weights of the model as float64 arrays of bfloat16 values."""
    return {
        name: seeded.round_to_bf16(unrounded_weight(name, shape))
        for name, shape in tensor_shapes(config).items()
    }


def random_tokens(config):
    """The ids fed to the model."""
    top = seeded.bits("tokens", TOKENS) >> np.uint64(40)
    return [int(value) % config["vocab_size"] for value in top]


def checksums(weights):
    """[name, sum, sum of squares] of the tensors that the model has."""
    return [
        [
            name,
            golden_file.rounded(weights[name].sum(), DIGITS),
            golden_file.rounded((weights[name] ** 2).sum(), DIGITS),
        ]
        for name in CHECKED_TENSORS
        if name in weights
    ]


def golden(config):
    """The content of one golden file."""
    weights = random_weights(config)
    tokens = random_tokens(config)
    model = reference_model.ReferenceModel(config, weights)
    return {
        "made_by": "tools/goldens/random_models.py",
        "config": config,
        "tokens": tokens,
        "checksums": checksums(weights),
        "logits": golden_file.rounded(model.forward(tokens), DIGITS),
    }


def main():
    """Write both files."""
    for config in (LLAMA, QWEN2):
        name = f"random_{config['model_type']}.json"
        golden_file.write(f"crates/model/tests/goldens/{name}", golden(config))


if __name__ == "__main__":
    main()
