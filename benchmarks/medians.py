"""Medians of lines and of their differences: what many do by hand against noise of lines."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d, median_filter

from benchmarks.destripers import in_each_direction
from benchmarks.families import Array
from benchmarks.ground_truth import GroundTruth

WINDOWS = (11, 31, 101)  # lines, that the slow part is taken over


def line_median(image: np.ndarray, truth: GroundTruth, window: int) -> Array:
    """Median of each line, less what is slow of it."""

    def remove(upright: Array) -> Array:
        offsets = np.median(upright, axis=0)
        return upright - (offsets - median_filter(offsets, window, mode="nearest"))

    return in_each_direction(image, truth, remove)


def median_difference(image: np.ndarray, truth: GroundTruth, window: int) -> Array:
    """Median differences of neighbouring lines, added up, less what is slow of them."""

    def remove(upright: Array) -> Array:
        steps = np.median(np.diff(upright, axis=1), axis=0)
        offsets = np.concatenate([[0], np.cumsum(steps)])
        return upright - (offsets - gaussian_filter1d(offsets, window / 2))

    return in_each_direction(image, truth, remove)
