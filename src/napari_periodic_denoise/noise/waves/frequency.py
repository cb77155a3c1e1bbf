"""Frequencies: aliases, distances, and the thresholds for "the same wave"."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Shape = tuple[int, int]
Frequency = tuple[float, float]

# All thresholds are in cycles across the image (or the part that is transformed). Two cosines of
# unknown phase are orthogonal from a difference of one cycle on (Rayleigh's criterion).
SAME_WAVE = 1.2  # a new wave that is nearer than this is the same as the other; 20% margin
SAME_FREQUENCY = SAME_WAVE / 2  # the same wave in another channel, or after another fit
LEAKAGE_FREE = 3  # the main lobe of a Hann window ends at 2 cycles, its first sidelobe at 3


def distances(frequencies: Float, shape: Shape) -> Float:
    """Distances between all pairs of waves, in cycles across the image.

    A frequency and its opposite are the same wave. Aliases are the same wave too.

    Parameters
    ----------
    frequencies : ndarray, shape (K, 2)
        Cycles/pixel.
    shape : tuple of int
        ``(H, W)`` of the image.

    Returns
    -------
    ndarray, shape (K, K)
    """
    smallest = np.full((len(frequencies), len(frequencies)), np.inf)
    for sign in (1, -1):
        difference = lowest_alias(frequencies[:, None] - sign * frequencies)
        smallest = np.minimum(smallest, np.hypot(*np.moveaxis(difference * shape, 2, 0)))
    return smallest


def is_near_any(
    frequency: Frequency | Float,
    others: Sequence[Frequency | Float],
    shape: Shape,
    threshold: float = SAME_WAVE,
) -> bool:
    """Whether a frequency is the same wave as one of several others.

    Parameters
    ----------
    frequency : array-like, shape (2,)
        Cycles/pixel.
    others : sequence of array-like, shape (2,)
        Cycles/pixel.
    shape : tuple of int
        ``(H, W)`` of the image.
    threshold : float
        Largest distance of the same wave (excluded), in cycles across the image.

    Returns
    -------
    bool
    """
    frequencies = np.array([frequency, *others], dtype=np.float64)
    return bool((distances(frequencies, shape)[0, 1:] < threshold).any())


def lowest_alias(frequency: Float) -> Float:
    """Subtract whole cycles per pixel from frequencies, to the range −0.5 to 0.5.

    Parameters
    ----------
    frequency : ndarray of float64
        Cycles/pixel.

    Returns
    -------
    ndarray of float64, same shape
        Pixels cannot distinguish it from the frequency.
    """
    lowest: Float = (frequency + 0.5) % 1 - 0.5
    return lowest
