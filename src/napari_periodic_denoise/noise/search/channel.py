"""The noise model of one channel: its waves, their evidence, and the residual."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from napari_periodic_denoise.noise.fitting.gauss_newton import Fit, polish_waves, zero_fit
from napari_periodic_denoise.noise.fitting.sample import (
    GradientSample,
    sample_area,
    sample_gradient,
)
from napari_periodic_denoise.noise.fitting.schedule import REFIT
from napari_periodic_denoise.noise.input import Normalized
from napari_periodic_denoise.noise.statistics.features import without_saturated
from napari_periodic_denoise.noise.waves.frequency import (
    SAME_WAVE,
    Frequency,
    Shape,
    lowest_alias,
)
from napari_periodic_denoise.noise.waves.synthesis import (
    divide_by_gain,
    synthesize,
    synthesize_screen,
)
from napari_periodic_denoise.noise.waves.wave import Rejected, Wave, wave_at_centre

# Pixels per sample. The time of a fit grows with them, and the errors fall with their root
# (benchmarks.speed, benchmarks.rejection).
SEARCH_PIXELS = 30_000  # of the fits during the search
FINAL_PIXELS = 200_000  # of the last fits
_EXEMPLAR_PIXELS = 60_000  # of the exemplar's test


@dataclass(frozen=True, slots=True)
class Found:
    """Constant waves and their evidence.

    Attributes
    ----------
    fit : Fit
        K waves.
    false_alarms, evidence : ndarray of float64, shape (K,)
        See `Wave`.
    errors : ndarray of float64, shape (K, 4), or None
        See `standard_errors.errors_of`. They are measured after the last fit.
    """

    fit: Fit
    false_alarms: NDArray[np.float64]
    evidence: NDArray[np.float64]
    errors: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.fit)

    def take(self, keep: np.ndarray) -> Found:
        """Return some of the waves, by index or by mask."""
        errors = None if self.errors is None else self.errors[keep]
        return Found(self.fit.take(keep), self.false_alarms[keep], self.evidence[keep], errors)

    def join(self, other: Found) -> Found:
        """Return the waves of both, without errors."""
        return Found(
            self.fit.join(other.fit),
            np.concatenate([self.false_alarms, other.false_alarms]),
            np.concatenate([self.evidence, other.evidence]),
        )

    def waves(self, shape: Shape, dark: float | None = None) -> list[Wave]:
        """Return the waves of an image of shape ``(H, W)``; with ``dark`` they multiply."""
        return [
            wave_at_centre(
                frequency,
                np.array([[coefficient]]),
                shape,
                false_alarms=float(false_alarms),
                evidence=float(nats),
                dark=dark,
                errors=error,
            )
            for frequency, coefficient, false_alarms, nats, error in zip(
                self.fit.frequencies,
                self.fit.coefficients,
                self.false_alarms,
                self.evidence,
                [None] * len(self) if self.errors is None else self.errors,
                strict=True,
            )
        ]


def no_waves() -> Found:
    """Return an empty `Found`."""
    return Found(zero_fit(np.empty((0, 2))), np.empty(0), np.empty(0))


@dataclass(frozen=True, slots=True, eq=False)
class ChannelModel:
    """One channel of an image and the current model of its noise.

    Attributes
    ----------
    pixels : Tensor of float32, shape (H, W)
        Intensities in robust standard deviations.
    sample : GradientSample
        Sample of the pixels for final fits.
    zero : float
        Intensity zero, in the unit of the pixels.
    saturated : Tensor of bool, shape (H, W), or None
        Pixels without information: saturated (see `input.Normalized`) or protected.
    exemplar : GradientSample or None
        Sample of an area that contains only noise, if one is known.
    found : Found
        Constant waves that are added.
    gains : Found
        Constant waves that multiply.
    dark : float or None
        Intensity that is not multiplied. None without gains.
    settled : tuple of Wave
        Added waves with envelopes or profiles, or that follow the tone. They are not fitted again.
    rejected : tuple of Rejected
    folded, multiplied, bent, toned : tuple of ndarray, shape (2,)
        Frequencies that have been tried as a profile, as a gain, as fringes that bend, and as a
        screen.
    """

    pixels: torch.Tensor
    sample: GradientSample
    zero: float
    saturated: torch.Tensor | None
    exemplar: GradientSample | None
    found: Found
    gains: Found
    dark: float | None = None
    settled: tuple[Wave, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    folded: tuple[NDArray[np.float64], ...] = ()
    multiplied: tuple[NDArray[np.float64], ...] = ()
    bent: tuple[NDArray[np.float64], ...] = ()
    toned: tuple[NDArray[np.float64], ...] = ()

    @property
    def shape(self) -> Shape:
        """Shape ``(H, W)`` of the image."""
        return self.pixels.shape[0], self.pixels.shape[1]

    def multiplying(self) -> list[Wave]:
        """Return the waves that multiply."""
        return self.gains.waves(self.shape, self.dark)

    def added(self) -> list[Wave]:
        """Return the waves that are added."""
        return [*self.settled, *self.found.waves(self.shape)]

    def waves(self) -> list[Wave]:
        """Return all waves."""
        return [*self.multiplying(), *self.added()]

    def residual(self) -> torch.Tensor:
        """Return the image without any waves, shape (H, W)."""
        return self._without(self.added())

    def before_constant(self) -> torch.Tensor:
        """Return the image without all waves but the constant added ones, shape (H, W)."""
        return self._without(self.settled)

    def counted(self, maps: torch.Tensor) -> torch.Tensor:
        """Set differences of saturated pixels to zero, shape (2, H − 1, W − 1).

        A saturated pixel does not have the noise. Subtraction would add the noise to it.
        """
        return without_saturated(maps, self.saturated)

    def _without(self, added: Sequence[Wave]) -> torch.Tensor:
        flat = divide_by_gain(self.pixels, self.multiplying())
        plain = [wave for wave in added if wave.tones is None]
        following = [wave for wave in added if wave.tones is not None]
        if plain:
            flat = flat - synthesize(plain, self.shape, self.pixels.device)
        return flat - synthesize_screen(self.pixels, following) if following else flat


def channel_model(
    image: Normalized, seed: int, exemplar: torch.Tensor | None = None
) -> ChannelModel:
    """Return the model of a channel without waves.

    Parameters
    ----------
    image : Normalized
    seed : int
        Seed of the random choice of pixels.
    exemplar : Tensor of bool, shape (H, W), optional
        Pixels that contain only noise.

    Returns
    -------
    ChannelModel
    """
    sample = sample_gradient(image.pixels, FINAL_PIXELS, seed, image.quantum, image.saturated)
    area = None
    if exemplar is not None:
        known = exemplar if image.saturated is None else exemplar & ~image.saturated
        area = sample_area(image.pixels, known, _EXEMPLAR_PIXELS, seed, image.quantum)
    zero = -image.centre / image.unit
    return ChannelModel(
        image.pixels, sample, zero, image.saturated, area, found=no_waves(), gains=no_waves()
    )


def refit(channel: ChannelModel) -> ChannelModel:
    """Fit all constant added waves again, jointly, to a part of the sample."""
    if not len(channel.found):
        return channel
    few = channel.sample.first(SEARCH_PIXELS).of(channel.before_constant())
    *_, fit = polish_waves(few, channel.found.fit, REFIT)
    return replace(channel, found=replace(channel.found, fit=fit))


def is_separate(frequency: Frequency | NDArray[np.float64], wave: Wave, shape: Shape) -> bool:
    """Whether a frequency lies outside the band of a wave and its envelope.

    Parameters
    ----------
    frequency : array-like, shape (2,)
        Cycles/pixel.
    wave : Wave
    shape : tuple of int
        ``(H, W)`` of the image.

    Returns
    -------
    bool
    """
    reach = SAME_WAVE + np.array(wave.order) / 2
    return all(
        np.hypot(*(lowest_alias(np.subtract(frequency, other)) * shape / reach)) > 1
        for other in (np.array(wave.frequency), -np.array(wave.frequency))
    )
