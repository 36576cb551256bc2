"""A file of next-token log-probabilities that any engine can write.

`NAME.f32` holds little-endian float32 natural-log probabilities, row-major
`[positions, vocab]` with nothing before or after them. Row t is the
distribution of the token after `tokens[0..=t]`. `NAME.json` beside it is the
header:

    {
      "format": "next-token-logprobs",
      "version": 1,
      "engine": "free text: name, version, settings that matter",
      "model": "file name of the weights",
      "dtype": "<f4",
      "shape": [positions, vocab],
      "tokens": [ids that were fed, one a position]
    }

The two are separate so that the large part can be written and read as it is.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FORMAT = "next-token-logprobs"
VERSION = 1


@dataclass
class LogitsFile:
    """An opened file: `logprobs` is a read-only map `[positions, vocab]`."""

    engine: str
    model: str
    tokens: list
    logprobs: np.ndarray


def log_softmax(logits):
    """Natural-log probabilities of logits `[..., vocab]`, in float64."""
    logits = np.asarray(logits, dtype=np.float64)
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def header_path(path):
    """Where the header of the `.f32` file `path` lies."""
    return Path(path).with_suffix(".json")


def write(path, rows, *, engine, model, tokens, vocab):
    """Write log-probabilities given as an iterable of float rows `[vocab]`.

    Both files are written beside their names and renamed when complete.
    """
    path = Path(path)
    if path.suffix != ".f32":
        raise ValueError(f"expected a name ending in .f32, got {path}")
    part = path.with_name(path.name + ".part")
    count = 0
    with open(part, "wb") as out:
        for row in rows:
            if row.shape != (vocab,):
                raise ValueError(f"expected {vocab} columns, got {row.shape}")
            out.write(row.astype("<f4").tobytes())
            count += 1
    if count != len(tokens):
        raise ValueError(f"expected {len(tokens)} rows, got {count}")
    header = {
        "format": FORMAT,
        "version": VERSION,
        "engine": engine,
        "model": model,
        "dtype": "<f4",
        "shape": [len(tokens), vocab],
        "tokens": [int(token) for token in tokens],
    }
    header_part = path.with_name(path.name + ".header.part")
    header_part.write_text(json.dumps(header, indent=1) + "\n")
    os.replace(part, path)
    os.replace(header_part, header_path(path))


def read_header(path):
    """The header beside the `.f32` file `path`, checked."""
    header = json.loads(header_path(path).read_text())
    found = (header.get("format"), header.get("version"), header.get("dtype"))
    if found != (FORMAT, VERSION, "<f4"):
        raise ValueError(
            f"{header_path(path)}: expected {(FORMAT, VERSION, '<f4')}, "
            f"got {found}"
        )
    if header["shape"][0] != len(header["tokens"]):
        raise ValueError(f"{header_path(path)}: shape and tokens disagree")
    return header


def read(path):
    """Open `path` and its header as a `LogitsFile`."""
    header = read_header(path)
    shape = tuple(header["shape"])
    expected = 4 * shape[0] * shape[1]
    size = Path(path).stat().st_size
    if size != expected:
        raise ValueError(f"{path}: expected {expected} bytes, got {size}")
    return LogitsFile(
        engine=header["engine"],
        model=header["model"],
        tokens=header["tokens"],
        logprobs=np.memmap(path, dtype="<f4", mode="r", shape=shape),
    )
