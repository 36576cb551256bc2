"""Golden logits of the real SmolLM2-135M-Instruct.

    python tools/goldens/smollm2_logits.py smollm2-135m-instruct-q4_1.gguf

Runs the float64 reference model over the dequantised weights of the GGUF
file (SHA-256 below) and 64 tokens of prose, and writes
crates/model/tests/goldens/smollm2_logits.json:

- weights_sha256: of the GGUF file;
- text, tokens: what was fed, without a beginning-of-sequence token;
- best: for some positions the five best [id, logit], best first;
- samples: for the same positions {position, first_id, stride, logits}:
  logits of the ids first_id, first_id + stride, ...

Logits have 10 significant digits.
"""

import argparse
import hashlib

import numpy as np

import golden_file
from gguf_weights import GgufWeights
from reference_model import ReferenceModel

PATH = "crates/model/tests/goldens/smollm2_logits.json"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
DIGITS = 10
POSITIONS = [0, 7, 15, 31, 47, 63]
BEST = 5
FIRST_ID = 7
STRIDE = 245
LAST_STRIDE = 49
"""About 200 logits of each position, and 1,000 of the last."""

TEXT = (
    "The harbour was quiet before the ferry came in. Two old men mended a "
    "net on the stones, and a dog slept beside them with its nose under its "
    "paw. When the bell rang across the water, a girl in a red coat ran down "
    "the steps, counting the gulls aloud: one, two, three"
)

# TEXT by the model's own vocabulary, as llama-cpp-python 0.3.36 tokenises it.
TOKENS = [
    504, 28899, 436, 8354, 1092, 260, 31936, 2422, 281, 30, 5713, 1573,
    1800, 283, 1753, 253, 1925, 335, 260, 8989, 28, 284, 253, 2767, 31633,
    19032, 601, 351, 624, 8166, 656, 624, 41544, 30, 1550, 260, 13095,
    43780, 1699, 260, 913, 28, 253, 8180, 281, 253, 2382, 10078, 7674,
    1187, 260, 3301, 28, 12641, 260, 310, 32942, 16076, 42, 582, 28, 827,
    28, 1296,
]


def check_weights(path):
    """Refuse any other file: its logits would be other ones."""
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SHA256:
        raise SystemExit(f"error: expected SHA-256 {SHA256}, got {found}")


def best(logits):
    """The best [id, logit] pairs of one position."""
    order = np.argsort(-logits, kind="stable")[:BEST]
    return [[int(i), golden_file.rounded(logits[i], DIGITS)] for i in order]


def sample(logits, position):
    """A strided sample of the logits of one position."""
    stride = LAST_STRIDE if position == POSITIONS[-1] else STRIDE
    return {
        "position": position,
        "first_id": FIRST_ID,
        "stride": stride,
        "logits": golden_file.rounded(logits[FIRST_ID::stride], DIGITS),
    }


def golden(path):
    """The content of the golden file."""
    weights = GgufWeights(path)
    logits = ReferenceModel(weights.config, weights).forward(TOKENS)
    return {
        "made_by": "tools/goldens/smollm2_logits.py",
        "weights_sha256": SHA256,
        "text": TEXT,
        "tokens": TOKENS,
        "vocab": logits.shape[1],
        "best": [{"position": p, "best": best(logits[p])} for p in POSITIONS],
        "samples": [sample(logits[p], p) for p in POSITIONS],
    }


def main():
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", help="the GGUF file")
    arguments = parser.parse_args()
    check_weights(arguments.model)
    golden_file.write(PATH, golden(arguments.model))


if __name__ == "__main__":
    main()
