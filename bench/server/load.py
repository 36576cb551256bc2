"""Load for a server with OpenAI's API: many streams at once, of mixed lengths, beside one stream alone.

    python bench/server/load.py URL MODEL [--streams 32] [--seconds 600] [--alone 60] [--name NAME] > rows.jsonl

First one stream for `--alone` seconds, then `--streams` for `--seconds`: each client asks again as soon as it was
answered. A row a request: tokens, seconds to the first token, the longest gap between two tokens. A last row sums up, with
the peak of the server's memory (`--pid`) and of its cache (where it has /metrics). Standard library only, so that the same
client measures every server.
"""

import argparse
import http.client
import json
import random
import threading
import time
import urllib.parse

#: Lengths of prompts, in words, and of answers, in tokens; each request has one of each.
PROMPTS = [24, 48, 96, 192, 384, 768]
ANSWERS = [96, 160, 256]
WORDS = "harbour boat lamp rope keeper tower storm calm window ladder bell door mill bridge orchard quarry".split()


def prompt(rng):
    """A text like no other, and what to do with it."""
    count = rng.choice(PROMPTS)
    words = (f"{rng.choice(WORDS)} {rng.randrange(100)}" for _ in range(count // 2))
    return " ".join(words) + ". Write a long story about these things."


def ask(url, model, rng):
    """One streamed answer; what it took."""
    body = {
        "model": model,
        "messages": [{"role": "user", "content": prompt(rng)}],
        "max_tokens": rng.choice(ANSWERS),
        "temperature": 0.8,
        "seed": rng.randrange(1 << 31),
        "stream": True,
    }
    place = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=1200)
    begun = time.monotonic()
    row = {"status": 0, "tokens": 0, "first": None, "gap": 0.0, "finish": None}
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        row["status"] = response.status
        last = None
        for line in response:
            if not line.startswith(b"data: {"):
                continue
            event = json.loads(line[6:])
            choice = (event.get("choices") or [{}])[0]
            row["finish"] = choice.get("finish_reason") or row["finish"]
            row["error"] = event.get("error")
            if choice.get("delta", {}).get("content"):
                now = time.monotonic()
                row["tokens"] += 1
                row["first"] = row["first"] if last else now - begun
                row["gap"] = max(row["gap"], now - last) if last else 0.0
                last = now
    except OSError as error:
        row["error"] = str(error)
    finally:
        connection.close()
    row["seconds"] = time.monotonic() - begun
    return row


class Peaks(threading.Thread):
    """Watches the memory of the server and of its cache."""

    def __init__(self, url, pid):
        super().__init__(daemon=True)
        self.url, self.pid = url, pid
        self.cache, self.budget, self.resident = [], None, []
        self.ended = threading.Event()

    def run(self):
        while not self.ended.wait(0.5):
            self.look()

    def look(self):
        if self.pid:
            with open(f"/proc/{self.pid}/statm", encoding="ascii") as file:
                self.resident.append(int(file.read().split()[1]) * 4096)
        place = urllib.parse.urlsplit(self.url)
        connection = http.client.HTTPConnection(place.hostname, place.port, timeout=60)
        try:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        except OSError:
            return
        finally:
            connection.close()
        value = lambda line: float(line.rsplit(" ", 1)[1])
        lines = text.splitlines()
        if any(line.startswith("fourier_kv_cache_bytes{") for line in lines):
            self.cache.append(sum(value(line) for line in lines if line.startswith("fourier_kv_cache_bytes{")))
            self.budget = sum(value(line) for line in lines if line.startswith("fourier_kv_cache_budget_bytes "))


def load(args, streams, seconds, seed):
    """Rows of all requests that began within the time."""
    rows, end = [], time.monotonic() + seconds

    def client(number):
        rng = random.Random(seed * 1000 + number)
        while time.monotonic() < end:
            row = ask(args.url, args.model, rng)
            rows.append({**row, "stream": number})
            if row["status"] == 429:
                time.sleep(1)

    begun = time.monotonic()
    clients = [threading.Thread(target=client, args=(number,)) for number in range(streams)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    return rows, time.monotonic() - begun


def summary(name, streams, rows, seconds):
    good = [row for row in rows if row["finish"] in ("stop", "length")]
    ordered = sorted(row["first"] for row in good if row["first"] is not None) or [0.0]
    gaps = sorted(row["gap"] for row in good) or [0.0]
    return {
        "name": name, "streams": streams, "seconds": seconds, "requests": len(rows), "answered": len(good),
        "tokens": sum(row["tokens"] for row in rows), "tokens_per_second": sum(row["tokens"] for row in rows) / seconds,
        "first_token_median": ordered[len(ordered) // 2], "first_token_most": ordered[-1],
        "gap_median_of_longest": gaps[len(gaps) // 2], "gap_longest": gaps[-1],
    }  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("model")
    parser.add_argument("--name", default="fourier-kv")
    parser.add_argument("--streams", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--alone", type=float, default=60)
    parser.add_argument("--pid", type=int)
    args = parser.parse_args()
    alone, took = load(args, 1, args.alone, 1)
    one = summary(args.name, 1, alone, took)
    print(json.dumps(one), flush=True)
    peaks = Peaks(args.url, args.pid)
    peaks.look()
    peaks.start()
    rows, took = load(args, args.streams, args.seconds, 2)
    peaks.ended.set()
    for row in rows:
        print(json.dumps({"name": args.name, **row}))
    many = summary(args.name, args.streams, rows, took)
    many["speed_up"] = many["tokens_per_second"] / one["tokens_per_second"]
    many["cache_budget"], many["cache_peak"] = peaks.budget, max(peaks.cache, default=None)
    many["resident_begin"], many["resident_peak"] = peaks.resident[:1], max(peaks.resident, default=None)
    print(json.dumps(many), flush=True)


if __name__ == "__main__":
    main()
