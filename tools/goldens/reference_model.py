"""A float64 forward pass for the Llama family and Qwen2.

Written from the published descriptions, to be read rather than to be fast:

- RMSNorm: Zhang and Sennrich 2019 (arXiv 1910.07467).
- Rotary positions: Su et al. 2021 (arXiv 2104.09864), with dims i and i + D/2
  as a pair, which is how Hugging Face stores the weights.
- Grouped queries: Ainslie et al. 2023 (arXiv 2305.13245).
- SwiGLU: Shazeer 2020 (arXiv 2002.05202).
- Llama: Touvron et al. 2023 (arXiv 2302.13971); the stretched frequencies of
  Llama 3.1 as its model card's `rope_scaling` defines them.
- Qwen2: Yang et al. 2024 (arXiv 2407.10671): Llama with biases on q, k, v.

Letters: T tokens, H query heads, G key/value heads, D dims a head. Weights
are float64 arrays [out, in] under their Hugging Face names; the config is a
dict with the keys of a Hugging Face config.json.
"""

import math

import numpy as np


def head_dim(config):
    """D, which configs may leave out when it is width / heads."""
    default = config["hidden_size"] // config["num_attention_heads"]
    return config.get("head_dim", default)


def rms_norm(x, weight, eps):
    """Rows of `x` [T, width] divided by their root mean square."""
    mean_square = np.mean(x * x, axis=-1, keepdims=True)
    return x / np.sqrt(mean_square + eps) * weight


def llama3_frequency(frequency, scaling):
    """One rotary frequency (radians a token) after Llama 3.1's stretching.

    Fast frequencies stay, slow ones are divided by `factor`, and those in
    between are blended by the number of turns in the original context.
    """
    original = scaling["original_max_position_embeddings"]
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    turns = original * frequency / (2.0 * math.pi)
    if turns > high:
        return frequency
    if turns < low:
        return frequency / scaling["factor"]
    share = (turns - low) / (high - low)
    return (1.0 - share) * frequency / scaling["factor"] + share * frequency


def rotary_frequencies(config):
    """Radians a token of each of the D/2 pairs."""
    dims = head_dim(config)
    theta = config["rope_theta"]
    frequencies = [theta ** (-2.0 * i / dims) for i in range(dims // 2)]
    scaling = config.get("rope_scaling")
    if scaling is None:
        return np.array(frequencies)
    if scaling["rope_type"] != "llama3":
        raise ValueError(f"expected llama3 scaling, got {scaling}")
    return np.array([llama3_frequency(f, scaling) for f in frequencies])


def rotate(x, frequencies):
    """Rotate heads `x` [T, heads, D] by their positions 0..T-1.

    Dims i and i + D/2 are the real and imaginary part of one number, which
    is turned by the angle position * frequency_i.
    """
    half = x.shape[-1] // 2
    angle = np.arange(x.shape[0])[:, None] * frequencies[None, :]
    turn = np.exp(1j * angle)[:, None, :]
    turned = (x[..., :half] + 1j * x[..., half:]) * turn
    return np.concatenate([turned.real, turned.imag], axis=-1)


def softmax(scores):
    """Softmax over the last axis; -inf is allowed, not in a whole row."""
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def causal_attention(q, k, v):
    """Attention of q [T, H, D] over k, v [T, G, D]; result [T, H, D].

    Query head h reads key/value head h // (H / G).
    """
    tokens, heads, dims = q.shape
    share = heads // k.shape[1]
    future = np.triu(np.ones((tokens, tokens), dtype=bool), k=1)
    out = np.empty_like(q)
    for head in range(heads):
        scores = q[:, head] @ k[:, head // share].T / math.sqrt(dims)
        scores[future] = -np.inf
        out[:, head] = softmax(scores) @ v[:, head // share]
    return out


def silu(x):
    """x * sigmoid(x), without overflow for large negative x."""
    return x * 0.5 * (1.0 + np.tanh(0.5 * x))


class ReferenceModel:
    """Weights (a mapping by Hugging Face name) and a config, ready to run."""

    def __init__(self, config, weights):
        if config["model_type"] not in ("llama", "qwen2"):
            raise ValueError(f"unknown model_type {config['model_type']}")
        self.config = config
        self.weights = weights
        self.frequencies = rotary_frequencies(config)

    def linear(self, name, x):
        """x times the matrix `name`, plus its bias if it has one."""
        y = x @ self.weights[name + ".weight"].T
        bias = name + ".bias"
        return y + self.weights[bias] if bias in self.weights else y

    def norm(self, name, x):
        """RMSNorm with the weight `name`."""
        eps = self.config["rms_norm_eps"]
        return rms_norm(x, self.weights[name + ".weight"], eps)

    def attention(self, layer, x):
        """Attention block of a layer: (output [T, width], rotated K, V)."""
        dims = head_dim(self.config)
        prefix = f"model.layers.{layer}.self_attn."
        q, k, v = (
            self.linear(prefix + part, x).reshape(len(x), -1, dims)
            for part in ("q_proj", "k_proj", "v_proj")
        )
        q, k = rotate(q, self.frequencies), rotate(k, self.frequencies)
        mixed = causal_attention(q, k, v).reshape(len(x), -1)
        return self.linear(prefix + "o_proj", mixed), k, v

    def feed_forward(self, layer, x):
        """SwiGLU block of a layer."""
        prefix = f"model.layers.{layer}.mlp."
        gate = silu(self.linear(prefix + "gate_proj", x))
        up = self.linear(prefix + "up_proj", x)
        return self.linear(prefix + "down_proj", gate * up)

    def output(self, x):
        """Logits of hidden states [T, width]."""
        tied = self.config["tie_word_embeddings"]
        name = "model.embed_tokens" if tied else "lm_head"
        return self.linear(name, self.norm("model.norm", x))

    def forward(self, tokens, keep_past=False):
        """Logits [T, vocab] of all positions.

        With `keep_past`, (logits, past): past[layer] = (K, V), each
        [T, G, D], K after rotation.
        """
        x = self.weights["model.embed_tokens.weight"][np.asarray(tokens)]
        past = []
        for layer in range(self.config["num_hidden_layers"]):
            prefix = f"model.layers.{layer}."
            normed = self.norm(prefix + "input_layernorm", x)
            mixed, k, v = self.attention(layer, normed)
            x = x + mixed
            normed = self.norm(prefix + "post_attention_layernorm", x)
            x = x + self.feed_forward(layer, normed)
            if keep_past:
                past.append((k, v))
        logits = self.output(x)
        return (logits, past) if keep_past else logits
