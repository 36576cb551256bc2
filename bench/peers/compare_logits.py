"""Compare two files of next-token log-probabilities.

    python compare_logits.py A.f32 B.f32 [--at-least-agreement 0.97]
        [--at-most-kl 0.01]

Prints one JSON object: over all positions the top-1 agreement, mean, median
and largest KL(A || B) in nats, the largest difference between log-probs of
tokens that A gives at least one in a million, and both perplexities on the
tokens that were fed. With a limit that is not kept, ends with status 1.
"""

import argparse
import json
import sys

import numpy as np

import logits_file

CHUNK = 16
"""Positions converted to float64 at a time."""


def compare_chunk(first, second):
    """(agreement, KL, largest difference) of each position of two chunks."""
    probability = np.exp(first)
    # exp(-inf) * (-inf) is not a number; such terms are zero by convention.
    with np.errstate(invalid="ignore"):
        terms = probability * (first - second)
    terms[probability == 0.0] = 0.0
    likely = probability >= 1e-6
    difference = np.where(likely, np.abs(first - second), 0.0)
    agree = first.argmax(axis=1) == second.argmax(axis=1)
    return agree, terms.sum(axis=1), difference.max(axis=1)


def perplexity(file):
    """Perplexity of the tokens from the second on."""
    rows = np.arange(len(file.tokens) - 1)
    chosen = file.logprobs[rows, np.array(file.tokens[1:])]
    return float(np.exp(-chosen.astype(np.float64).mean()))


def compare(first, second):
    """The comparison of two `LogitsFile`s as a dict."""
    if first.tokens != second.tokens:
        raise SystemExit("error: the two files were made with other tokens")
    if first.logprobs.shape != second.logprobs.shape:
        raise SystemExit(
            "error: expected equal shapes, got "
            f"{first.logprobs.shape} and {second.logprobs.shape}"
        )
    parts = []
    for start in range(0, len(first.tokens), CHUNK):
        pair = (
            logits_file.log_softmax(file.logprobs[start:start + CHUNK])
            for file in (first, second)
        )
        parts.append(compare_chunk(*pair))
    agree, divergence, difference = map(np.concatenate, zip(*parts))
    return {
        "a": first.engine,
        "b": second.engine,
        "model": first.model,
        "positions": len(first.tokens),
        "vocab": first.logprobs.shape[1],
        "top1_agreement": float(agree.mean()),
        "mean_kl": float(divergence.mean()),
        "median_kl": float(np.median(divergence)),
        "max_kl": float(divergence.max()),
        "max_logprob_difference": float(difference.max()),
        "perplexity_a": perplexity(first),
        "perplexity_b": perplexity(second),
    }


def main():
    """Print the comparison; status 1 if a limit is not kept."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("a", help=".f32 file taken as the truth")
    parser.add_argument("b", help=".f32 file compared with it")
    parser.add_argument("--at-least-agreement", type=float, default=0.0)
    parser.add_argument("--at-most-kl", type=float, default=float("inf"))
    arguments = parser.parse_args()
    result = compare(
        logits_file.read(arguments.a), logits_file.read(arguments.b)
    )
    print(json.dumps(result, indent=1))
    # Written so that a KL that is not a number fails.
    kept = (
        result["top1_agreement"] >= arguments.at_least_agreement
        and result["mean_kl"] <= arguments.at_most_kl
    )
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
