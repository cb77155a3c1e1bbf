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


def onto_nyquist(frequencies: Float, shape: Shape) -> Float:
    """Move frequencies within a cycle across the image of the Nyquist frequency onto it.

    There, a wave of one phase has the signs of odd and even pixels, and a wave of the other phase
    is zero on all pixels. A wave beside it is a beat of such signs.

    Parameters
    ----------
    frequencies : ndarray of float64, shape (K, 2)
        Cycles/pixel.
    shape : tuple of int
        ``(H, W)`` of the image.

    Returns
    -------
    ndarray of float64, shape (K, 2)
    """
    nyquist = np.rint(2 * frequencies) / 2
    near = np.hypot(*((frequencies - nyquist) * shape).T) < 1
    return np.where((near & is_nyquist(nyquist))[:, None], nyquist, frequencies)


def is_nyquist(frequencies: Float) -> NDArray[np.bool_]:
    """Whether frequencies have the signs of odd and even pixels along at least one axis.

    Parameters
    ----------
    frequencies : ndarray of float64, shape (..., 2)
        Cycles/pixel.

    Returns
    -------
    ndarray of bool, shape (...)
    """
    halves = 2 * frequencies
    whole = (halves == np.rint(halves)).all(-1)
    odd: NDArray[np.bool_] = whole & (halves % 2 == 1).any(-1)
    return odd


def visible_at_nyquist(
    coefficients: NDArray[np.complex128], frequencies: Float, shape: Shape
) -> NDArray[np.complex128]:
    """Leave out the phase that is zero on all pixels, of waves at the Nyquist frequency.

    Parameters
    ----------
    coefficients : ndarray of complex128, shape (K,)
        Complex amplitudes at the image's centre, see `gauss_newton.Fit`.
    frequencies : ndarray of float64, shape (K, 2)
        Cycles/pixel.
    shape : tuple of int
        ``(H, W)`` of the image.

    Returns
    -------
    ndarray of complex128, shape (K,)
        The others are unchanged.
    """
    turn = np.exp(1j * np.pi * frequencies @ (np.array(shape) - 1))
    return np.where(is_nyquist(frequencies), (coefficients / turn).real * turn, coefficients)


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


def in_half_plane(frequency: Float) -> Frequency:
    """Lowest alias of a frequency or its opposite, whichever has ``fy > 0``, or ``fx > 0`` at 0.

    Parameters
    ----------
    frequency : ndarray of float64, shape (2,)
        Cycles/pixel.

    Returns
    -------
    tuple of float
    """
    # lowest_alias rounds, so it is not for a frequency that is its own lowest alias
    fy, fx = np.where(np.abs(frequency) <= 0.5, frequency, lowest_alias(frequency)).tolist()
    return (-fy, -fx) if (fy, fx) < (0, 0) else (fy, fx)
