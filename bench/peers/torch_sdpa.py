"""Decode attention of PyTorch's fused backends, measured as bench/engine/cuda_attention.rs measures ours.

    python torch_sdpa.py rows.jsonl

One layer of Llama-3.1-8B (32 query heads, 8 key/value heads, 128 dims) in bfloat16, one query token a sequence. Several
layers with inputs of their own, at least 1 GB, are captured in one CUDA graph, so that nothing is read from the cache of
the chip; a time is that of a replay over the layers, and the median of 40 is printed. The outputs are poisoned before
and compared with float64 afterwards. Also measured: the two ceilings (a device-to-device copy, a large product) and the
rate of causal attention over a prompt. Run it on the same machine and in the same minutes as ours.
"""

import json
import math
import statistics
import sys

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

HEADS, KV_HEADS, DIM = 32, 8, 128
CASES = [(32_768, 1), (131_072, 1), (32_768, 8)]
BACKENDS = {"cudnn": SDPBackend.CUDNN_ATTENTION, "flash": SDPBackend.FLASH_ATTENTION}
GRAPH_BYTES = 1 << 30
REPLAYS = 40


def seconds(work, repeats):
    """Device seconds of each of `repeats` calls."""
    times = []
    for _ in range(repeats):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        work()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / 1e3)
    return times


def random(*shape):
    return torch.randn(*shape, device="cuda", dtype=torch.bfloat16)


def expected(q, k, v, head):
    """One head of the first sequence in float64."""
    group = HEADS // KV_HEADS
    scores = k[0, head // group].double() @ q[0, head, 0].double() / math.sqrt(DIM)
    return scores.softmax(0) @ v[0, head // group].double()


def decode(backend, context, batch):
    """Seconds a layer, one for each replay, and the relative error of a row."""
    size = 2 * 2 * batch * KV_HEADS * context * DIM
    layers = max(4, min(32, GRAPH_BYTES // size))
    past = [(random(batch, KV_HEADS, context, DIM), random(batch, KV_HEADS, context, DIM)) for _ in range(layers)]
    q = random(batch, HEADS, 1, DIM) * 2
    out = torch.full_like(q, float("nan"))

    def work():
        with sdpa_kernel([BACKENDS[backend]]):
            for k, v in past:
                out.copy_(scaled_dot_product_attention(q, k, v, enable_gqa=True))

    work()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    out.fill_(float("nan"))
    for _ in range(3):
        graph.replay()
    times = [t / layers for t in seconds(graph.replay, REPLAYS)]
    row = expected(q, *past[-1], 17)
    error = ((out[0, 17, 0].double() - row).norm() / row.norm()).item()
    return times, error


def prefill(backend, tokens):
    """Seconds of causal attention over a prompt, one for each of 5 calls."""
    q, k, v = random(1, HEADS, tokens, DIM), random(1, KV_HEADS, tokens, DIM), random(1, KV_HEADS, tokens, DIM)
    with sdpa_kernel([BACKENDS[backend]]):
        def work():
            return scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)

        work()
        return seconds(work, 5)


def ceilings():
    """Bytes a second of a copy, read and written, and operations a second of a product."""
    source = random(1 << 30)
    target = torch.empty_like(source)
    copy = statistics.median(seconds(lambda: target.copy_(source), 10))
    a, b = random(8192, 8192), random(8192, 8192)
    a @ b
    product = statistics.median(seconds(lambda: a @ b, 10))
    return 2 * source.numel() * 2 / copy, 2 * 8192**3 / product


def main():
    rows = open(sys.argv[1], "w") if len(sys.argv) > 1 else None

    def note(row):
        if rows:
            rows.write(json.dumps(row) + "\n")

    device = torch.cuda.get_device_name()
    bandwidth, rate = ceilings()
    print(f"{device}, PyTorch {torch.__version__}: copy {bandwidth / 1e12:.2f} TB/s, product {rate / 1e12:.0f} TFLOP/s")
    note({"kernel": "ceilings", "copy": bandwidth, "product": rate, "device": device, "torch": torch.__version__})
    torch.cuda.empty_cache()
    for context, batch in CASES:
        for backend in BACKENDS:
            try:
                times, error = decode(backend, context, batch)
            except RuntimeError as reason:
                print(f"{backend:6} {context:7} {batch:3}: not available: {str(reason).splitlines()[0]}")
                continue
            median = statistics.median(times)
            print(f"{backend:6} {context:7} {batch:3}: {median * 1e6:7.1f} us a layer, error {error:.1e}")
            note({"kernel": f"torch {backend}", "context": context, "batch": batch, "median_us": median * 1e6,
                  "error": error, "us": [t * 1e6 for t in times], "device": device})
        torch.cuda.empty_cache()
    for backend in BACKENDS:
        try:
            times = prefill(backend, 32_768)
        except RuntimeError as reason:
            print(f"{backend:6} prefill: not available: {str(reason).splitlines()[0]}")
            continue
        # Half of the square, two products.
        rate = 2 * HEADS * 32_768**2 * DIM / statistics.median(times)
        print(f"{backend:6} causal attention over 32768 tokens: {rate / 1e12:.0f} TFLOP/s")
        note({"kernel": f"torch {backend} prefill", "context": 32_768, "ms": [t * 1e3 for t in times], "device": device})


if __name__ == "__main__":
    main()
