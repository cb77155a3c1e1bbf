"""Line noise of all channels of an image, decided together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from napari_periodic_denoise.noise.assemble import ChannelNoise
from napari_periodic_denoise.noise.input import Normalized
from napari_periodic_denoise.noise.lines.find import find_lines
from napari_periodic_denoise.noise.lines.result import LineNoise, Outcome
from napari_periodic_denoise.noise.waves.synthesis import render_noise


def find_lines_together(
    images: Sequence[Normalized], found: Sequence[ChannelNoise]
) -> list[tuple[LineNoise, ...]]:
    """Find line noise in what the waves leave of each channel.

    A scan has its lines in all channels: what is removed from one is not kept in another,
    which would leave coloured stripes.

    Parameters
    ----------
    images : sequence of Normalized
        The channels.
    found : sequence of ChannelNoise
        Their waves.

    Returns
    -------
    list of tuple of LineNoise
        Of each channel, in the unit of its pixels.
    """
    lines = [
        find_lines(
            image.pixels - render_noise(image.pixels, own.waves) if own.waves else image.pixels,
            image.quantum,
            ignored=image.saturated,
        )
        for image, own in zip(images, found, strict=True)
    ]
    sure = {line.axis for each in lines for line in each if line.outcome is Outcome.REMOVED}
    return [
        tuple(
            replace(line, outcome=Outcome.REMOVED) if line.axis in sure else line for line in each
        )
        for each in lines
    ]
