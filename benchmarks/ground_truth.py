"""The ground truth about a case's noise, for methods that need to be given it."""

from __future__ import annotations

from dataclasses import dataclass
from types import EllipsisType

import numpy as np
import scipy.fft

from benchmarks.families import Array

MOST_DIRECTIONS = 4
SHARE = 0.1  # of the strongest peak's power; directions of weaker peaks are left out
REACH = 4  # cycles across the image; two peaks this near are the same
SAME = 5.0  # degrees; two directions this near are the same


@dataclass(frozen=True)
class GroundTruth:
    """The truth about an image's noise.

    Attributes
    ----------
    directions : tuple of float
        Across the stripes, in degrees from the x axis to the y axis; the strongest first.
    noise : ndarray
        The noise itself, in the image's grey levels: for an oracle, and for the measurement.
    """

    directions: tuple[float, ...]
    noise: Array


@dataclass(frozen=True)
class Case:
    """A noisy image, the truth about its noise, and the pixels that count; by default all."""

    image: np.ndarray
    truth: GroundTruth
    counts: np.ndarray | EllipsisType = ...


def ground_truth(noise: Array) -> GroundTruth:
    """Return the ground truth about a noise."""
    return GroundTruth(directions(noise), noise)


def directions(noise: Array) -> tuple[float, ...]:
    """Directions of the strongest peaks of the noise's spectrum, refined off its grid."""
    height, width = noise.shape
    taper = np.outer(np.hanning(height), np.hanning(width))
    power = np.abs(scipy.fft.fft2((noise - noise.mean()) * taper)) ** 2
    least, near, wide = SHARE * power.max(), np.arange(-1, 2), np.arange(-REACH, REACH + 1)
    found: list[float] = []
    while len(found) < MOST_DIRECTIONS:
        row, column = np.unravel_index(power.argmax(), power.shape)
        if power[row, column] < least:
            break
        peak = power[np.ix_((row + near) % height, (column + near) % width)]
        fy, fx = (
            (at + peak.sum(axis) @ near / peak.sum()) / n
            for at, axis, n in ((row, 1, height), (column, 0, width))
        )
        angle = float(np.degrees(np.arctan2(fy - np.rint(fy), fx - np.rint(fx))))
        if all(abs((angle - other + 90) % 180 - 90) > SAME for other in found):
            found.append(angle)
        for sign in (1, -1):
            rows, columns = (sign * row + wide) % height, (sign * column + wide) % width
            power[np.ix_(rows, columns)] = 0
    return tuple(found)
