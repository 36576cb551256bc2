"""Float64 oracle of the `fourier` cache for one key/value head.

The mathematics is that of docs/method.md, sections 2 and 3, done the slow
way: sums over cosines and complex exponentials, the past rebuilt, then
ordinary attention. No FFT, nothing streamed, so that it can check both.

Letters: M middle tokens, P period, N harmonics, D head dims; t = 0..M-1
counts from the first middle token, j is the imaginary unit.

A *spectrum* is the mean and the coefficients of some channels. In the base
band a channel is one real dim:

    a_n = sum_t x'_t cos(2 pi n t / P),  b_n likewise with sin,   n = 0..N-1
    x^_t = mu + (1/P) sum_n w_n (a_n cos(2 pi n t / P) + b_n sin(...))

with w_0 = 1, w_n = 2, but 1 for n = P/2 of an even P, which has no mirror
image. In the carrier band a channel is one rotary pair, z = x_i + j x_(i+D/2):

    Z_n = sum_t z'_t exp(-2 pi j n t / P),           n = c-(N-1) .. c+(N-1)
    z^_t = mu + (1/P) sum_n Z_n exp(2 pi j n t / P)
    c = round(theta_i P / 2 pi)

If 2N - 1 > P these bins would come round again; then each of the P bins is
taken once. The mean is that of the first `sealed` tokens and 0 of none.
Needs M <= P.
"""

import math
from dataclasses import dataclass

import numpy as np


def mean_at_seal(x, sealed):
    """Mean over the tokens that were there at seal; zeros if none were."""
    if sealed == 0:
        return np.zeros(x.shape[1], dtype=x.dtype)
    return x[:sealed].mean(axis=0)


@dataclass
class BaseSpectrum:
    """Base band of real channels: `mean` [C], `a` and `b` [N, C]."""

    mean: np.ndarray
    a: np.ndarray
    b: np.ndarray
    period: int

    def rebuild(self, tokens):
        """The approximated channels [tokens, C]."""
        harmonics = len(self.a)
        cosine, sine = base_waves(tokens, self.period, harmonics)
        weight = np.full(harmonics, 2.0)
        weight[0] = 1.0
        if 2 * (harmonics - 1) == self.period:
            weight[-1] = 1.0
        summed = cosine.T @ (weight[:, None] * self.a)
        summed += sine.T @ (weight[:, None] * self.b)
        return self.mean + summed / self.period


def base_waves(tokens, period, harmonics):
    """cos and sin of 2 pi n t / P, each [N, tokens]."""
    turns = np.arange(harmonics)[:, None] * np.arange(tokens)[None, :]
    # n t modulo P first: exact integers keep the angle small.
    angle = 2.0 * math.pi * (turns % period) / period
    return np.cos(angle), np.sin(angle)


def base_spectrum(x, sealed, period, harmonics):
    """The `BaseSpectrum` of real channels x [M, C]."""
    if harmonics > period // 2 + 1:
        raise ValueError(f"at most {period // 2 + 1} harmonics of {period}")
    mean = mean_at_seal(x, sealed)
    cosine, sine = base_waves(len(x), period, harmonics)
    deviation = x - mean
    return BaseSpectrum(mean, cosine @ deviation, sine @ deviation, period)


@dataclass
class CarrierSpectrum:
    """Carrier band of complex channels: `mean` [C], `z[c]` over `bins[c]`."""

    mean: np.ndarray
    bins: list
    z: list
    period: int

    def rebuild(self, tokens):
        """The approximated complex channels [tokens, C]."""
        out = np.empty((tokens, len(self.z)), dtype=np.complex128)
        for channel, (bins, z) in enumerate(zip(self.bins, self.z)):
            waves = carrier_waves(tokens, self.period, bins)
            out[:, channel] = self.mean[channel] + waves.T @ z / self.period
        return out


def carrier_bins(frequency, period, harmonics):
    """The bins of a pair that turns by `frequency` radians a token."""
    if 2 * harmonics - 1 > period:
        return np.arange(period)
    centre = round(frequency * period / (2.0 * math.pi))
    return np.arange(centre - harmonics + 1, centre + harmonics)


def carrier_waves(tokens, period, bins):
    """exp(2 pi j n t / P), [bins, tokens]."""
    turns = bins[:, None] * np.arange(tokens)[None, :]
    return np.exp(2j * math.pi * (turns % period) / period)


def carrier_spectrum(z, sealed, period, harmonics, frequencies):
    """The `CarrierSpectrum` of complex channels z [M, C]."""
    mean = mean_at_seal(z, sealed)
    bins = [carrier_bins(f, period, harmonics) for f in frequencies]
    coefficients = [
        carrier_waves(len(z), period, bins[c]).conj() @ (z[:, c] - mean[c])
        for c in range(z.shape[1])
    ]
    return CarrierSpectrum(mean, bins, coefficients, period)


def rebuild_base(x, dims, settings):
    """x [M, D] with the spectral `dims` as the base band keeps them."""
    spectrum = base_spectrum(
        x[:, dims], settings["sealed"], settings["P"], settings["N"]
    )
    rebuilt = x.copy()
    rebuilt[:, dims] = spectrum.rebuild(len(x))
    return rebuilt, spectrum


def rebuild_carrier(x, pairs, settings):
    """x [M, D] with the rotary `pairs` as the carrier band keeps them."""
    half = x.shape[1] // 2
    second = [pair + half for pair in pairs]
    frequencies = [settings["frequencies"][pair] for pair in pairs]
    spectrum = carrier_spectrum(
        x[:, pairs] + 1j * x[:, second],
        settings["sealed"], settings["P"], settings["N"], frequencies,
    )
    rebuilt = x.copy()
    z = spectrum.rebuild(len(x))
    rebuilt[:, pairs], rebuilt[:, second] = z.real, z.imag
    return rebuilt, spectrum


def attend(q, k, v):
    """Softmax attention of q [H, D] over k, v [T, D].

    Returns (out [H, D], log of the sum of exp(score) [H]).
    """
    scores = q @ k.T / math.sqrt(q.shape[1])
    top = scores.max(axis=1, keepdims=True)
    weights = np.exp(scores - top)
    total = weights.sum(axis=1, keepdims=True)
    return weights @ v / total, (top + np.log(total))[:, 0]
