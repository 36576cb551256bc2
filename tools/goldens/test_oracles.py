"""Checks of the references themselves.

    python -m unittest discover tools/goldens

Each compares with another way to the same number, so that a golden is never
only what its script happened to print.
"""

import json
import math
import unittest
from fractions import Fraction

import numpy as np

import fourier_cache
import fourier_head
import golden_file
import metrics
import random_models
import reference_model
import seeded
from gguf_weights import hugging_face_name, undo_interleaving


def interleaved_rotation(x, frequencies):
    """Rotary positions with dims 2i and 2i + 1 as a pair, by sin and cos."""
    angle = np.arange(len(x))[:, None] * frequencies
    cosine, sine = np.cos(angle)[:, None], np.sin(angle)[:, None]
    out = np.empty_like(x)
    out[..., 0::2] = x[..., 0::2] * cosine - x[..., 1::2] * sine
    out[..., 1::2] = x[..., 0::2] * sine + x[..., 1::2] * cosine
    return out


def plain_integer_uniform(name, index):
    """The rule of seeded.py with Python's unbounded integers."""
    mask = 2**64 - 1
    z = (seeded.fnv1a64(name) + (index + 1) * 0x9E3779B97F4A7C15) & mask
    z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ z >> 27) * 0x94D049BB133111EB) & mask
    z ^= z >> 31
    return 2 * (z >> 40) / 2**24 - 1


class Seeded(unittest.TestCase):
    def test_fnv_of_published_vectors(self):
        self.assertEqual(seeded.fnv1a64(""), 0xCBF29CE484222325)
        self.assertEqual(seeded.fnv1a64("foobar"), 0x85944171F73967E8)

    def test_uniform_equals_plain_integers(self):
        got = seeded.uniform("q", (5, 4)).ravel()
        want = [plain_integer_uniform("q", i) for i in range(20)]
        self.assertEqual(got.tolist(), want)

    def test_bf16_rounds_to_nearest_with_ties_to_even(self):
        step = 2.0**-7
        for value, want in [
            (1 + step / 2, 1.0),
            (1 + 1.5 * step, 1 + 2 * step),
            (1 + step / 2 + 2.0**-40, 1 + step),
            (-1 - 0.4 * step, -1.0),
        ]:
            self.assertEqual(float(seeded.round_to_bf16(value)), want)


class Model(unittest.TestCase):
    def test_halves_equal_interleaved_after_reordering(self):
        rng = np.random.default_rng(1)
        frequencies = np.array([1.0, 0.3, 0.02])
        rows = rng.normal(size=(2 * 6, 5))
        x = rng.normal(size=(7, 5))
        stored = (x @ rows.T).reshape(7, 2, 6)
        halves = (x @ undo_interleaving(rows, 2).T).reshape(7, 2, 6)
        a = interleaved_rotation(stored, frequencies)
        b = reference_model.rotate(halves, frequencies)
        np.testing.assert_allclose(
            np.einsum("thd,shd->hts", a, a),
            np.einsum("thd,shd->hts", b, b),
            atol=1e-12,
        )

    def test_scores_depend_on_distance_only(self):
        frequencies = np.array([0.7, 0.05])
        x = np.tile(np.array([0.3, -1.2, 0.8, 0.5]), (6, 1, 1))
        turned = reference_model.rotate(x, frequencies)[:, 0]
        scores = turned @ turned.T
        for distance in range(6):
            diagonal = np.diagonal(scores, distance)
            np.testing.assert_allclose(diagonal, diagonal[0], atol=1e-12)

    def test_llama3_scaling_has_three_ranges(self):
        scaling = random_models.LLAMA["rope_scaling"]
        turn = 2 * math.pi / 16  # one turn in the original context
        for turns, share in [(5, 1), (0.5, Fraction(1, 8)), (1, 0.125),
                             (4, 1), (2.5, 0.5 / 8 + 0.5)]:
            got = reference_model.llama3_frequency(turns * turn, scaling)
            self.assertAlmostEqual(got, float(share) * turns * turn)

    def test_a_prefix_has_the_same_logits(self):
        for config in (random_models.LLAMA, random_models.QWEN2):
            weights = random_models.random_weights(config)
            model = reference_model.ReferenceModel(config, weights)
            tokens = random_models.random_tokens(config)
            np.testing.assert_allclose(
                model.forward(tokens[:9]), model.forward(tokens)[:9],
                atol=1e-12,
            )

    def test_past_holds_every_token(self):
        config = random_models.QWEN2
        weights = random_models.random_weights(config)
        model = reference_model.ReferenceModel(config, weights)
        _, past = model.forward([1, 2, 3], keep_past=True)
        self.assertEqual([k.shape for k, _ in past], [(3, 2, 8)] * 2)

    def test_names(self):
        self.assertEqual(
            hugging_face_name("blk.12.attn_q.bias"),
            "model.layers.12.self_attn.q_proj.bias",
        )
        with self.assertRaises(ValueError):
            hugging_face_name("rope_freqs.weight")


