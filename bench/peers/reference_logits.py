"""Next-token distributions by the float64 NumPy model in tools/goldens.

    python reference_logits.py MODEL.gguf HEADER.json OUT.f32

Runs the dequantised weights over the ids in HEADER.json and writes the
format of logits_file.py: what an engine without rounding would say, so that
compare_logits.py can tell how far another engine is from that.

With --round-activations the input of every product with a weight matrix is
first rounded as llama.cpp rounds it for matrices quantised in blocks of 32
(scale = largest magnitude of 32 neighbours / 127, nearest integer): what
that rounding alone does to the distributions.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

import logits_file

# The reference model is not an installed package.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools/goldens"))

from gguf_weights import GgufWeights  # noqa: E402
from reference_model import ReferenceModel  # noqa: E402


BLOCK = 32


def rounded(x):
    """The rows of `x` rounded to 8 bits in blocks of 32."""
    blocks = x.reshape(*x.shape[:-1], -1, BLOCK)
    scale = np.abs(blocks).max(axis=-1, keepdims=True) / 127
    steps = np.rint(blocks / np.where(scale > 0, scale, 1))
    return (steps * scale).reshape(x.shape)


class RoundedModel(ReferenceModel):
    """The reference model with rounded inputs of its matrix products."""

    def linear(self, name, x):
        """As ReferenceModel.linear, of the rounded `x`."""
        return super().linear(name, rounded(x))


def main():
    """Write the file that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", help="GGUF file")
    parser.add_argument("header", help="header with the ids to feed")
    parser.add_argument("out", help="the .f32 file to write")
    parser.add_argument("--round-activations", action="store_true")
    arguments = parser.parse_args()
    kind = RoundedModel if arguments.round_activations else ReferenceModel
    tokens = json.loads(Path(arguments.header).read_text())["tokens"]
    weights = GgufWeights(arguments.model)
    logits = kind(weights.config, weights).forward(tokens)
    logits_file.write(
        arguments.out,
        (logits_file.log_softmax(row) for row in logits),
        engine="float64 NumPy on dequantised weights"
        + (", activations rounded" if arguments.round_activations else ""),
        model=Path(arguments.model).name,
        tokens=tokens,
        vocab=logits.shape[1],
    )


if __name__ == "__main__":
    main()
