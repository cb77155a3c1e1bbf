"""The tests that accept or reject fitted waves."""

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
from napari_periodic_denoise.noise.waves.frequency import APART, distances
from napari_periodic_denoise.noise.waves.wave import Rejected
from napari_periodic_denoise.noise.wording import Cause

Array = NDArray[Any]

_OVERWHELMING = 50.0  # times the needed evidence
_UNEVEN = 2 / 3  # of the consensus, which is then enough
_RELATED = 1 / 2  # of the consensus, which is enough where other waves share the bases
_VISIBLE = 0.25  # grey levels, under which a wave can be an artefact of rounding another


def evidence_threshold(samples: Sequence[GradientSample]) -> float:
    """Nats that a wave has to save in the description of samples."""
    return EVIDENCE_PER_LOG_PIXEL * math.log(sum(map(len, samples)))


def accept_waves(sample: GradientSample, found: Found) -> tuple[Found, tuple[Rejected, ...]]:
    """Those of the waves that are noise, with their evidence, and why the others are not.

    Parameters
    ----------
    sample : GradientSample
        Of the image with these waves.
    found : Found
    """
    keep, nats, rejected = assess_waves([sample], [found.fit], found.false_alarms)
    return replace(found, evidence=nats).take(keep), rejected


def assess_waves(
    samples: Sequence[GradientSample], fits: Sequence[Fit], false_alarms: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.float64], tuple[Rejected, ...]]:
    """Tell which waves pay for themselves, all over the image, and are no rounding.

    Parameters
    ----------
    samples : sequence of GradientSample
        Of P images with these waves.
    fits : sequence of Fit
        The same K waves in each image.
    false_alarms : ndarray of float64, shape (K,)

    Returns
    -------
    keep : ndarray of bool, shape (K,)
    nats : ndarray of float64, shape (K,)
        Evidence.
    rejected : tuple of Rejected
        Those that are not kept.
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
    # overwhelming evidence may be uneven: two waves close by are at first found as one that beats
    agreed = np.where(nats > _OVERWHELMING * threshold, _UNEVEN * CONSENSUS, CONSENSUS)
    # the company of waves that share a base is evidence too
    shared = fit.ties != 0
    related = (shared * shared.sum(0)).max(1, initial=0) > 2
    agreed = np.where(related, _RELATED * CONSENSUS, agreed)
    # two waves that have moved onto each other describe one that changes
    twin = (distances(fit.frequencies, shape) < APART) & (strength[:, None] < strength)
    tests: tuple[tuple[Array, Cause, Array, Array], ...] = (
        (nats <= threshold, Cause.TOO_WEAK, nats, np.full(len(nats), threshold)),
        (consensus <= agreed, Cause.PARTS_DISAGREE, consensus, agreed),
        (~related & (grey < _VISIBLE), Cause.ROUNDING, grey, np.full(len(grey), _VISIBLE)),
        (twin.any(1), Cause.DUPLICATE, np.zeros(len(nats)), np.zeros(len(nats))),
    )
    keep: NDArray[np.bool_] = ~np.any([failed for failed, *_ in tests], axis=0)
    rejected = []
    for i in np.flatnonzero(~keep):
        _, cause, measured, required = next(test for test in tests if test[0][i])
        fy, fx = fit.frequencies[i].tolist()
        alarms = float(false_alarms[i])
        rejected.append(Rejected((fy, fx), alarms, cause, float(measured[i]), float(required[i])))
    return keep, nats, tuple(rejected)
