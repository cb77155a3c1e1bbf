"""Frequencies: validation, aliases, distances, and when two are the same."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Shape = tuple[int, int]
Frequency = tuple[float, float]

APART = 1.2  # cycles across the image, below which two waves are one


def distances(frequencies: Float, shape: tuple[int, int]) -> Float:
    """Cycles across the image by which each two waves differ, shape (K, K).

    A frequency and its opposite are the same wave.

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
    least = np.full((len(frequencies), len(frequencies)), np.inf)
    for sign in (1, -1):
        difference = lowest_alias(frequencies[:, None] - sign * frequencies)
        least = np.minimum(least, np.hypot(*np.moveaxis(difference * shape, 2, 0)))
    return least


def lowest_alias(frequency: NDArray[np.float64]) -> NDArray[np.float64]:
    """Frequencies less whole cycles per pixel, from -0.5 to 0.5, which pixels can't tell apart."""
    lowest: NDArray[np.float64] = (frequency + 0.5) % 1 - 0.5
    return lowest
