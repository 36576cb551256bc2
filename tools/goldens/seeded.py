"""Pseudo-random numbers that any language can make, bit for bit.

Element i of the tensor called `name` depends on nothing but the two:

    z = fnv1a64(name) + (i + 1) * 0x9E3779B97F4A7C15      (64 bits, wrapping)
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9
    z = (z ^ z >> 27) * 0x94D049BB133111EB
    z =  z ^ z >> 31                              (finaliser of SplitMix64)
    u = 2 * (z >> 40) / 2^24 - 1                          in [-1, 1)
"""

import numpy as np

FNV_OFFSET = 0xCBF29CE484222325
FNV_PRIME = 0x100000001B3
GOLDEN_GAMMA = np.uint64(0x9E3779B97F4A7C15)
FIRST_MULTIPLIER = np.uint64(0xBF58476D1CE4E5B9)
SECOND_MULTIPLIER = np.uint64(0x94D049BB133111EB)


def fnv1a64(name):
    """FNV-1a of the UTF-8 bytes of `name`, 64 bits."""
    state = FNV_OFFSET
    for byte in name.encode():
        state = ((state ^ byte) * FNV_PRIME) & 0xFFFFFFFFFFFFFFFF
    return state


def bits(name, count):
    """The first `count` 64-bit outputs for `name`."""
    step = np.arange(1, count + 1, dtype=np.uint64)
    # Array arithmetic on uint64 wraps, which is what the definition wants.
    z = np.uint64(fnv1a64(name)) + step * GOLDEN_GAMMA
    z = (z ^ (z >> np.uint64(30))) * FIRST_MULTIPLIER
    z = (z ^ (z >> np.uint64(27))) * SECOND_MULTIPLIER
    return z ^ (z >> np.uint64(31))


def uniform(name, shape):
    """Float64 array of `shape` filled row by row with u in [-1, 1)."""
    count = int(np.prod(shape))
    top = (bits(name, count) >> np.uint64(40)).astype(np.float64)
    return (2.0 * (top / 2.0**24) - 1.0).reshape(shape)


def round_to_bf16(values):
    """Float64 `values` rounded to the nearest bfloat16, ties to even.

    Rounded once, from float64: going through float32, or looking only at the
    upper half of the float64 (as `half::bf16::from_f64` does in Rust), turns
    a value just beside a tie into a tie; of the 66,576 weights of
    random_models.py that would change one and three. On the bits b of a
    normal float64 it is `(b + 2^44 - 1 + (b >> 45 & 1)) >> 45 << 45`.
    Subnormal bfloat16 does not occur here and is not treated.
    """
    mantissa, exponent = np.frexp(np.asarray(values, dtype=np.float64))
    # frexp gives [0.5, 1), so 8 significant bits are 2^8 steps; rint rounds
    # ties to even.
    return np.ldexp(np.rint(mantissa * 256.0), exponent - 8)
