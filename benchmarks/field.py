"""The methods that are compared: this package, baselines, and packages of others."""

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
from benchmarks.oracle_notch import oracle_notch
from benchmarks.spectral_outliers import spectral_outliers
from benchmarks.told import Told

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
    told : str
        What of the truth it is told, in words.
    setting : str
        What its settings are, in words.
    settings : tuple
        Of which the best by the true result is taken.
    package : str, optional
        Whose it is, if not written here.
    """

    noise: Callable[[np.ndarray, Told, Any], Array]
    told: str
    setting: str = "none"
    settings: tuple[Any, ...] = (None,)
    package: str | None = None


def _ours(image: np.ndarray, _told: Told, _setting: None) -> Array:
    from napari_periodic_denoise import estimate_noise

    return estimate_noise(image).noise.astype(float)


DIRECTIONS = "up to four directions"
METHODS = {
    OURS: Method(_ours, "nothing", package="napari-periodic-denoise"),
    OUTLIERS: Method(lambda image, _told, _setting: spectral_outliers(image), "nothing"),
    ORACLE: Method(
        lambda image, told, _setting: oracle_notch(image, told.noise),
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
        "sigma, from 0.05 of the spectrum on",
        (0.5, 2),
        "itk-ringartifact",
    ),
}
# what is written here, and needs no installation
OWN = (OURS, OUTLIERS, ORACLE)
