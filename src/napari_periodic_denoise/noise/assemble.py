"""From the noise of each channel to an estimate: subtracted, in the image's units and shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_periodic_denoise.noise.input import Normalized
from napari_periodic_denoise.noise.lines.result import LineNoise, Outcome, render_lines
from napari_periodic_denoise.noise.lines.result import removed as removed_of
from napari_periodic_denoise.noise.result import NoiseEstimate
from napari_periodic_denoise.noise.waves.synthesis import render_noise
from napari_periodic_denoise.noise.waves.wave import Rejected, Wave, in_units

_AROUND = (2, 4, 8, 16)  # pixels around one at a limit, tried in turn
_MOST = float(np.nextafter(2.0**64, 0))  # which an unsigned integer still holds


@dataclass(frozen=True, slots=True, eq=False)
class ChannelNoise:
    """Noise of one channel, in the unit of its pixels.

    Attributes
    ----------
    waves : list of Wave
    rest : Tensor of float32, shape (H, W), or None
        Noise that is no sum of few waves, as it is taken away.
    rejected : tuple of Rejected
    lines : tuple of LineNoise
        Noise of rows and columns, removed or only suggested.
    """

    waves: list[Wave]
    rest: torch.Tensor | None = None
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
    weight : Tensor of float32, shape (H, W), optional
        Share of the waves that is taken away, see `areas.fade`.
    """
    noise = np.zeros(channels.shape, dtype=np.float32)
    cleaned = channels.copy()
    waves: list[Wave] = []
    lines: list[LineNoise] = []
    removed = left = whole = 0.0
    for i, (channel, image, own) in enumerate(zip(channels, images, found, strict=True)):
        unit = image.unit
        whole += unit**2 * _variance(image.pixels)
        removed_lines = removed_of(own.lines)
        channel_lines = [
            replace(line.in_units(unit, image.centre), channel=i) for line in own.lines
        ]
        if not own.waves and own.rest is None and not removed_lines:
            lines += channel_lines
            continue
        pattern = render_noise(image.pixels, own.waves)
        if removed_lines:
            pattern.add_(render_lines(removed_lines, image.pixels - pattern))
        if weight is not None:
            pattern.mul_(weight)
        if own.rest is not None:
            pattern.add_(own.rest)
            left += unit**2 * _variance(own.rest)
        shares = _shares(own.waves, image.pixels, pattern)
        lines += (_with_share(line, unit**2 * _variance(pattern)) for line in channel_lines)
        removed += _variance(pattern.mul_(unit))
        noise[i] = pattern.cpu().numpy()
        cleaned[i] = subtract(channel, noise[i])
        if image.saturated is not None:
            restore_saturated(cleaned[i], channel, noise[i], image.saturated)
        waves += (
            replace(in_units(wave, unit, image.centre), channel=i, share=share)
            for wave, share in zip(own.waves, shares, strict=True)
        )
    return NoiseEstimate(
        noise=restore_channel_axis(noise, channel_axis),
        cleaned=restore_channel_axis(cleaned, channel_axis),
        waves=tuple(sorted(waves, key=_strength)),
        settings=settings,
        removed_variance=min(1.0, removed / whole) if whole else 0.0,
        remainder_variance=min(1.0, left / whole) if whole else 0.0,
        rejected=tuple({r.frequency: r for own in found for r in own.rejected}.values()),
        gram=gram,
        lines=tuple(lines),
    )


def restore_channel_axis(planes: np.ndarray, channel_axis: int | None) -> np.ndarray:
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


def _with_share(line: LineNoise, variance: float) -> LineNoise:
    """Return line noise with its share of the variance of its channel's noise."""
    if line.outcome is Outcome.SUGGESTED or not variance:
        return line
    return replace(line, share=min(1.0, line.strength**2 / variance))


def _variance(image: torch.Tensor) -> float:
    """Variance of values about zero; `torch.var` takes five times as long."""
    flat = image.flatten()
    return max(0.0, float(flat.dot(flat)) / len(flat) - float(flat.mean()) ** 2)


