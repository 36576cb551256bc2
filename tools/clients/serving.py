"""A server of the default model for tests, on a free port, as a user would start it."""

import json
import os
import pathlib
import subprocess
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
#: Settings under which prompts of some hundred tokens are already compressed.
CACHE = "fourier:window=256,harmonics=128,least-middle=256"


def program():
    """The program to test: the one that was built last for tests, or what FOURIER_KV_PROGRAM names."""
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return os.environ.get("FOURIER_KV_PROGRAM", str(target / "debug" / "fourier-kv"))


class Server:
    """A running `fourier-kv serve`; use it in a `with` statement."""

    def __init__(self, *options, key=None, port=0, cache=CACHE):
        command = [program(), "--json", "serve", "-m", "smollm2", "--source-order", "cache", "--port", str(port)]
        environment = {**os.environ, **({"FOURIER_KV_API_KEY": key} if key else {})}
        self.process = subprocess.Popen(
            [*command, "--cache", cache, *options], stdout=subprocess.PIPE, env=environment, text=True
        )
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the server ended with status {self.process.wait()}")
        self.url = json.loads(line)["url"]
        self.key = key

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=60)
        self.process.stdout.close()

    def get(self, path):
        """The body of a page."""
        request = urllib.request.Request(self.url + path)
        if self.key:
            request.add_header("Authorization", f"Bearer {self.key}")
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.read().decode()

    def post(self, path, body):
        """The JSON that a request is answered with."""
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=300) as response:
            return json.load(response)

    def metric(self, name):
        """A metric's value, all its samples together."""
        lines = [line for line in self.get("/metrics").splitlines() if line.startswith(name)]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)
