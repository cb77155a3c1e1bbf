"""The methods that are compared: this package, baselines, and other packages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.destripers import (
    algotom_fft,
    algotom_filter,
    algotom_wavelet_fft,
    general_stripe_remover,
    itk_ring_artifact,
    nsclean,
    pystripe_wavelet_fft,
    pyvsnr_gabor,
    pyvsnr_lines,
)
from benchmarks.families import Array
from benchmarks.ground_truth import GroundTruth
from benchmarks.medians import WINDOWS, line_median, median_difference
from benchmarks.oracle_notch import oracle_notch
from benchmarks.spectral_outliers import spectral_outliers

OURS = "this package"
OUTLIERS = "spectral outliers"
ORACLE = "oracle notch"


@dataclass(frozen=True)
class Method:
    """A way to estimate periodic noise.

    Attributes
    ----------
    noise : callable
        From image, truth and setting to noise.
    given : str
        What it is given of the ground truth, in words.
    setting : str
        What its settings are, in words.
    settings : tuple
        The settings to choose from, by the true result.
    package : str, optional
        The package that it comes from, if it is not written here.
    """

    noise: Callable[[np.ndarray, GroundTruth, Any], Array]
    given: str
    setting: str = "none"
    settings: tuple[Any, ...] = (None,)
    package: str | None = None


def _ours(image: np.ndarray, _truth: GroundTruth, _setting: None) -> Array:
    from napari_periodic_denoise import estimate_noise

    return estimate_noise(image).noise.astype(float)


def _spectral_outliers(image: np.ndarray, _truth: GroundTruth, _setting: None) -> Array:
    return spectral_outliers(image)


def _oracle_notch(image: np.ndarray, truth: GroundTruth, _setting: None) -> Array:
    return oracle_notch(image, truth.noise)


DIRECTIONS = "up to four directions"
METHODS = {
    OURS: Method(_ours, "nothing", package="napari-periodic-denoise"),
    OUTLIERS: Method(_spectral_outliers, "nothing"),
    ORACLE: Method(
        _oracle_notch,
        "the true noise's spectrum, to mask it",
        "share of the noise's power masked, the best for each image",
    ),
    "pyvsnr": Method(
        pyvsnr_gabor, DIRECTIONS, "noise level of Gabor filters", (3, 10, 100), "pyvsnr"
    ),
    "algotom FFT": Method(algotom_fft, DIRECTIONS, "cutoff", (10, 20), "algotom"),
    "algotom wavelet-FFT": Method(
        algotom_wavelet_fft, DIRECTIONS, "size, of 5 levels", (2, 5), "algotom"
    ),
    "pystripe": Method(pystripe_wavelet_fft, DIRECTIONS, "sigma, of db10", (32, 128), "pystripe"),
    "itk-ringartifact": Method(
        itk_ring_artifact,
        DIRECTIONS,
        "sigma, above 0.05 of the spectrum",
        (0.5, 2),
        "itk-ringartifact",
    ),
}
# written here; these need no installation
OWN = (OURS, OUTLIERS, ORACLE)

LINES = "the directions of the lines"
ALGOTOM = (
    *(("sorting", {"size": size}) for size in (11, 31)),
    *(("filtering", {"sigma": sigma, "size": 11}) for sigma in (3, 10)),
    ("filtering", {"sigma": 3, "size": 5}),
    *(("fitting", {"order": order, "sigma": sigma}) for order in (1, 3) for sigma in (3, 5, 10)),
    *(("normalization", {"sigma": sigma}) for sigma in (2, 5, 15)),
    *(("fft", {"u": cutoff, "v": width}) for cutoff in (5, 10, 20, 40) for width in (1, 3)),
    *(("wavelet_fft", {"level": level, "size": size}) for level in (3, 5) for size in (1, 2, 5)),
)
# on noise of rows and columns
LINE_METHODS = {
    OURS: METHODS[OURS],
    "median of each line": Method(line_median, LINES, "window, in lines", WINDOWS),
    "median differences": Method(median_difference, LINES, "window, in lines", WINDOWS),
    "General Stripe Remover": Method(
        general_stripe_remover,
        LINES,
        "weights µ₁ and µ₂",
        (
            (0.01, 0.001),
            (0.03, 0.001),
            (0.03, 0.003),
            (0.03, 0.01),
            (0.03, 0.03),
            (0.1, 0.003),
            (0.1, 0.01),
        ),
        "destripe",
    ),
    "algotom": Method(algotom_filter, LINES, "filter and its parameters", ALGOTOM, "algotom"),
    "pyvsnr": Method(
        pyvsnr_lines,
        LINES,
        "length and noise level of Gabor filters",
        (
            *((30, level) for level in (1, 3, 10)),
            *((100, level) for level in (10, 100, 300, 1000)),
            *((1000, level) for level in (1, 3, 10, 30, 100, 300)),
        ),
        "pyvsnr",
    ),
    "NSClean": Method(
        nsclean,
        LINES,
        "boxes of the background in pixels, cycles along a line, smoothed across lines",
        (
            (None, 0.5, False),
            (4, 0.5, False),
            (8, 0.5, False),
            (16, 0.5, False),
            (16, 0.5, True),
            (16, 2, False),
            (16, 8, False),
            (32, 0.5, False),
            (32, 0.5, True),
            (64, 0.5, False),
        ),
        "jwst",
    ),
}
# take seconds for an image: their settings are chosen on smaller ones
SLOW = ("General Stripe Remover",)
