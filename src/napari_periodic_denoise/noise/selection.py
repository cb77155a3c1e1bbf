"""Subtract a subset of an estimate's waves without a new fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import torch

from napari_periodic_denoise.noise.areas import as_protected, subtraction_weight
from napari_periodic_denoise.noise.assemble import (
    ChannelNoise,
    assemble_estimate,
    restore_channel_axis,
)
from napari_periodic_denoise.noise.input import Normalized, as_image, normalize
from napari_periodic_denoise.noise.lines.result import LineNoise, render_lines
from napari_periodic_denoise.noise.outcome import Outcome, kept, removed
from napari_periodic_denoise.noise.result import NoiseEstimate
from napari_periodic_denoise.noise.unlit import dark_ground
from napari_periodic_denoise.noise.waves.frequency import (
    SAME_FREQUENCY,
    Frequency,
    is_near_any,
)
from napari_periodic_denoise.noise.waves.synthesis import render_noise
from napari_periodic_denoise.noise.waves.wave import Wave, in_units
from napari_periodic_denoise.options import as_frequencies

Component = TypeVar("Component", Wave, LineNoise)


def select_waves(
    image: Any,  # noqa: ANN401
    estimate: NoiseEstimate,
    off: Sequence[Frequency | str],
    on: Sequence[Frequency | str] = (),
) -> NoiseEstimate:
    """Leave some of an estimate's components in the image, without a new fit.

    Parameters
    ----------
    image : array-like
        Image of the estimate. It is only read. Channels beyond those of the noise, such as
        transparency, do not change.
    estimate : NoiseEstimate
        Estimate with all its components.
    off : sequence of tuple of float
        Frequencies ``(fy, fx)`` in cycles/pixel. Waves of any channel within 0.6 cycles across
        the image of one of them stay in the image. Frequencies without a wave have no effect.
        ``"rows"``, ``"columns"`` or the name of a `LineNoise` keeps that noise in the image.
    on : sequence of tuple of float
        Frequencies and names of the same kinds, of suggested noise that is removed now.

    Returns
    -------
    NoiseEstimate
        Estimate without them; ``kept_waves`` has the waves that are switched off. Its settings
        also have ``off`` and ``on``. It is the given estimate if nothing is switched.

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
    waves_off, names_off = _split(off, "off")
    waves_on, names_on = _split(on, "on")
    lines = [
        _switched(noise, off=noise.is_named(names_off), on=noise.is_named(names_on))
        for noise in estimate.lines
    ]
    settings = estimate.settings
    axis = settings["channel_axis"]
    channels, others, noise = _channels(image, estimate)
    shape = channels.shape[1], channels.shape[2]
    all_waves = [*estimate.waves, *estimate.kept_waves]
    waves = [
        _switched(
            wave,
            off=is_near_any(wave.frequency, waves_off, shape, SAME_FREQUENCY),
            on=is_near_any(wave.frequency, waves_on, shape, SAME_FREQUENCY),
        )
        for wave in all_waves
    ]
    if waves == all_waves and lines == list(estimate.lines):
        return estimate
    device = torch.device(settings["device"])
    images = [normalize(channel, device) for channel in channels]
    weight = _weight(estimate, images, shape, device)
    found = []
    for i, image_of in enumerate(images):
        remainder = None
        if estimate.remainder_variance:
            before = _of_channel(all_waves, estimate.lines, i, image_of)
            pattern = render_noise(image_of.pixels, removed(before.waves))
            pattern.add_(render_lines(removed(before.lines), shape, device))
            pattern = pattern if weight is None else pattern * weight
            remainder = torch.from_numpy(noise[i] / image_of.unit).to(device).sub_(pattern)
        now = _of_channel(removed(waves), lines, i, image_of)
        found.append(replace(now, remainder=remainder))
    selected = assemble_estimate(
        channels,
        images,
        found,
        channel_axis=axis,
        settings={
            **settings,
            "off": [*map(list, waves_off), *names_off],
            "on": [*map(list, waves_on), *names_on],
        },
        gram=estimate.gram,
        weight=weight,
        lit_only=estimate.lit_only,
    )
    cleaned = selected.cleaned
    if len(others):
        cleaned = restore_channel_axis(
            np.concatenate([np.moveaxis(cleaned, axis, 0), others]), axis
        )
    # these are not drawn, and stay in the unit of the image, which may be too small to divide by
    others_kept = tuple(replace(wave, share=0.0) for wave in kept(waves))
    return replace(selected, cleaned=cleaned, rejected=estimate.rejected, kept_waves=others_kept)


def _channels(image: Any, estimate: NoiseEstimate) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # noqa: ANN401
    """Channels of an image that an estimate has, the others, and the noise; channels first."""
    axis = estimate.settings["channel_axis"]
    array = as_image(image, axis)
    noise = estimate.noise[None] if axis is None else np.moveaxis(estimate.noise, axis, 0)
    channels, others = np.split(array[None] if axis is None else array, [len(noise)])
    if channels.shape != noise.shape:
        raise ValueError(
            f"expected an image that fits the estimate, whose noise has shape "
            f"{estimate.noise.shape}; got shape {np.shape(image)}"
        )
    return channels, others, noise


def _weight(
    estimate: NoiseEstimate,
    images: Sequence[Normalized],
    shape: tuple[int, int],
    device: torch.device,
) -> torch.Tensor | None:
    """Weight of the subtraction at each pixel, as it was for the estimate."""
    settings = estimate.settings
    if estimate.lit_only:
        ground = dark_ground(images)
        return None if ground is None else 1 - ground.float()
    if settings.get("protect") is None:  # settings of a shared model have no such key
        return None
    protected = as_protected(settings["protect"], shape)
    return subtraction_weight(protected, settings["protect_edge"], device)


def _split(given: Any, name: str) -> tuple[list[Frequency], list[str]]:  # noqa: ANN401
    """Split what is to be switched into frequencies of waves and names of lines."""
    each: list[Any] = list(given) if isinstance(given, Sequence) else [given]
    waves = as_frequencies([wave for wave in each if not isinstance(wave, str)], name)
    return waves, [line for line in each if isinstance(line, str)]


def _switched(component: Component, *, off: bool, on: bool) -> Component:
    """Switch a component off or on; return it as it is if nothing changes.

    What is suggested stays suggested if it is switched off.
    """
    outcome = component.outcome
    if off and outcome is Outcome.REMOVED:
        outcome = Outcome.SWITCHED_OFF
    elif on and not off:
        outcome = Outcome.REMOVED
    return component if outcome is component.outcome else replace(component, outcome=outcome)


def _of_channel(
    waves: Sequence[Wave], lines: Sequence[LineNoise], channel: int, image: Normalized
) -> ChannelNoise:
    """Noise of one channel, in the unit of its pixels."""
    unit, zero = 1 / image.unit, -image.centre / image.unit
    return ChannelNoise(
        [in_units(wave, unit, zero) for wave in waves if wave.channel == channel],
        lines=tuple(n.in_units(unit) for n in lines if n.channel == channel),
    )
