"""Line noise of all channels of an image, decided together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from napari_periodic_denoise.noise.assemble import ChannelNoise
from napari_periodic_denoise.noise.input import Normalized
from napari_periodic_denoise.noise.lines.find import find_lines
from napari_periodic_denoise.noise.lines.result import LineNoise, Outcome, accept
from napari_periodic_denoise.noise.lines.screen import may_show_lines
from napari_periodic_denoise.noise.waves.synthesis import render_noise


def with_lines(
    images: Sequence[Normalized], found: Sequence[ChannelNoise], *, suggestions: str
) -> list[ChannelNoise]:
    """Add the line noise of what the waves leave of each channel.

    A scan has its lines in all channels. Noise of rows that is removed from one channel is not
    kept in another, because this would leave coloured stripes.

    Parameters
    ----------
    images : sequence of Normalized
        The C channels.
    found : sequence of ChannelNoise
        Waves of the C channels.
    suggestions : {"keep", "remove"}
        Whether uncertain line noise is removed as well.

    Returns
    -------
    list of ChannelNoise
    """
    lines = [
        find_lines(
            image.pixels - render_noise(image.pixels, part.waves) if part.waves else image.pixels,
            image.quantum,
            ignored=image.saturated,
        )
        for image, part in zip(images, found, strict=True)
    ]
    certain = {noise.name for each in lines for noise in each if noise.outcome is Outcome.REMOVED}
    return [
        replace(part, lines=tuple(_decided(noise, certain, suggestions) for noise in each))
        for part, each in zip(found, lines, strict=True)
    ]


def may_have_lines(image: Normalized) -> bool:
    """Tell after a quick look whether one channel may have noise of rows or columns."""
    turned = None if image.saturated is None else image.saturated.T
    return may_show_lines(image.pixels, image.quantum, image.saturated) or may_show_lines(
        image.pixels.T.contiguous(), image.quantum, turned
    )


def _decided(noise: LineNoise, certain: set[str], suggestions: str) -> LineNoise:
    """Line noise as it is treated in all channels."""
    return accept(noise) if suggestions == "remove" or noise.name in certain else noise
