"""From the noise of each channel to an estimate: subtracted, in the image's units and shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_periodic_denoise.noise.gain import noise_of
from napari_periodic_denoise.noise.images import Normalized, settle_limited, subtract
from napari_periodic_denoise.noise.model import Rejected
from napari_periodic_denoise.noise.result import NoiseEstimate
from napari_periodic_denoise.noise.waves import Wave, in_units


@dataclass(frozen=True, slots=True, eq=False)
class ChannelNoise:
    """Noise of one channel, in the unit of its pixels.

    Attributes
    ----------
    waves : list of Wave
    rest : Tensor of float32, shape (H, W), or None
        Noise that is no sum of few waves, as it is taken away.
    rejected : tuple of Rejected
    """

    waves: list[Wave]
    rest: torch.Tensor | None = None
    rejected: tuple[Rejected, ...] = field(default=())


def assembled(
    channels: NDArray[Any],
    images: Sequence[Normalized],
    found: Sequence[ChannelNoise],
    *,
    channel_axis: int | None,
    settings: dict[str, Any],
    gram: Mapping[str, np.ndarray],
    taken: torch.Tensor | None = None,
) -> NoiseEstimate:
    """Take the noise away from each channel.

    Parameters
    ----------
    channels : ndarray, shape (C, H, W)
        Only read.
    images : sequence of Normalized
        Of each channel.
    found : sequence of ChannelNoise
        Of each channel.
    channel_axis : int or None
        Where the estimate has its channels; None for an image without.
    settings, gram
        See `NoiseEstimate`.
    taken : Tensor of float32, shape (H, W), optional
        Share of the waves that is taken away, see `areas.fade`.
    """
    noise = np.zeros(channels.shape, dtype=np.float32)
    cleaned = channels.copy()
    waves: list[Wave] = []
    removed = left = whole = 0.0
    for i, (channel, image, own) in enumerate(zip(channels, images, found, strict=True)):
        unit = image.unit
        whole += unit**2 * _variance(image.pixels)
        if not own.waves and own.rest is None:
            continue
        pattern = noise_of(image.pixels, own.waves)
        if taken is not None:
            pattern.mul_(taken)
        if own.rest is not None:
            pattern.add_(own.rest)
            left += unit**2 * _variance(own.rest)
        shares = _shares(own.waves, image.pixels, pattern)
        removed += _variance(pattern.mul_(unit))
        noise[i] = pattern.cpu().numpy()
        cleaned[i] = subtract(channel, noise[i])
        if image.limited is not None:
            settle_limited(cleaned[i], channel, noise[i], image.limited)
        waves += (
            replace(in_units(wave, unit, image.centre), channel=i, share=share)
            for wave, share in zip(own.waves, shares, strict=True)
        )
    return NoiseEstimate(
        noise=in_place(noise, channel_axis),
        cleaned=in_place(cleaned, channel_axis),
        waves=tuple(sorted(waves, key=_strength)),
        settings=settings,
        removed_variance=min(1.0, removed / whole) if whole else 0.0,
        remainder_variance=min(1.0, left / whole) if whole else 0.0,
        rejected=tuple({r.frequency: r for own in found for r in own.rejected}.values()),
        gram=gram,
    )


def in_place(planes: np.ndarray, channel_axis: int | None) -> np.ndarray:
    """Channels, which are first, where the image has them.

    Parameters
    ----------
    planes : ndarray, shape (C, H, W)
    channel_axis : int or None
        None for an image without channels.
    """
    if channel_axis is None:
        first: np.ndarray = planes[0]
        return first
    return np.ascontiguousarray(np.moveaxis(planes, 0, channel_axis))


def _shares(waves: Sequence[Wave], pixels: torch.Tensor, pattern: torch.Tensor) -> list[float]:
    """Share of the noise's variance that each wave has."""
    whole = max(_variance(pattern), torch.finfo(torch.float32).tiny)
    light, shares = 0.0, []
    for wave in waves:
        variance = wave.amplitude**2 / 2
        if wave.dark is not None:
            light = light or float((pixels - pattern - wave.dark).square_().mean())
            variance *= light
        shares.append(min(1.0, variance / whole))
    return shares


def _variance(image: torch.Tensor) -> float:
    """Variance of values about zero; `torch.var` takes five times as long."""
    flat = image.flatten()
    return max(0.0, float(flat.dot(flat)) / len(flat) - float(flat.mean()) ** 2)


def _strength(wave: Wave) -> tuple[bool, float]:
    """Order of the waves: those that multiply, then the strongest first."""
    return wave.dark is None, -wave.amplitude
