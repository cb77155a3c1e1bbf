"""Line noise of all channels of an image, decided together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from napari_periodic_denoise.noise.assemble import ChannelNoise
from napari_periodic_denoise.noise.input import Normalized
from napari_periodic_denoise.noise.lines.find import find_lines
from napari_periodic_denoise.noise.lines.result import LineKind, LineNoise, Outcome, accept
from napari_periodic_denoise.noise.lines.screen import may_show_lines
from napari_periodic_denoise.noise.waves.synthesis import render_noise
from napari_periodic_denoise.noise.waves.wave import Wave

_CONSTANT = 0.25  # cycles along the lines, that their slow variation follows
_MUCH = 10.0  # times the variance of the lines; their fit leaves 2 to 10% (benchmarks.lines)


def with_lines(
    images: Sequence[Normalized], found: Sequence[ChannelNoise], *, suggestions: str
) -> list[ChannelNoise]:
    """Add the line noise of what the waves leave of each channel.

    A scan has its lines in all channels. Noise of rows that is removed from one channel is not
    kept in another, because this would leave coloured stripes. The search of waves takes the
    strongest frequencies of line noise for waves. These are left to the lines.

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
    both = [_found(image, part.waves) for image, part in zip(images, found, strict=True)]
    certain = {noise.name for _, lines in both for noise in lines if _is_removed(noise)}
    return [
        replace(
            part,
            waves=waves,
            lines=tuple(_decided(noise, certain, suggestions) for noise in lines),
        )
        for part, (waves, lines) in zip(found, both, strict=True)
    ]


def _found(image: Normalized, waves: list[Wave]) -> tuple[list[Wave], list[LineNoise]]:
    """Line noise of a channel, and its waves that are not a part of it."""
    lines = _beside(image, waves)
    axes = _axes_of_lines(lines)
    others = [wave for wave in waves if not _is_constant_along(axes, wave, image.pixels.shape)]
    if len(others) == len(waves):
        return waves, lines
    parts = render_noise(image.pixels, [wave for wave in waves if wave not in others])
    if float(parts.var()) > _MUCH * sum(
        noise.strength**2 for noise in lines if _is_removed(noise)
    ):
        return waves, lines
    again = _beside(image, others)
    return (others, again) if axes <= _axes_of_lines(again) else (waves, lines)


def _axes_of_lines(lines: list[LineNoise]) -> set[int]:
    """Axes along which noise of all lines is removed."""
    return {noise.axis for noise in lines if noise.kind is LineKind.LINES and _is_removed(noise)}


def _beside(image: Normalized, waves: list[Wave]) -> list[LineNoise]:
    """Line noise of what waves leave."""
    pixels = image.pixels - render_noise(image.pixels, waves) if waves else image.pixels
    return find_lines(pixels, image.quantum, ignored=image.saturated)


def _is_removed(noise: LineNoise) -> bool:
    return noise.outcome is Outcome.REMOVED


def _is_constant_along(axes: set[int], wave: Wave, shape: Sequence[int]) -> bool:
    """Whether a wave is the same all along the lines of one of the axes."""
    return any(abs(wave.frequency[axis]) * shape[axis] < _CONSTANT for axis in axes)


def may_have_lines(image: Normalized) -> bool:
    """Tell after a quick look whether one channel may have noise of rows or columns."""
    turned = None if image.saturated is None else image.saturated.T
    return may_show_lines(image.pixels, image.quantum, image.saturated) or may_show_lines(
        image.pixels.T.contiguous(), image.quantum, turned
    )


def _decided(noise: LineNoise, certain: set[str], suggestions: str) -> LineNoise:
    """Line noise as it is treated in all channels."""
    return accept(noise) if suggestions == "remove" or noise.name in certain else noise
