"""The best 16 of each distribution, small enough for the repository.

    python llama_cpp_golden.py LOGITS.f32 OUT.json

Takes a file of llama_cpp_logits.py and writes, for tests that compare an
engine with llama.cpp where llama.cpp cannot be run:

- model, engine: as in the header;
- tokens: the T ids that were fed, without a beginning-of-sequence token;
- top_ids: [T][16], most likely first, so top_ids[t][0] is the top-1 id;
- top_logprobs: [T][16], natural logs, 5 decimals;
- rest: [T], the probability of all other ids together, 6 significant digits.

With q the other engine's probabilities, the divergence over the 17 events
"top id 1" .. "top id 16", "any other"

    sum_i p_i (ln p_i - ln q_i) + rest_p (ln rest_p - ln rest_q),
    rest_q = 1 - sum_i q_i over the same ids

never exceeds KL(p || q) over the whole vocabulary, since merging events
cannot raise a divergence. It is thus a lower bound; compare_logits.py
computes the whole.
"""

import argparse
import json
import os
from pathlib import Path

import numpy as np

import logits_file

BEST = 16


def best_of_row(row):
    """(ids, log-probs, probability of the rest) of one distribution."""
    row = np.asarray(row, dtype=np.float64)
    order = np.argsort(-row, kind="stable")
    ids, others = order[:BEST], order[BEST:]
    # Summed over the others, as 1 - sum would lose a small rest to rounding.
    rest = float(np.exp(row[others]).sum())
    return ids.tolist(), np.round(row[ids], 5).tolist(), float(f"{rest:.6g}")


def to_text(content):
    """JSON with one line an entry and one line a row of its arrays."""
    def entry(value):
        compact = json.dumps(value, separators=(",", ":"))
        return compact.replace("],[", "],\n[") if "[[" in compact else compact

    lines = (f"{json.dumps(k)}: {entry(v)}" for k, v in content.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main():
    """Write the golden that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("logits", help=".f32 file by llama_cpp_logits.py")
    parser.add_argument("out", help="the .json file to write")
    arguments = parser.parse_args()
    source = logits_file.read(arguments.logits)
    ids, logprobs, rest = zip(*map(best_of_row, source.logprobs))
    content = {
        "made_by": "bench/peers/llama_cpp_golden.py",
        "model": source.model,
        "engine": source.engine,
        "tokens": source.tokens,
        "top_ids": ids,
        "top_logprobs": logprobs,
        "rest": rest,
    }
    out = Path(arguments.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(out.name + ".part")
    part.write_text(to_text(content))
    os.replace(part, out)


if __name__ == "__main__":
    main()
