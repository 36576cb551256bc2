"""Next-token distributions by the float64 NumPy model in tools/goldens.

    python reference_logits.py MODEL.gguf HEADER.json OUT.f32

Runs the dequantised weights over the ids in HEADER.json and writes the
format of logits_file.py: what an engine without rounding would say, so that
compare_logits.py can tell how far another engine is from that.
"""

import argparse
import json
import sys
from pathlib import Path

import logits_file

# The reference model is not an installed package.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools/goldens"))

from gguf_weights import GgufWeights  # noqa: E402
from reference_model import ReferenceModel  # noqa: E402


def main():
    """Write the file that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", help="GGUF file")
    parser.add_argument("header", help="header with the ids to feed")
    parser.add_argument("out", help="the .f32 file to write")
    arguments = parser.parse_args()
    tokens = json.loads(Path(arguments.header).read_text())["tokens"]
    weights = GgufWeights(arguments.model)
    logits = ReferenceModel(weights.config, weights).forward(tokens)
    logits_file.write(
        arguments.out,
        (logits_file.log_softmax(row) for row in logits),
        engine="float64 NumPy on dequantised weights",
        model=Path(arguments.model).name,
        tokens=tokens,
        vocab=logits.shape[1],
    )


if __name__ == "__main__":
    main()
