"""kill -9 while answers run and a session is being parked: after a restart all that was parked is there."""

import contextlib
import http.client
import json
import tempfile
import threading
import unittest

from serving import Server

STORY = {"prompt": "The keeper of the lighthouse wrote every day. " * 30, "temperature": 0}


class Crash(unittest.TestCase):
    def start(self, folder):
        return Server("--session-dir", folder, "--keep", "0")

    def test_kill_during_load(self):
        with tempfile.TemporaryDirectory() as folder:
            with self.start(folder) as server:
                safe, saving = (server.post("/v1/sessions", {})["id"] for _ in range(2))
                for session in [safe, saving]:
                    server.post("/v1/completions", {**STORY, "session": session, "max_tokens": 1})
                saved = server.post(f"/v1/sessions/{safe}/save", {})
                self.assertGreater(saved["file_bytes"], 1000)
                expected = server.post("/v1/completions", {**STORY, "session": safe, "max_tokens": 8})
                server.post(f"/v1/sessions/{safe}/save", {})
                load = [threading.Thread(target=self.ignore, args=(server, i)) for i in range(4)]
                load.append(threading.Thread(target=self.save, args=(server, saving)))
                for thread in load:
                    thread.start()
                while server.metric("fourier_kv_answers_running") == 0:
                    pass
                server.process.kill()
                server.process.wait()
                for thread in load:
                    thread.join()
            with self.start(folder) as server:
                states = {session["id"]: session["state"] for session in self.sessions(server)}
                self.assertEqual(states[safe], "parked")
                restored = server.post(f"/v1/sessions/{safe}/restore", {})
                self.assertEqual(restored["state"], "held")
                self.assertGreater(restored["tokens"], 200)
                if saving in states:
                    server.post(f"/v1/sessions/{saving}/restore", {})
                again = server.post("/v1/completions", {**STORY, "max_tokens": 8})
                self.assertEqual(again["choices"][0]["text"], expected["choices"][0]["text"])

    def sessions(self, server):
        return json.loads(server.get("/v1/sessions"))["data"]

    def ignore(self, server, number):
        """A request that the kill will end."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            server.post("/v1/completions", {**STORY, "prompt": f"{number} {STORY['prompt']}", "max_tokens": 500})

    def save(self, server, session):
        with contextlib.suppress(OSError, http.client.HTTPException):
            server.post(f"/v1/sessions/{session}/save", {})


if __name__ == "__main__":
    unittest.main()
