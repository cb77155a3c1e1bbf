"""The methods that are compared: this package, baselines, and other packages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.destripers import (
    algotom_fft,
    algotom_wavelet_fft,
    itk_ring_artifact,
    pystripe_wavelet_fft,
    pyvsnr_gabor,
)
from benchmarks.families import Array
from benchmarks.ground_truth import GroundTruth
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


DIRECTIONS = "up to four directions"
METHODS = {
    OURS: Method(_ours, "nothing", package="napari-periodic-denoise"),
    OUTLIERS: Method(lambda image, _truth, _setting: spectral_outliers(image), "nothing"),
    ORACLE: Method(
        lambda image, truth, _setting: oracle_notch(image, truth.noise),
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
