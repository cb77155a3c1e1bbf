"""Assemble the estimate from the noise of each channel, and subtract it exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_periodic_denoise.noise.input import Normalized
from napari_periodic_denoise.noise.lines.result import LineNoise, render_lines
from napari_periodic_denoise.noise.neighbours import local_means
from napari_periodic_denoise.noise.outcome import Outcome, kept
from napari_periodic_denoise.noise.outcome import removed as removed_of
from napari_periodic_denoise.noise.result import NoiseEstimate
from napari_periodic_denoise.noise.waves.synthesis import render_noise
from napari_periodic_denoise.noise.waves.wave import Rejected, Wave, in_units

_MAX_UINT64 = float(np.nextafter(2.0**64, 0))  # largest float below 2⁶⁴


@dataclass(frozen=True, slots=True, eq=False)
class ChannelNoise:
    """Noise of one channel, in the unit of its pixels.

    Attributes
    ----------
    waves : list of Wave
        Removed, suggested or switched off.
    remainder : Tensor of float32, shape (H, W), or None
        Noise that is not a sum of few waves. It is subtracted with full weight.
    rejected : tuple of Rejected
    lines : tuple of LineNoise
        Noise of rows and columns, removed or suggested.
    """

    waves: list[Wave]
    remainder: torch.Tensor | None = None
    rejected: tuple[Rejected, ...] = field(default=())
    lines: tuple[LineNoise, ...] = ()


def assemble_estimate(
    channels: NDArray[Any],
    images: Sequence[Normalized],
    found: Sequence[ChannelNoise],
    *,
    channel_axis: int | None,
    settings: dict[str, Any],
    gram: Mapping[str, np.ndarray],
    weight: torch.Tensor | None = None,
    lit_only: bool = False,
) -> NoiseEstimate:
    """Subtract the noise of each channel, and describe it.

    Parameters
    ----------
    channels : ndarray, shape (C, H, W)
        Image, which is only read.
    images : sequence of Normalized
        The C channels as they were fitted.
    found : sequence of ChannelNoise
        Noise of the C channels.
    channel_axis : int or None
        Channel axis of the estimate. None for an image without channels.
    settings, gram
        See `NoiseEstimate`.
    weight : Tensor of float32, shape (H, W), optional
        Weight of the waves' subtraction, see `areas.subtraction_weight`.
    lit_only : bool
        See `NoiseEstimate`.

    Returns
    -------
    NoiseEstimate
    """
    noise = np.zeros(channels.shape, dtype=np.float32)
    cleaned = channels.copy()
    waves: list[Wave] = []
    others: list[Wave] = []
    lines: list[LineNoise] = []
    removed = remainder = whole = 0.0
    for i, (channel, image, part) in enumerate(zip(channels, images, found, strict=True)):
        unit = image.unit
        whole += unit**2 * _variance(image.pixels)
        own_lines = [replace(noise.in_units(unit), channel=i) for noise in part.lines]
        removed_waves, removed_lines = removed_of(part.waves), removed_of(part.lines)
        others += (
            replace(in_units(wave, unit, image.centre), channel=i, share=0.0)
            for wave in kept(part.waves)
        )
        if not removed_waves and part.remainder is None and not removed_lines:
            lines += own_lines
            continue
        pattern = render_noise(image.pixels, removed_waves)
        if removed_lines:
            pattern.add_(render_lines(removed_lines, channel.shape, pattern.device))
        if weight is not None:
            pattern.mul_(weight)
        if part.remainder is not None:
            pattern.add_(part.remainder)
            remainder += unit**2 * _variance(part.remainder)
        shares = _shares(removed_waves, image.pixels, pattern)
        if image.missing is not None:
            pattern.masked_fill_(image.missing, 0)
        removed += _variance(pattern.mul_(unit))
        lines += (_with_share(noise, _variance(pattern)) for noise in own_lines)
        noise[i] = pattern.cpu().numpy()
        cleaned[i] = subtract(channel, noise[i])
        if image.saturated is not None:
            restore_saturated(cleaned[i], channel, noise[i], image.saturated)
        waves += (
            replace(in_units(wave, unit, image.centre), channel=i, share=share)
            for wave, share in zip(removed_waves, shares, strict=True)
        )
    return NoiseEstimate(
        noise=restore_channel_axis(noise, channel_axis),
        cleaned=restore_channel_axis(cleaned, channel_axis),
        waves=tuple(sorted(waves, key=_strength)),
        kept_waves=tuple(sorted(others, key=_strength)),
        settings=settings,
        removed_variance=min(1.0, removed / whole) if whole else 0.0,
        remainder_variance=min(1.0, remainder / whole) if whole else 0.0,
        rejected=tuple({r.frequency: r for part in found for r in part.rejected}.values()),
        gram=gram,
        lines=tuple(lines),
        not_finite=sum(image.not_finite for image in images),
        lit_only=lit_only,
    )


def restore_channel_axis(planes: np.ndarray, channel_axis: int | None) -> np.ndarray:
    """Move the channel axis from the front to its position in the image.

    Parameters
    ----------
    planes : ndarray, shape (C, H, W)
    channel_axis : int or None
        None for an image without channels.

    Returns
    -------
    ndarray
        Shape (H, W) without channels.
    """
    if channel_axis is None:
        first: np.ndarray = planes[0]
        return first
    return np.ascontiguousarray(np.moveaxis(planes, 0, channel_axis))


def _shares(waves: Sequence[Wave], pixels: torch.Tensor, pattern: torch.Tensor) -> list[float]:
    """Share of each wave in the variance of the noise."""
    whole = max(_variance(pattern), torch.finfo(torch.float32).tiny)
    light, shares = 0.0, []
    for wave in waves:
        variance = wave.amplitude**2 / 2
        if wave.dark is not None:
            light = light or float((pixels - pattern - wave.dark).square_().mean())
            variance *= light
        shares.append(min(1.0, variance / whole))
    return shares


def _with_share(noise: LineNoise, variance: float) -> LineNoise:
    """Line noise with its share of the variance of its channel's noise."""
    if noise.outcome is not Outcome.REMOVED or not variance:
        return noise
    return replace(noise, share=min(1.0, noise.strength**2 / variance))


