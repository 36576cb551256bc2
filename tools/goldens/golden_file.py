"""Writing golden files: rounded numbers, one layout, whole or not at all."""

import json
import os
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]


def rounded(values, digits):
    """`values` (scalar or array) as nested lists with `digits` significant."""
    values = np.asarray(values, dtype=np.float64)
    if values.ndim == 0:
        return float(f"{float(values):.{digits}g}")
    return [rounded(value, digits) for value in values]


def to_text(content):
    """JSON with one line a top-level entry, and one a row of its arrays."""
    lines = []
    for key, value in content.items():
        lines.append(f"{json.dumps(key)}: {entry_text(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def entry_text(value):
    """A list of lists or of objects gets one line an item; the rest one."""
    nested = isinstance(value, list) and any(
        isinstance(item, (list, dict)) for item in value
    )
    if nested:
        rows = ",\n".join(compact(row) for row in value)
        return f"[\n{rows}\n]"
    return compact(value)


def compact(value):
    """JSON without needless spaces."""
    return json.dumps(value, separators=(",", ":"))


def write(relative_path, content):
    """Write `content` to `relative_path` in the repository."""
    path = REPOSITORY / relative_path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(to_text(content))
    os.replace(part, path)
    print(f"{relative_path}: {path.stat().st_size} bytes")
