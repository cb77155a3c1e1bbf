"""Periodic noise estimated and taken away: the one path through the engine."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_periodic_denoise.device import resolve_device
from napari_periodic_denoise.noise.images import as_image, subtract
from napari_periodic_denoise.noise.waves import Wave, synthesize

METHODS = ("aligned",)
FEATURES = ("edges",)
NOISE_MODELS = ("auto", "additive")
DEFAULT_SENSITIVITY = 1e-3


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a running estimate is.

    Attributes
    ----------
    stage : str
        ``"detect"``, ``"fit"`` or ``"subtract"``.
    done, total : int
        Steps done and expected; ``total`` is a guess that only ``done == total`` ends.
    message : str
        What is being done, in words for a person.
    """

    stage: str
    done: int
    total: int
    message: str


@dataclass(frozen=True, slots=True, eq=False)
class NoiseEstimate:
    """Periodic noise found in an image, and the image without it.

    Attributes
    ----------
    noise : ndarray of float32, shape of the image
        In the image's intensity units; ``image − noise`` is the cleaned image. Exactly zero
        where nothing was found.
    cleaned : ndarray, shape and dtype of the image
        Integers are rounded and clipped to the dtype's range.
    waves : tuple of Wave
        What the noise consists of, strongest first.
    settings : dict
        Everything that reproduces the estimate; JSON-serialisable.
    removed_variance : float
        Variance of the noise as a share of the image's, 0 to 1.
    """

    noise: np.ndarray
    cleaned: np.ndarray
    waves: tuple[Wave, ...]
    settings: dict[str, Any]
    removed_variance: float

    @property
    def summary(self) -> str:
        """The result in one line, for a person."""
        if not self.waves:
            return "no periodic noise found"
        strongest = self.waves[0]
        count = "1 wave," if len(self.waves) == 1 else f"{len(self.waves)} waves, strongest"
        return (
            f"{count} {strongest.period:.1f} px at {strongest.angle:.0f}°, "
            f"amplitude {strongest.amplitude:.3g}; "
            f"removed {100 * self.removed_variance:.1f}% of the variance"
        )


def iter_estimate_noise(
    image: Any,  # noqa: ANN401
    *,
    method: str = "aligned",
    features: str = "edges",
    noise_model: str = "auto",
    channel_axis: int | None = None,
    exemplar: None = None,
    sensitivity: float = DEFAULT_SENSITIVITY,
    device: str = "auto",
    seed: int = 0,
) -> Generator[Progress, None, NoiseEstimate]:
    raise NotImplementedError


def estimate_noise(image: Any, **options: Any) -> NoiseEstimate:  # noqa: ANN401
    run = iter_estimate_noise(image, **options)
    while True:
        try:
            next(run)
        except StopIteration as end:
            return end.value