def _variance(image: torch.Tensor) -> float:
    """Variance of values about zero. `torch.var` takes five times as long."""
    flat = image.flatten()
    return max(0.0, float(flat.dot(flat)) / len(flat) - float(flat.mean()) ** 2)


def _strength(wave: Wave) -> tuple[bool, float]:
    """Sort key: waves that multiply first, then the strongest."""
    return wave.dark is None, -wave.amplitude


def subtract(image: NDArray[Any], noise: NDArray[np.floating[Any]]) -> NDArray[Any]:
    """Subtract noise in the image's dtype.

    Parameters
    ----------
    image : ndarray
        Integers or floats.
    noise : ndarray of float
        Same shape.

    Returns
    -------
    ndarray
        Shape and dtype of the image. Integers are rounded, and clipped to the dtype's range.
        Pixels that are not finite stay as they are, to the bit.
    """
    wide: NDArray[Any]
    if image.dtype.kind == "f":
        limits = np.finfo(image.dtype)
        with np.errstate(invalid="ignore"):  # of signalling NaN
            wide = np.subtract(image, noise, dtype=np.result_type(image.dtype, np.float32))
            cleaned = np.clip(wide, limits.min, limits.max, out=wide).astype(
                image.dtype, copy=False
            )
        np.copyto(cleaned, image, where=~np.isfinite(image))
        return np.asarray(cleaned)
    range_of = np.iinfo(image.dtype)
    step = np.rint(noise)
    if image.dtype.itemsize < 8:
        # float32 is exact for differences of 16-bit integers, float64 for those of 32 bits
        wide = step if image.dtype.itemsize < 4 else step.astype(np.float64)
        np.subtract(image, wide, out=wide)
        wide = np.clip(wide, range_of.min, range_of.max, out=wide)
        return np.asarray(wide, dtype=image.dtype)
    # no float is exact for 64-bit integers: bound the steps by the distances from both limits
    sign = np.uint64(1 << 63) if image.dtype.kind == "i" else np.uint64(0)
    offset = image.astype(np.uint64) ^ sign
    step = np.clip(step, -_MAX_UINT64, _MAX_UINT64, dtype=np.float64)
    down = np.minimum(np.maximum(step, 0).astype(np.uint64), offset)
    up = np.minimum(np.maximum(-step, 0).astype(np.uint64), np.iinfo(np.uint64).max - offset)
    moved = (offset - down + up) ^ sign
    return np.asarray(moved, dtype=image.dtype)


def restore_saturated(
    cleaned: NDArray[Any], image: NDArray[Any], noise: NDArray[np.float32], saturated: torch.Tensor
) -> None:
    """Set the values of saturated pixels after the subtraction, in place.

    A pixel at the upper limit L has at least ``L − N`` without the noise N, and at most that at
    the lower limit. Within these bounds it gets the mean of its unsaturated neighbours. Without
    such neighbours it does not change. A plain subtraction would add the pattern to saturated
    areas, which do not have it.

    Parameters
    ----------
    cleaned : ndarray, shape (H, W)
        Image without the noise. It is modified.
    image : ndarray, shape (H, W)
    noise : ndarray of float32, shape (H, W)
    saturated : Tensor of bool, shape (H, W)
        See `Normalized`. Pixels that are not finite do not change.
    """
    at = saturated.cpu().numpy().copy()
    # distances from the median, since float32 is not exact for large integers
    others = image[~at]
    middle = np.partition(others, others.size // 2)[others.size // 2]
    level = np.zeros(image.shape, dtype=np.float32)
    level[~at] = np.subtract(cleaned[~at], middle, dtype=np.float64)
    local, found = (
        each.numpy() for each in local_means(torch.from_numpy(level), torch.from_numpy(~at))
    )
    finite = np.isfinite(image)
    highest = image[finite].max()
    at &= finite  # the others do not change
    limit = np.subtract(image[at], middle, dtype=np.float64)
    beyond = limit - noise[at]
    wanted = np.where(found[at], local[at], limit)
    settled = np.clip(wanted, np.minimum(limit, beyond), np.maximum(limit, beyond))
    # noise of the other sign cannot have saturated the pixel, which keeps its limit
    settled = np.where((image[at] == highest) == (beyond < limit), settled, limit)
    cleaned[at] = subtract(image[at], limit - settled)  # no float holds a limit of 64 bits
