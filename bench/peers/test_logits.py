"""Checks of the file format, the comparison and the 17-event bound.

    python -m unittest discover bench/peers
"""

import tempfile
import unittest
from pathlib import Path

import numpy as np

import compare_logits
import llama_cpp_golden
import logits_file


def random_logprobs(seed, shape=(20, 300)):
    """Float32 log-probabilities of peaked random distributions."""
    logits = 3.0 * np.random.default_rng(seed).normal(size=shape)
    return logits_file.log_softmax(logits).astype(np.float32)


class Files(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def written(self, name, logprobs, tokens=None):
        path = Path(self.folder.name) / name
        logits_file.write(
            path, logprobs, engine="test", model="none",
            tokens=tokens or list(range(len(logprobs))),
            vocab=logprobs.shape[1],
        )
        return path

    def test_what_is_written_is_read(self):
        logprobs = random_logprobs(1)
        path = self.written("a.f32", logprobs)
        file = logits_file.read(path)
        np.testing.assert_array_equal(file.logprobs, logprobs)
        self.assertEqual(file.tokens, list(range(20)))
        self.assertEqual(path.read_bytes(), logprobs.astype("<f4").tobytes())

    def test_a_cut_file_is_refused(self):
        path = self.written("a.f32", random_logprobs(1))
        path.write_bytes(path.read_bytes()[:-4])
        with self.assertRaisesRegex(ValueError, "expected 24000 bytes"):
            logits_file.read(path)

    def test_comparison_equals_the_definition(self):
        p, q = random_logprobs(1), random_logprobs(2)
        result = compare_logits.compare(
            logits_file.read(self.written("a.f32", p)),
            logits_file.read(self.written("b.f32", q)),
        )
        p, q = p.astype(np.float64), q.astype(np.float64)
        want = np.mean([(np.exp(a) * (a - b)).sum() for a, b in zip(p, q)])
        self.assertAlmostEqual(result["mean_kl"], want, places=5)
        same = np.mean([a.argmax() == b.argmax() for a, b in zip(p, q)])
        self.assertEqual(result["top1_agreement"], same)

    def test_a_token_that_cannot_come_counts_nothing(self):
        with np.errstate(divide="ignore"):
            p = np.log(np.array([[0.5, 0.5, 0.0]]))
            q = np.log(np.array([[0.25, 0.75, 0.0]]))
        _, divergence, _ = compare_logits.compare_chunk(p, q)
        want = 0.5 * np.log(2.0) + 0.5 * np.log(0.5 / 0.75)
        self.assertAlmostEqual(divergence[0], want)

    def test_other_tokens_are_refused(self):
        logprobs = random_logprobs(1)
        a = logits_file.read(self.written("a.f32", logprobs))
        b = logits_file.read(self.written("b.f32", logprobs, [7] * 20))
        with self.assertRaises(SystemExit):
            compare_logits.compare(a, b)


class Bound(unittest.TestCase):
    def test_merged_events_never_exceed_the_divergence(self):
        for p, q in zip(random_logprobs(3), random_logprobs(4)):
            p, q = p.astype(np.float64), q.astype(np.float64)
            ids, logprobs, rest = llama_cpp_golden.best_of_row(p)
            self.assertEqual(ids[0], p.argmax())
            other = np.exp(q[ids])
            logprobs = np.array(logprobs)
            bound = (np.exp(logprobs) * (logprobs - q[ids])).sum()
            bound += rest * np.log(rest / (1.0 - other.sum()))
            full = (np.exp(p) * (p - q)).sum()
            self.assertLess(bound, full + 1e-4)
            self.assertGreater(bound, 0.0)


if __name__ == "__main__":
    unittest.main()
