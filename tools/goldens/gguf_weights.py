"""Reading a GGUF file as float64 arrays under Hugging Face names.

Dequantising is left to the `gguf` package, which llama.cpp's authors keep.
"""

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize

OUTER_NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}

LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def hugging_face_name(name):
    """`blk.3.attn_q.weight` as `model.layers.3.self_attn.q_proj.weight`.

    A tensor that is not part of the two families is an error: leaving one
    out could change the result.
    """
    if name in OUTER_NAMES:
        return OUTER_NAMES[name]
    parts = name.split(".")
    if len(parts) != 4 or parts[0] != "blk" or parts[2] not in LAYER_NAMES:
        raise ValueError(f"unexpected tensor {name}")
    return f"model.layers.{parts[1]}.{LAYER_NAMES[parts[2]]}.{parts[3]}"


def undo_interleaving(rows, heads):
    """Q or K rows [heads * D, ...] from GGUF's `llama` order to halves.

    GGUF puts rotary pair i of a head into its rows 2i and 2i + 1; here they
    belong into rows i and i + D/2.
    """
    dims = len(rows) // heads
    within = np.concatenate([np.arange(0, dims, 2), np.arange(1, dims, 2)])
    order = np.arange(heads)[:, None] * dims + within[None, :]
    return rows[order.ravel()]


def read_config(reader):
    """The keys of config.json that the reference model needs."""
    def value(key):
        return reader.get_field(key).contents()

    family = value("general.architecture")
    if family not in ("llama", "qwen2"):
        raise ValueError(f"expected llama or qwen2, got {family}")
    names = [tensor.name for tensor in reader.tensors]
    heads = value(f"{family}.attention.head_count")
    width = value(f"{family}.embedding_length")
    return {
        "model_type": family,
        "hidden_size": width,
        "num_hidden_layers": value(f"{family}.block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": value(f"{family}.attention.head_count_kv"),
        "head_dim": width // heads,
        "rms_norm_eps": value(f"{family}.attention.layer_norm_rms_epsilon"),
        "rope_theta": value(f"{family}.rope.freq_base"),
        "tie_word_embeddings": "output.weight" not in names,
    }


def heads_of_rows(name, config):
    """How many heads the interleaved rows of `name` hold; 0 if in order."""
    if config["model_type"] != "llama":
        return 0
    if ".attn_q." in name:
        return config["num_attention_heads"]
    return config["num_key_value_heads"] if ".attn_k." in name else 0


class GgufWeights:
    """A mapping from Hugging Face names to float64 arrays, made when asked.

    Nothing is kept between two reads, so a model that would not fit into
    memory in float64 can still be run.
    """

    def __init__(self, path):
        reader = GGUFReader(path)
        self.config = read_config(reader)
        self.tensors = {hugging_face_name(t.name): t for t in reader.tensors}

    def __contains__(self, name):
        return name in self.tensors

    def __getitem__(self, name):
        tensor = self.tensors[name]
        values = dequantize(tensor.data, tensor.tensor_type)
        # GGUF lists the fastest dimension first.
        values = values.reshape(tuple(reversed(tensor.shape.tolist())))
        heads = heads_of_rows(tensor.name, self.config)
        if heads:
            values = undo_interleaving(values, heads)
        return values.astype(np.float64)
