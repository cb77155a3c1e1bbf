"""Evidence for fitted waves: description length, and the agreement of all parts of the image."""

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

EVIDENCE_PER_LOG_PIXEL = 4.0
CONSENSUS = 6.0
NATS_PER_UNKNOWN = 0.5  # times ln(number of pixels): the Bayesian information criterion
_CHANCE = 2.0  # nats that an amplitude and a phase save without a wave: twice the mean
_BLOCKS = 8  # per axis, over which a wave's evidence must agree


def description_length(sample: GradientSample, residual: torch.Tensor, unknowns: float) -> float:
    """Nats that a gradient's residual takes under a Laplace law, and the fit's unknowns.

    Parameters
    ----------
    sample : GradientSample
        Tells which differences are counted, and the quantum that magnitudes are softened by.
    residual : Tensor of float32, shape (2, m, n)
        What a fit leaves of the sample's gradient.
    unknowns : float
        Number of real unknowns of the fit, or what they count for.
    """
    count = max(float(sample.counted.sum()), 2.0)
    magnitudes = residual.square().add_(sample.quantum**2).sqrt_().mul_(sample.counted)
    cost = NATS_PER_UNKNOWN * unknowns * math.log(count / 2)
    return count * math.log(float(magnitudes.sum()) / count) + cost


def evidence(
    samples: Sequence[GradientSample], fits: Sequence[Fit]
) -> tuple[np.ndarray, np.ndarray]:
    """By how much each wave shortens the description of images, and whether all parts agree.

    Under a Laplace law of the clean image's gradient, the description of a residual r takes
    ``Σ |r| / b`` nats, b the mean magnitude: so count what is saved with the wave in against
    the wave left out, the others unchanged. Magnitudes are softened by the quantum, below
    which a residual tells nothing. A specimen that happens to repeat saves much in few places;
    noise saves a little everywhere.

    Parameters
    ----------
    samples : sequence of GradientSample
        Of P images of one shape.
    fits : sequence of Fit
        The same K waves in each image.

    Returns
    -------
    nats : ndarray of float64, shape (K,)
        All images together, those that are alike counted as one, less what chance gives each
        further one's amplitude and phase.
        Above ``EVIDENCE_PER_LOG_PIXEL · ln(len(sample))`` a wave is worth keeping.
    consensus : ndarray of float64, shape (K,)
        Mean saving of 8×8 parts of the image, in units of its standard error. Each part is that
        of all images; parts of which nothing is counted are left out.
    """
    saved, counted = np.zeros((len(fits[0]), _BLOCKS**2)), np.zeros(_BLOCKS**2)
    for sample, fit in zip(samples, fits, strict=True):
        saved += _saved_in_parts(sample, fit)
        counted += _counted_in_parts(sample)
    if len(samples) > 1:
        rest = [subtract_waves(sample, fit) for sample, fit in zip(samples, fits, strict=True)]
        different = independent_images(rest)
        saved *= different / len(samples)
        saved -= _CHANCE * (different - 1) / _BLOCKS**2
    # a part that is protected or saturated has no say
    saved = saved[:, counted > 0]
    parts = saved.shape[1]
    if parts < 2:  # nothing to agree
        return saved.sum(1), np.zeros(len(saved))
    error = saved.std(1, ddof=1) / math.sqrt(parts)
    consensus = saved.mean(1) / np.maximum(error, np.finfo(np.float64).tiny)
    return saved.sum(1), consensus


def independent_images(samples: Sequence[GradientSample]) -> float:
    """How many images of independent pixels tell as much: one, if the specimen does not change.

    Parameters
    ----------
    samples : sequence of GradientSample
        Of the same pixels of P images.

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
    """Nats that each wave saves in each of 8×8 parts of the image, shape (K, 64)."""
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
        saved += _membership(y).T @ absent.sub_(present).mul_(counted).sum(1) @ _membership(x)
    mean = magnitude / max(float(sample.counted.sum()), 1.0)
    nats: np.ndarray = saved.flatten(1).cpu().double().numpy()
    nats /= max(mean, np.finfo(np.float32).tiny)
    return nats


def _counted_in_parts(sample: GradientSample) -> np.ndarray:
    """Differences that are counted in each of 8×8 parts of the image, shape (64,)."""
    parts = (
        _membership((lines - (length - 1) / 2) / length)
        for lines, length in zip((sample.rows, sample.columns), sample.shape, strict=True)
    )
    y, x = parts
    counted: np.ndarray = (y.T @ sample.counted.sum(0) @ x).flatten().cpu().double().numpy()
    return counted


def _membership(position: torch.Tensor) -> torch.Tensor:
    """Which of the equal parts of the image a position from −½ to ½ is in; shape (m, 8)."""
    part = (_BLOCKS * (position + 0.5)).long().clamp_(0, _BLOCKS - 1)
    return torch.nn.functional.one_hot(part, _BLOCKS).to(torch.float32)
