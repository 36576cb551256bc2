"""This engine and llama.cpp in turn, on the same machine, in the same run.

    python speed_side_by_side.py MODEL.gguf --engine ../../target/release/examples/speed \\
        --context 512 7000 --cache exact fourier --rounds 3 > rows.jsonl

Each measurement is a process of its own, so that its peak resident memory is
its own; engines alternate within a round, so that a busy machine is busy for
both. Rows go to standard output; medians and ratios to standard error.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).parent


def run(command):
    """The last JSON row a command prints, and its peak resident memory."""
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        text = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{command} ended with {process.returncode}")
    row = json.loads(text.decode().strip().splitlines()[-1])
    row["peak_rss_bytes"] = 1024 * usage.ru_maxrss
    return row


def commands(arguments, context):
    """(name, command) of every measurement at one context length."""
    threads = str(arguments.threads)
    peer = [sys.executable, str(HERE / "llama_cpp_speed.py"), arguments.model]
    yield "llama.cpp", peer + ["--context", str(context), "--threads", threads]
    for cache in arguments.cache:
        own = [arguments.engine, arguments.model, str(context), cache, threads]
        yield cache, own


def summary(rows):
    """Medians by context and engine, and ratios to llama.cpp."""
    what = ["prefill_tokens_per_second", "decode_tokens_per_second", "peak_rss_bytes", "seal_share_of_prefill"]
    groups = {}
    for row in rows:
        groups.setdefault((row["context"], row["name"]), []).append(row)
    medians = {
        key: {w: statistics.median(r[w] for r in group) for w in what if w in group[0]}
        for key, group in groups.items()
    }
    for (context, name), median in medians.items():
        peer = medians[(context, "llama.cpp")]
        ratios = {w: round(median[w] / peer[w], 2) for w in median if w in peer}
        print(context, name, {w: round(v, 3) for w, v in median.items()}, ratios, file=sys.stderr)


def main():
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("model", help="GGUF file")
    parser.add_argument("--engine", required=True, help="the program of bench/engine/speed.rs")
    parser.add_argument("--context", type=int, nargs="+", default=[512, 7000])
    parser.add_argument("--cache", nargs="+", default=["exact", "fourier"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    rows = []
    for round_number in range(arguments.rounds):
        for context in arguments.context:
            for name, command in commands(arguments, context):
                row = {"round": round_number, "name": name, **run(command)}
                print(json.dumps(row), flush=True)
                rows.append(row)
    summary(rows)


if __name__ == "__main__":
    main()
