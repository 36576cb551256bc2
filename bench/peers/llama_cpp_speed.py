"""Speed of llama.cpp on this machine: prefill and decode, by context length.

    python llama_cpp_speed.py MODEL.gguf --context 512 7000 [--threads 2]

Prints a JSON row a context: tokens/s of reading a prompt of that many tokens
in batches of 512, tokens/s of computing 32 tokens after it one by one, and
the process's peak resident memory. f16 cache, greedy. How llama-cpp-python
is built stands in README.md. Compare with an engine measured in the same run
on the same machine: absolute figures drift.
"""

import argparse
import json
import resource
import time

import llama_cpp

DECODED = 32


def measure(path, context, threads):
    """One row."""
    model = llama_cpp.Llama(
        path,
        n_ctx=context + DECODED + 8,
        n_batch=512,
        n_threads=threads,
        n_threads_batch=threads,
        verbose=False,
    )
    tokens = [1000 + i * 7919 % 20000 for i in range(context)]
    begun = time.perf_counter()
    model.eval(tokens)
    prefill = time.perf_counter() - begun
    begun = time.perf_counter()
    for i in range(DECODED):
        model.eval([tokens[i]])
    decode = time.perf_counter() - begun
    return {
        "engine": f"llama-cpp-python {llama_cpp.__version__}",
        "context": context,
        "threads": threads,
        "prefill_tokens_per_second": context / prefill,
        "decode_tokens_per_second": DECODED / decode,
        "peak_rss_bytes": 1024
        * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }


def main():
    """Print the rows that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", help="GGUF file")
    parser.add_argument("--context", type=int, nargs="+", default=[512, 7000])
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    for context in arguments.context:
        row = measure(arguments.model, context, arguments.threads)
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
