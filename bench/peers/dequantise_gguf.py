"""A copy of a GGUF file with every tensor in float32.

    python dequantise_gguf.py MODEL.gguf OUT.gguf

llama.cpp quantises the activations that meet quantised weights, and with
these copies it does not: run on one, it is a peer that shares our weights
bit for bit and rounds only its key/value cache.
"""

import argparse
import os
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter
from gguf.quants import dequantize

ALL_F32 = 0
"""The value of general.file_type for float32 weights."""


def copy_metadata(reader, writer):
    """Every key but those that the writer makes itself."""
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        value = field.contents()
        if name == "general.file_type":
            value = ALL_F32
        kind = field.types[0]
        inner = field.types[-1] if kind == GGUFValueType.ARRAY else None
        writer.add_key_value(name, value, kind, inner)


def copy_tensors(reader, writer):
    """Every tensor, dequantised."""
    for tensor in reader.tensors:
        values = dequantize(tensor.data, tensor.tensor_type)
        shape = tuple(reversed(tensor.shape.tolist()))
        values = np.ascontiguousarray(values.reshape(shape), np.float32)
        writer.add_tensor(
            tensor.name, values, raw_dtype=GGMLQuantizationType.F32
        )


def main():
    """Write the copy that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", help="GGUF file to read")
    parser.add_argument("out", help="GGUF file to write")
    arguments = parser.parse_args()
    reader = GGUFReader(arguments.model)
    architecture = reader.get_field("general.architecture").contents()
    part = Path(arguments.out + ".part")
    writer = GGUFWriter(part, architecture)
    copy_metadata(reader, writer)
    copy_tensors(reader, writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(part, arguments.out)


if __name__ == "__main__":
    main()
