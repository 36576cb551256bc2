"""Schemathesis asks the server whatever its OpenAPI document allows, and much that it does not: no answer is a 5xx."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

from serving import Server


class Document(unittest.TestCase):
    def test_no_request_fails_inside(self):
        program = pathlib.Path(sys.executable).with_name("schemathesis")
        with Server("--max-tokens", "4", "--max-answers", "2", "--timeout", "60") as server:
            command = [
                str(program), "run", f"{server.url}/openapi.json", "--checks", "not_a_server_error",
                "--max-examples", "12", "--generation-deterministic", "--request-timeout", "120",
            ]  # fmt: skip
            # It keeps notes where it runs.
            with tempfile.TemporaryDirectory() as folder:
                run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900, check=False)
            self.assertEqual(run.returncode, 0, run.stdout[-4000:] + run.stderr[-2000:])
            self.assertEqual(server.metric("fourier_kv_answers_running"), 0)


if __name__ == "__main__":
    unittest.main()