def _strength(wave: Wave) -> tuple[bool, float]:
    """Order of the waves: those that multiply, then the strongest first."""
    return wave.dark is None, -wave.amplitude


def subtract(image: NDArray[Any], noise: NDArray[np.floating[Any]]) -> NDArray[Any]:
    """``image − noise`` in the image's own dtype.

    Parameters
    ----------
    image : ndarray
        Integers or floats.
    noise : ndarray of float
        Same shape.

    Returns
    -------
    ndarray
        Shape and dtype of the image; integers are rounded, and clipped to the dtype's range.
    """
    wide: NDArray[Any]
    if image.dtype.kind == "f":
        limits = np.finfo(image.dtype)
        wide = np.subtract(image, noise, dtype=np.result_type(image.dtype, np.float32))
        cleaned = np.clip(wide, limits.min, limits.max, out=wide)
        return np.asarray(cleaned, dtype=image.dtype)
    range_of = np.iinfo(image.dtype)
    step = np.rint(noise)
    if image.dtype.itemsize < 8:
        # float32 holds every difference of 16-bit integers, float64 that of 32-bit ones
        wide = step if image.dtype.itemsize < 4 else step.astype(np.float64)
        np.subtract(image, wide, out=wide)
        wide = np.clip(wide, range_of.min, range_of.max, out=wide)
        return np.asarray(wide, dtype=image.dtype)
    # no float holds every 64-bit integer: move within the room there is on either side
    sign = np.uint64(1 << 63) if image.dtype.kind == "i" else np.uint64(0)
    offset = image.astype(np.uint64) ^ sign
    step = np.clip(step, -_MOST, _MOST, dtype=np.float64)
    down = np.minimum(np.maximum(step, 0).astype(np.uint64), offset)
    up = np.minimum(np.maximum(-step, 0).astype(np.uint64), np.iinfo(np.uint64).max - offset)
    moved = (offset - down + up) ^ sign
    return np.asarray(moved, dtype=image.dtype)


def restore_saturated(
    cleaned: NDArray[Any], image: NDArray[Any], noise: NDArray[np.float32], saturated: torch.Tensor
) -> None:
    """Give pixels at an image's limits, in place, what their limit and their neighbours allow.

    Of a pixel at the upper limit L it is only known that without the noise N it would have at
    least ``L − N``, and the other way round at the lower limit. Within these bounds it gets the
    mean of the pixels around that are not at a limit; where there are none it stays as it is.
    To subtract the noise would draw the pattern into a saturated area that does not have it.

    Parameters
    ----------
    cleaned : ndarray, shape (H, W)
        The image without the noise; written to.
    image : ndarray, shape (H, W)
    noise : ndarray of float32, shape (H, W)
    saturated : Tensor of bool, shape (H, W)
        See `Normalized`.
    """
    at = saturated.cpu().numpy()
    # distances from a middle intensity, which float32 can tell even of large integers
    others = image[~at]
    middle = np.partition(others, others.size // 2)[others.size // 2]
    level = np.where(at, 0, np.subtract(cleaned, middle, dtype=np.float64)).astype(np.float32)
    known = torch.from_numpy(np.stack([level, ~at])[None].astype(np.float32))
    local = np.zeros_like(level)
    missing = at.copy()
    for reach in _AROUND:
        size = 2 * reach + 1
        total, count = torch.nn.functional.avg_pool2d(known, size, 1, reach)[0].numpy()
        filled = missing & (count * size**2 > 0.5)
        local[filled] = total[filled] / count[filled]
        missing &= ~filled
    limit = np.subtract(image[at], middle, dtype=np.float64)
    beyond = limit - noise[at]
    wanted = np.where(missing[at], limit, local[at])
    settled = np.clip(wanted, np.minimum(limit, beyond), np.maximum(limit, beyond))
    # where the noise would have brought the pixel further from the limit than it can be
    settled = np.where((image[at] == image.max()) == (beyond < limit), settled, limit)
    cleaned[at] = subtract(image[at], limit - settled)  # no float holds a limit of 64 bits
