"""Evidence for fitted waves: description length, and agreement between parts of the image."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from napari_periodic_denoise.noise.fitting.gauss_newton import (
    Fit,
    bands,
    real_and_imaginary,
    subtract_waves,
)
from napari_periodic_denoise.noise.fitting.sample import GradientSample

# Nats per ln(pixels). The Bayesian information criterion charges 4 unknowns 2 ln n; the double
# leaves clean images unchanged (benchmarks.rejection, clean images).
EVIDENCE_PER_LOG_PIXEL = 4.0
# t of 64 parts. Independent parts exceed it in fewer than one of 10⁷ cases, but the parts of a
# specimen are not independent (benchmarks.rejection, clean images).
CONSENSUS = 6.0
NATS_PER_UNKNOWN = 0.5  # times ln(pixels): the Bayesian information criterion (Schwarz 1978)
# Nats that an amplitude and a phase save by chance: twice the mean of one (Wilks 1938).
_CHANCE = 2.0
_BLOCKS = 8  # parts per axis; 64 parts give a t close to normal (benchmarks.rejection)


def description_length(sample: GradientSample, residual: torch.Tensor, unknowns: float) -> float:
    """Description length of a residual under a Laplace law, including the fit's unknowns.

    The length of n counted differences r and u unknowns is ``n ln(Σ|r|/n) + ½ u ln(n/2)``, up
    to a constant (Rissanen 1978; Schwarz 1978).

    Parameters
    ----------
    sample : GradientSample
        Its mask says which differences are counted. Its quantum softens their magnitudes.
    residual : Tensor of float32, shape (2, m, n)
        Gradient of the sample without the fit.
    unknowns : float
        Number of real unknowns of the fit, or their equivalent.

    Returns
    -------
    float
        Nats.
    """
    count = max(float(sample.counted.sum()), 2.0)
    magnitudes = residual.square().add_(sample.quantum**2).sqrt_().mul_(sample.counted)
    cost = NATS_PER_UNKNOWN * unknowns * math.log(count / 2)
    return count * math.log(float(magnitudes.sum()) / count) + cost


def evidence(
    samples: Sequence[GradientSample], fits: Sequence[Fit]
) -> tuple[np.ndarray, np.ndarray]:
    """Measure how much each wave shortens the description, and whether all parts agree.

    Under a Laplace law of the clean image's gradient, a residual r takes ``Σ |r| / b`` nats,
    where b is the mean magnitude. The evidence for a wave is the difference between the sum
    without it and the sum with it, all others unchanged. The quantum softens magnitudes, since
    smaller residuals are rounding. A repeating specimen saves much in few parts; noise saves a
    little in all.

    Parameters
    ----------
    samples : sequence of GradientSample
        Samples of P images of one shape.
    fits : sequence of Fit
        The same K waves in each image.

    Returns
    -------
    nats : ndarray of float64, shape (K,)
        Evidence from all images. Similar images count as one, and each further image is charged
        the chance saving of its amplitude and phase. A wave is worth keeping above
        ``EVIDENCE_PER_LOG_PIXEL · ln(len(sample))``.
    consensus : ndarray of float64, shape (K,)
        t: mean saving of 8×8 parts of the images, in units of its standard error. Parts without
        counted differences are excluded.
    """
    saved, counted = np.zeros((len(fits[0]), _BLOCKS**2)), np.zeros(_BLOCKS**2)
    for sample, fit in zip(samples, fits, strict=True):
        saved += _saved_in_parts(sample, fit)
        counted += _counted_in_parts(sample)
    if len(samples) > 1:
        residuals = [subtract_waves(s, fit) for s, fit in zip(samples, fits, strict=True)]
        different = independent_images(residuals)
        saved *= different / len(samples)
        saved -= _CHANCE * (different - 1) / _BLOCKS**2
    # protected and saturated parts have no differences to count
    saved = saved[:, counted > 0]
    if saved.shape[1] < 2:  # one part has no standard error
        return saved.sum(1), np.zeros(len(saved))
    return saved.sum(1), consensus_of(saved)


def independent_images(samples: Sequence[GradientSample]) -> float:
    """Effective number of independent images.

    With S the sum of the images' clipped differences s, it is ``P · Σ Σ s² / Σ S²``. It is 1 if
    the specimen is the same in all images.

    Parameters
    ----------
    samples : sequence of GradientSample
        The same pixels of P images.

    Returns
    -------
    float
        From 1 to P.
    """
    total = torch.zeros_like(samples[0].gradient)
    energy = 0.0
    for sample in samples:
        clipped = sample.gradient.sign() * sample.counted
        energy += float(clipped.square().sum())
        total += clipped
    alike = float(total.square().sum()) / max(energy, 1.0)
    return len(samples) / min(max(alike, 1.0), float(len(samples)))


def _saved_in_parts(sample: GradientSample, fit: Fit) -> np.ndarray:
    """Evidence for each wave in each of 8×8 parts of the image in nats, shape (K, 64)."""
    count = len(fit)
    coefficients = real_and_imaginary(fit.coefficients, sample.gradient.device)
    saved = torch.zeros(count, _BLOCKS, _BLOCKS, device=sample.gradient.device)
    magnitude, square = 0.0, sample.quantum**2
    for columns, gradient, counted, (y, x) in bands(sample, fit.frequencies):
        columns *= coefficients[:, None, None, None]
        each = columns[:count].add_(columns[count:])
        residual = gradient - each.sum(0)
        absent = each.add_(residual).square_().add_(square).sqrt_()
        present = residual.square_().add_(square).sqrt_()
        magnitude += float((present * counted).sum())
        saved += membership(y).T @ absent.sub_(present).mul_(counted).sum(1) @ membership(x)
    mean = magnitude / max(float(sample.counted.sum()), 1.0)
    nats: np.ndarray = saved.flatten(1).cpu().double().numpy()
    nats /= max(mean, np.finfo(np.float32).tiny)
    return nats


def saved_in_parts(sample: GradientSample, residual: torch.Tensor) -> np.ndarray:
    """Evidence for all that was subtracted from a sample, in each of 8×8 parts of the image.

    Parameters
    ----------
    sample : GradientSample
        Sample before the subtraction.
    residual : Tensor of float32, shape (2, m, n)
        Its gradient after the subtraction.

    Returns
    -------
    ndarray of float64, shape (P,)
        Nats. Parts without counted differences are excluded.
    """
    square = sample.quantum**2
    absent, present = (
        each.square().add_(square).sqrt_().mul_(sample.counted)
        for each in (sample.gradient, residual)
    )
    mean = float(present.sum()) / max(float(sample.counted.sum()), 1.0)
    y, x = _memberships(sample)
    saved: np.ndarray = (y.T @ (absent - present).sum(0) @ x).flatten().cpu().double().numpy()
    saved /= max(mean, np.finfo(np.float32).tiny)
    return saved[_counted_in_parts(sample) > 0]


def consensus_of(saved: np.ndarray) -> np.ndarray:
    """Mean saving of parts in units of its standard error, t, over the last axis.

    Parameters
    ----------
    saved : ndarray of float64, shape (..., P)
        Nats in each of P parts, at least two.

    Returns
    -------
    ndarray of float64, shape (...)
    """
    error = saved.std(-1, ddof=1) / math.sqrt(saved.shape[-1])
    consensus: np.ndarray = saved.mean(-1) / np.maximum(error, np.finfo(np.float64).tiny)
    return consensus


def _counted_in_parts(sample: GradientSample) -> np.ndarray:
    """Number of counted differences in each of 8×8 parts of the image, shape (64,)."""
    y, x = _memberships(sample)
    counted: np.ndarray = (y.T @ sample.counted.sum(0) @ x).flatten().cpu().double().numpy()
    return counted


def _memberships(sample: GradientSample) -> tuple[torch.Tensor, torch.Tensor]:
    """Parts that hold the rows and the columns of a sample, shapes (m, 8) and (n, 8)."""
    y, x = (
        membership((lines - (length - 1) / 2) / length)
        for lines, length in zip((sample.rows, sample.columns), sample.shape, strict=True)
    )
    return y, x


def membership(position: torch.Tensor) -> torch.Tensor:
    """Indicator of the part, one of 8 along an axis, that holds each position.

    Parameters
    ----------
    position : Tensor, shape (m,)
        From −½ to ½, see `bands`.

    Returns
    -------
    Tensor of float32, shape (m, 8)
    """
    part = (_BLOCKS * (position + 0.5)).long().clamp_(0, _BLOCKS - 1)
    return torch.nn.functional.one_hot(part, _BLOCKS).to(torch.float32)
