"""Subtract a subset of an estimate's waves without a new fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from napari_periodic_denoise.noise.areas import as_protected, subtraction_weight
from napari_periodic_denoise.noise.assemble import (
    ChannelNoise,
    assemble_estimate,
    restore_channel_axis,
)
from napari_periodic_denoise.noise.input import Normalized, as_image, normalize
from napari_periodic_denoise.noise.lines.result import LineNoise, Outcome, removed, render_lines
from napari_periodic_denoise.noise.result import NoiseEstimate
from napari_periodic_denoise.noise.waves.frequency import (
    SAME_FREQUENCY,
    Frequency,
    is_near_any,
)
from napari_periodic_denoise.noise.waves.synthesis import render_noise
from napari_periodic_denoise.noise.waves.wave import Wave, in_units
from napari_periodic_denoise.options import as_frequencies


def select_waves(
    image: Any,  # noqa: ANN401
    estimate: NoiseEstimate,
    off: Sequence[Frequency | str],
    on: Sequence[str] = (),
) -> NoiseEstimate:
    """Leave some of an estimate's waves in the image, without a new fit.

    Parameters
    ----------
    image : array-like
        Image of the estimate. It is only read. Channels beyond those of the noise, such as
        transparency, do not change.
    estimate : NoiseEstimate
        Estimate with all its waves.
    off : sequence of tuple of float
        Frequencies ``(fy, fx)`` in cycles/pixel. Waves of any channel within 0.6 cycles across
        the image of one of them stay in the image. Frequencies without a wave have no effect.
        ``"rows"``, ``"columns"`` or the name of a `LineNoise` keeps that noise in the image.
    on : sequence of str
        The same names, for suggested noise that is removed now.

    Returns
    -------
    NoiseEstimate
        Estimate of the other waves. Its settings also have ``off``. It is the given estimate if
        no wave is switched off.

    Raises
    ------
    ValueError
        If the image has not the estimate's shape, or ``off`` is not a list of frequencies.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_periodic_denoise import estimate_noise, select_waves
    >>> y, x = np.mgrid[:128, :128]
    >>> image = 100.0 * (np.hypot(y - 60, x - 70) < 30)
    >>> image += 5 * np.cos(2 * np.pi * (0.11 * y + 0.07 * x)) + 4 * np.cos(2 * np.pi * 0.2 * x)
    >>> estimate = estimate_noise(image)
    >>> fewer = select_waves(image, estimate, off=[(0.0, 0.2)])
    >>> [round(wave.amplitude, 2) for wave in fewer.waves]
    [5.0]
    """
    given: list[Any] = list(off) if isinstance(off, Sequence) else [off]
    names_off = [name for name in given if isinstance(name, str)]
    switched_off = as_frequencies([wave for wave in given if not isinstance(wave, str)], "off")
    lines = [_switched(noise, names_off, on) for noise in estimate.lines]
    settings = estimate.settings
    axis = settings["channel_axis"]
    array = as_image(image, axis)
    noise = estimate.noise[None] if axis is None else np.moveaxis(estimate.noise, axis, 0)
    channels, others = np.split(array[None] if axis is None else array, [len(noise)])
    if channels.shape != noise.shape:
        raise ValueError(
            f"expected an image that fits the estimate, whose noise has shape "
            f"{estimate.noise.shape}; got shape {np.shape(image)}"
        )
    shape = channels.shape[1], channels.shape[2]
    is_on = [
        not is_near_any(wave.frequency, switched_off, shape, SAME_FREQUENCY)
        for wave in estimate.waves
    ]
    if all(is_on) and lines == list(estimate.lines):
        return estimate
    device = torch.device(settings["device"])
    weight = None
    if settings.get("protect") is not None:  # settings of a shared model have no such key
        protected = as_protected(settings["protect"], shape)
        weight = subtraction_weight(protected, settings["protect_edge"], device)
    images = [normalize(channel, device) for channel in channels]
    found = []
    for i, normalized in enumerate(images):
        waves = [_in_pixels(w, normalized) for w in estimate.waves if w.channel == i]
        before, after = (
            tuple(n.in_units(1 / normalized.unit) for n in some if n.channel == i)
            for some in (estimate.lines, lines)
        )
        remainder = None
        if estimate.remainder_variance:
            pattern = render_noise(normalized.pixels, waves)
            pattern.add_(render_lines(removed(before), shape, device))
            pattern = pattern if weight is None else pattern * weight
            remainder = torch.from_numpy(noise[i] / normalized.unit).to(device).sub_(pattern)
        keep = [on for on, wave in zip(is_on, estimate.waves, strict=True) if wave.channel == i]
        kept = [wave for on, wave in zip(keep, waves, strict=True) if on]
        found.append(ChannelNoise(kept, remainder, lines=after))
    selected = assemble_estimate(
        channels,
        images,
        found,
        channel_axis=axis,
        settings={**settings, "off": [*map(list, switched_off), *names_off]},
        gram=estimate.gram,
        weight=weight,
    )
    cleaned = selected.cleaned
    if len(others):
        cleaned = restore_channel_axis(
            np.concatenate([np.moveaxis(cleaned, axis, 0), others]), axis
        )
    return replace(selected, cleaned=cleaned, rejected=estimate.rejected)


def _switched(noise: LineNoise, off: Sequence[str], on: Sequence[str]) -> LineNoise:
    """Switch line noise off or on; return it as it is if nothing changes."""
    outcome = noise.outcome
    if noise.is_named(off):
        outcome = Outcome.SUGGESTED
    elif noise.is_named(on):
        outcome = Outcome.REMOVED
    return noise if outcome is noise.outcome else replace(noise, outcome=outcome)


def _in_pixels(wave: Wave, image: Normalized) -> Wave:
    """Convert a wave of intensities to the unit of the pixels."""
    return in_units(wave, 1 / image.unit, -image.centre / image.unit)