class FourierCache(unittest.TestCase):
    def setUp(self):
        self.x = np.random.default_rng(2).normal(size=(48, 3))

    def test_base_band_equals_a_masked_fft(self):
        mean = self.x.mean(axis=0)
        spectrum = np.fft.rfft(self.x - mean, axis=0)
        spectrum[8:] = 0.0
        want = mean + np.fft.irfft(spectrum, n=48, axis=0)
        got = fourier_cache.base_spectrum(self.x, 48, 48, 8).rebuild(48)
        np.testing.assert_allclose(got, want, atol=1e-12)

    def test_carrier_band_equals_a_masked_fft(self):
        z, frequency = self.x[:, 0] + 1j * self.x[:, 1], 1.0
        spectrum = np.fft.fft(z - z.mean())
        keep = (np.arange(8 - 4, 8 + 5)) % 48  # 48 / 2 pi = 7.6
        masked = np.zeros_like(spectrum)
        masked[keep] = spectrum[keep]
        want = z.mean() + np.fft.ifft(masked)
        got = fourier_cache.carrier_spectrum(
            z[:, None], 48, 48, 5, [frequency]
        )
        np.testing.assert_allclose(got.rebuild(48)[:, 0], want, atol=1e-12)

    def test_full_spectrum_is_exact(self):
        for tokens, period in [(48, 48), (31, 48), (31, 45), (1, 7), (0, 8)]:
            x = self.x[:tokens]
            base = fourier_cache.base_spectrum(
                x, tokens, period, period // 2 + 1
            )
            np.testing.assert_allclose(base.rebuild(tokens), x, atol=1e-12)
            z = x + 1j * x[:, ::-1]
            carrier = fourier_cache.carrier_spectrum(
                z, tokens, period, period // 2 + 1, [1.0, 0.1, 0.01]
            )
            np.testing.assert_allclose(carrier.rebuild(tokens), z, atol=1e-12)

    def test_attention_equals_plain_sums(self):
        q, k, v = self.x[:2], self.x[:5], self.x[5:10]
        out, lse = fourier_cache.attend(q, k, v)
        for row in range(2):
            weights = [math.exp(q[row] @ key / math.sqrt(3)) for key in k]
            total = sum(weights)
            self.assertAlmostEqual(lse[row], math.log(total))
            want = sum(w * value for w, value in zip(weights, v)) / total
            np.testing.assert_allclose(out[row], want, atol=1e-12)


class Metrics(unittest.TestCase):
    def test_published_examples(self):
        self.assertEqual(metrics.edit_distance("kitten", "sitting"), 3)
        self.assertEqual(metrics.normalized("The U.S., an a"), "us")
        self.assertAlmostEqual(metrics.qa_f1("red red", "a red fox"), 0.5)

    def test_divergence_of_known_distributions(self):
        even, sure = [0.0, 0.0], [0.0, None]
        self.assertAlmostEqual(metrics.divergence(sure, even), math.log(2))
        self.assertEqual(metrics.divergence(even, even), 0.0)

    def test_difflib_is_what_fuzzywuzzy_uses(self):
        # The longest common subsequence, which python-Levenshtein counts, is 2 both ways.
        self.assertEqual(metrics.code_sim("tide", "diet"), 0.25)
        self.assertEqual(metrics.code_sim("diet", "tide"), 0.5)


class GoldenFiles(unittest.TestCase):
    """The files in the repository are what their scripts make."""

    def assert_close(self, got, want):
        if isinstance(want, dict):
            self.assertEqual(got.keys(), want.keys())
            for key in want:
                self.assert_close(got[key], want[key])
        elif isinstance(want, list):
            self.assertEqual(len(got), len(want))
            for pair in zip(got, want):
                self.assert_close(*pair)
        elif isinstance(want, float):
            self.assertAlmostEqual(got, want, delta=1e-8 + 1e-9 * abs(want))
        else:
            self.assertEqual(got, want)

    def read(self, path):
        return json.loads((golden_file.REPOSITORY / path).read_text())

    def test_random_models(self):
        for config in (random_models.LLAMA, random_models.QWEN2):
            path = f"random_{config['model_type']}.json"
            self.assert_close(
                random_models.golden(config),
                self.read("crates/model/tests/goldens/" + path),
            )

    def test_metrics(self):
        self.assert_close(metrics.golden(), self.read(metrics.PATH))

    def test_fourier_head(self):
        for case in self.read(fourier_head.PATH)["cases"]:
            with self.subTest(case["name"]):
                self.assert_close(fourier_head.solve(case), case)


if __name__ == "__main__":
    unittest.main()
