"""Goldens of every weight format: random stored bytes and the values that the `gguf` package reads.

    pip install gguf numpy
    python tools/goldens/quant_formats.py

Writes crates/kernels/tests/goldens/quant_formats.json. Values are the shortest decimals that are
the same 32-bit floats again.
"""

import json
from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize

SEED = 20240607
OUT = Path(__file__).parents[2] / "crates/kernels/tests/goldens/quant_formats.json"

# Where a block holds half floats, which random bytes would make infinite or not a number.
HALVES = {
    "F32": [], "BF16": [], "F16": [0],
    "Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2],
    "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
}


def stored_blocks(name, rng):
    """Random blocks of a format: 35 single floats, 3 blocks of 32 or 2 of 256."""
    length, size = GGML_QUANT_SIZES[GGMLQuantizationType[name]]
    count = {1: 35, 32: 3, 256: 2}[length]
    if name in ("F32", "BF16"):
        values = rng.normal(size=count).astype(np.float32)
        return values.view(np.uint8).reshape(count, 4)[:, 4 - size:].copy()
    blocks = rng.integers(0, 256, size=(count, size), dtype=np.uint8)
    for offset in HALVES[name]:
        # every magnitude, subnormal ones included: uniform in the bits below 2^0
        bits = rng.integers(0, 0x3C00, size=count).astype("<u2") | (
            rng.integers(0, 2, size=count).astype("<u2") << 15
        )
        blocks[:, offset:offset + 2] = bits.view(np.uint8).reshape(count, 2)
    return blocks


def main():
    rng = np.random.default_rng(SEED)
    formats = []
    for name in HALVES:
        kind = GGMLQuantizationType[name]
        data = stored_blocks(name, rng).reshape(-1)
        stored = data.view({"F32": "<f4", "F16": "<f2"}.get(name, np.uint8))
        values = np.asarray(dequantize(stored, kind), dtype=np.float32).reshape(-1)
        formats.append({
            "type": name,
            "ggml_id": int(kind),
            "bytes": data.tobytes().hex(),
            "values": [float(str(v)) for v in values],
        })
    lines = ",\n".join(json.dumps(f, separators=(",", ":")) for f in formats)
    OUT.write_text("[\n" + lines + "\n]\n")


if __name__ == "__main__":
    main()
