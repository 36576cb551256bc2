"""Golden of one head of the `fourier` cache.

    python tools/goldens/fourier_head.py

Writes crates/cache/tests/goldens/fourier_head.json from the oracle in
fourier_cache.py. A case holds its settings and what must come out:

    D, H            head dims, query rows
    M, sealed       middle tokens; how many of them were there at seal (the
                    others came one by one, under the mean fixed then)
    P, N            period, harmonics
    sink, window    exact tokens before and after the middle
    band            of K, "base" or "carrier"; V is always base
    k_spectral      spectral dims of K; under "carrier" whole rotary pairs,
                    dims i and i + D/2
    v_spectral      spectral dims of V
    frequencies     radians a token of each of the D/2 pairs

    k_coefficients  base: [dim, n, a_n, b_n]
                    carrier: [pair, n, real, imaginary]; n is a bin modulo P
    v_coefficients  [dim, n, a_n, b_n]
    k_rebuilt, v_rebuilt  [t, values of all D dims] of some tokens
    out, lse        attention [H, D] over sink, middle and window; the log of
                    the sum of exp(score) [H]
    middle_out, middle_lse  the same over the middle alone; absent if M is 0

Inputs are u of seeded.py, row-major: "q" [H, D], "k" and "v" [M, D],
"sink_k", "sink_v" [sink, D], "window_k", "window_v" [window, D]. K counts as
rotated already. Numbers have 15 significant digits; those that are zero but
for rounding are written as they came.
"""

import numpy as np

import fourier_cache
import golden_file
import seeded

PATH = "crates/cache/tests/goldens/fourier_head.json"
DIGITS = 15
FREQUENCIES = [1.0, 0.1, 0.01, 0.001]

COMMON = {
    "D": 8,
    "H": 3,
    "sink": 4,
    "window": 6,
    "k_spectral": [0, 1, 3, 4, 5, 7],
    "v_spectral": [0, 2, 3, 5, 6, 7],
    "frequencies": FREQUENCIES,
}
"""Three of the four rotary pairs of K are spectral, six dims of V."""

ALL = list(range(8))

SHAPES = {
    "full period": {"M": 96, "sealed": 96, "P": 96, "N": 8},
    "short of the period": {"M": 61, "sealed": 61, "P": 96, "N": 8},
    "odd period": {"M": 40, "sealed": 40, "P": 45, "N": 7},
    "grown after seal": {"M": 40, "sealed": 17, "P": 96, "N": 8},
    "grown from nothing": {"M": 12, "sealed": 0, "P": 96, "N": 8},
    "full spectrum": {"M": 96, "sealed": 96, "P": 96, "N": 49},
    "full spectrum, odd period, short": {
        "M": 31, "sealed": 31, "P": 45, "N": 23,
    },
    "one harmonic": {"M": 96, "sealed": 96, "P": 96, "N": 1},
    "all dims spectral": {
        "M": 56, "sealed": 56, "P": 64, "N": 6,
        "k_spectral": ALL, "v_spectral": ALL,
    },
    "no dims spectral": {
        "M": 20, "sealed": 20, "P": 32, "N": 4,
        "k_spectral": [], "v_spectral": [],
    },
    "middle alone": {
        "M": 29, "sealed": 29, "P": 32, "N": 5, "sink": 0, "window": 0,
    },
    "empty middle": {"M": 0, "sealed": 0, "P": 96, "N": 8},
    "one token": {"M": 1, "sealed": 1, "P": 96, "N": 8},
}


def inputs(case):
    """The arrays of a case by name."""
    dims = case["D"]
    rows = {"q": case["H"], "k": case["M"], "v": case["M"]}
    for region in ("sink", "window"):
        rows[f"{region}_k"] = rows[f"{region}_v"] = case[region]
    return {n: seeded.uniform(n, (count, dims)) for n, count in rows.items()}


def rebuild_k(k, case):
    """Rebuilt K, its spectrum, and what its channels are called."""
    if case["band"] == "base":
        channels = case["k_spectral"]
        return *fourier_cache.rebuild_base(k, channels, case), channels
    pairs = [d for d in case["k_spectral"] if d < case["D"] // 2]
    return *fourier_cache.rebuild_carrier(k, pairs, case), pairs


def some(count):
    """First, second, middle and last of `count` indices."""
    return sorted({i for i in (0, 1, count // 2, count - 1) if 0 <= i < count})


def base_coefficients(spectrum, dims):
    """Some coefficients of a base spectrum."""
    return [
        [dim, n, *golden_file.rounded([spectrum.a[n, c], spectrum.b[n, c]],
                                      DIGITS)]
        for c, dim in enumerate(dims)
        for n in some(len(spectrum.a))
    ]


def carrier_coefficients(spectrum, pairs):
    """Some coefficients of a carrier spectrum."""
    return [
        [pair, int(spectrum.bins[c][i]),
         *golden_file.rounded([spectrum.z[c][i].real, spectrum.z[c][i].imag],
                              DIGITS)]
        for c, pair in enumerate(pairs)
        for i in some(len(spectrum.bins[c]))
    ]


def some_rows(x):
    """Some rows of x [M, D], each after its index."""
    return [[t, golden_file.rounded(x[t], DIGITS)] for t in some(len(x))]


def attention(case, given, k, v):
    """The outputs of attention over all regions and over the middle."""
    all_k = np.concatenate([given["sink_k"], k, given["window_k"]])
    all_v = np.concatenate([given["sink_v"], v, given["window_v"]])
    out, lse = fourier_cache.attend(given["q"], all_k, all_v)
    result = {"out": out, "lse": lse}
    if case["M"]:
        out, lse = fourier_cache.attend(given["q"], k, v)
        result |= {"middle_out": out, "middle_lse": lse}
    return {n: golden_file.rounded(x, DIGITS) for n, x in result.items()}


def solve(case):
    """A case with its outputs."""
    given = inputs(case)
    k, k_spectrum, k_channels = rebuild_k(given["k"], case)
    v, v_spectrum = fourier_cache.rebuild_base(
        given["v"], case["v_spectral"], case
    )
    list_k = (
        base_coefficients if case["band"] == "base" else carrier_coefficients
    )
    return case | {
        "k_coefficients": list_k(k_spectrum, k_channels),
        "v_coefficients": base_coefficients(v_spectrum, case["v_spectral"]),
        "k_rebuilt": some_rows(k),
        "v_rebuilt": some_rows(v),
        **attention(case, given, k, v),
    }


def main():
    """Write the file."""
    cases = [
        solve({"name": f"{name}, {band}", "band": band} | COMMON | shape)
        for name, shape in SHAPES.items()
        for band in ("base", "carrier")
    ]
    golden_file.write(
        PATH, {"made_by": "tools/goldens/fourier_head.py", "cases": cases}
    )


if __name__ == "__main__":
    main()
