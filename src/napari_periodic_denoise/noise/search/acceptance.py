"""Tests that accept or reject fitted waves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_periodic_denoise.noise.fitting.evidence import (
    CONSENSUS,
    EVIDENCE_PER_LOG_PIXEL,
    evidence,
)
from napari_periodic_denoise.noise.fitting.gauss_newton import Fit
from napari_periodic_denoise.noise.fitting.sample import GradientSample
from napari_periodic_denoise.noise.search.channel import Found
from napari_periodic_denoise.noise.waves.frequency import SAME_WAVE, distances, in_half_plane
from napari_periodic_denoise.noise.waves.wave import Rejected
from napari_periodic_denoise.noise.wording import Cause

Array = NDArray[Any]

# Relaxed thresholds of the consensus; benchmarks.rejection checks them on clean images too.
_OVERWHELMING = 50.0  # times the evidence threshold, from which on a wave may be uneven
_UNEVEN = 2 / 3  # of the consensus, for a wave with overwhelming evidence
_RELATED = 1 / 2  # of the consensus, for a wave that shares its bases with others
# Grey levels. Rounding makes harmonics of a wave of about a quarter of a level at most (Bennett
# 1948); benchmarks.rejection checks it on rounded images.
_VISIBLE = 0.25


def evidence_threshold(samples: Sequence[GradientSample]) -> float:
    """Minimum evidence of a wave, ``4 ln n`` nats for samples of n pixels together."""
    return EVIDENCE_PER_LOG_PIXEL * math.log(sum(map(len, samples)))


def accept_waves(sample: GradientSample, found: Found) -> tuple[Found, tuple[Rejected, ...]]:
    """Accept the waves that pass all tests.

    Parameters
    ----------
    sample : GradientSample
        Sample of the image with these waves.
    found : Found

    Returns
    -------
    accepted : Found
        Accepted waves, with their evidence.
    rejected : tuple of Rejected
    """
    keep, nats, rejected = assess_waves([sample], [found.fit], found.false_alarms)
    return replace(found, evidence=nats).take(keep), rejected


def assess_waves(
    samples: Sequence[GradientSample], fits: Sequence[Fit], false_alarms: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.float64], tuple[Rejected, ...]]:
    """Test waves for evidence, agreement between parts, rounding and duplicates.

    Parameters
    ----------
    samples : sequence of GradientSample
        Samples of P images with these waves.
    fits : sequence of Fit
        The same K waves in each image.
    false_alarms : ndarray of float64, shape (K,)
        See `Wave`.

    Returns
    -------
    keep : ndarray of bool, shape (K,)
        Waves that pass all tests.
    nats : ndarray of float64, shape (K,)
        Evidence.
    rejected : tuple of Rejected
        The other waves, with the first test that they failed.
    """
    fit, shape = fits[0], samples[0].shape
    nats, consensus = evidence(samples, fits)
    threshold = evidence_threshold(samples)
    strength = np.sqrt(np.mean([np.abs(each.coefficients) ** 2 for each in fits], 0))
    grey = np.sqrt(
        np.mean(
            [
                np.abs(each.coefficients / sample.quantum) ** 2
                for sample, each in zip(samples, fits, strict=True)
            ],
            0,
        )
    )
    # two waves of similar frequency are first found as one that beats, with uneven evidence
    agreement = np.where(nats > _OVERWHELMING * threshold, _UNEVEN * CONSENSUS, CONSENSUS)
    # other waves with the same base are evidence too
    shared = fit.ties != 0
    related = (shared * shared.sum(0)).max(1, initial=0) > 2
    agreement = np.where(related, _RELATED * CONSENSUS, agreement)
    # two waves that have moved onto each other describe one wave that changes
    twin = (distances(fit.frequencies, shape) < SAME_WAVE) & (strength[:, None] < strength)
    tests: tuple[tuple[Array, Cause, Array, Array], ...] = (
        (nats <= threshold, Cause.TOO_WEAK, nats, np.full(len(nats), threshold)),
        (consensus <= agreement, Cause.PARTS_DISAGREE, consensus, agreement),
        (~related & (grey < _VISIBLE), Cause.ROUNDING, grey, np.full(len(grey), _VISIBLE)),
        (twin.any(1), Cause.DUPLICATE, np.zeros(len(nats)), np.zeros(len(nats))),
    )
    keep: NDArray[np.bool_] = ~np.any([failed for failed, *_ in tests], axis=0)
    rejected = []
    for i in np.flatnonzero(~keep):
        _, cause, measured, required = next(test for test in tests if test[0][i])
        fy, fx = in_half_plane(fit.frequencies[i])
        alarms = float(false_alarms[i])
        rejected.append(Rejected((fy, fx), alarms, cause, float(measured[i]), float(required[i])))
    return keep, nats, tuple(rejected)
