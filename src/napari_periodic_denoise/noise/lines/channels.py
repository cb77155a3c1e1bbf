"""Line noise of all channels of an image, decided together, before and after the waves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from napari_periodic_denoise.noise.assemble import ChannelNoise
from napari_periodic_denoise.noise.input import Normalized
from napari_periodic_denoise.noise.lines.find import find_lines
from napari_periodic_denoise.noise.lines.result import (
    LineKind,
    LineNoise,
    accept,
    render_lines,
)
from napari_periodic_denoise.noise.outcome import removed
from napari_periodic_denoise.noise.waves.synthesis import render_noise
from napari_periodic_denoise.noise.waves.wave import Wave

# Of made stripes of one period 70% and more are periodic in this sense, of made line noise none
# (`benchmarks.rejection`, `benchmarks.lines`).
_PERIODIC = 0.5
_IN_EXEMPLAR = 0.5  # as of waves, see `estimate_noise`
_PEAK = 30.0  # times the median power around; chance exceeds it at one frequency in 10⁹
_FEWEST_CYCLES = 5  # across the lines, under which a peak does not stand out from its lobe
_LOBE = 2  # frequencies to either side of a peak that the window spreads it to


def lines_before_waves(
    images: Sequence[Normalized], suggestions: str, exemplar: torch.Tensor | None = None
) -> tuple[list[Normalized], list[list[LineNoise]]]:
    """Find line noise, and remove what is not periodic.

    The search of waves would take the strongest frequencies of line noise for waves, one by one.

    Parameters
    ----------
    images : sequence of Normalized
        The C channels.
    suggestions : {"keep", "remove"}
        Whether uncertain line noise is removed as well.
    exemplar : Tensor of bool, shape (H, W), optional
        Area that contains only noise. Lines of which it shows less than half are the specimen's.

    Returns
    -------
    images : list of Normalized
        Channels for the search of waves.
    lines : list of list of LineNoise
        All that was found in each channel.
    """
    lines = [_found(image, image.pixels, exemplar) for image in images]
    return without_lines(images, lines, suggestions), lines


def without_lines(
    images: Sequence[Normalized], lines: Sequence[list[LineNoise]], suggestions: str
) -> list[Normalized]:
    """Remove line noise that is not periodic, see `lines_before_waves`."""
    both = zip(images, _decided(lines, suggestions), strict=True)
    return [_without(image, removed(noises)) for image, noises in both]


def lines_beside_waves(
    images: Sequence[Normalized],
    lines: Sequence[list[LineNoise]],
    found: Sequence[ChannelNoise],
    suggestions: str,
    exemplar: torch.Tensor | None = None,
) -> list[ChannelNoise]:
    """Add the line noise of what the waves leave of each channel.

    Parameters
    ----------
    images, lines, suggestions, exemplar
        See `lines_before_waves`.
    found : sequence of ChannelNoise
        Waves of the C channels.

    Returns
    -------
    list of ChannelNoise
    """
    lines = [
        _found(image, image.pixels - render_noise(image.pixels, part.waves), exemplar, part.waves)
        if part.waves
        else noises
        for image, noises, part in zip(images, lines, found, strict=True)
    ]
    both = zip(found, _decided(lines, suggestions), strict=True)
    return [replace(part, lines=tuple(noises)) for part, noises in both]


def _decided(lines: Sequence[list[LineNoise]], suggestions: str) -> list[list[LineNoise]]:
    """Decide about the line noise of all channels together.

    A scan has its lines in all channels. Noise of rows that is removed from one channel is not
    kept in another, because this would leave coloured stripes.
    """
    certain = {noise.name for noises in lines for noise in removed(noises)}
    return [
        [
            accept(noise) if suggestions == "remove" or noise.name in certain else noise
            for noise in noises
        ]
        for noises in lines
    ]


def _found(
    image: Normalized,
    pixels: torch.Tensor,
    exemplar: torch.Tensor | None,
    waves: Sequence[Wave] = (),
) -> list[LineNoise]:
    """Line noise of what waves leave of a channel."""
    frequencies = [wave.frequency for wave in waves]
    lines = find_lines(pixels, image.quantum, image.saturated, frequencies)
    return [n for n in lines if exemplar is None or _share_in(n, pixels, exemplar) > _IN_EXEMPLAR]


def _share_in(noise: LineNoise, pixels: torch.Tensor, area: torch.Tensor) -> float:
    """How much of line noise an area shows, by the differences across lines.

    It is compared with the mean strength in the whole image: lines that differ elsewhere alone
    are not shown.
    """
    across = 1 - noise.axis
    steps = noise.render(pixels.device).diff(dim=across)
    first, second = (area.narrow(across, i, area.shape[across] - 1) for i in (0, 1))
    inside = first & second
    power = float(steps.square().mean() * inside.sum())
    shown = float((inside * steps * pixels.diff(dim=across)).sum())
    return shown / power if power else 0.0


def _without(image: Normalized, noises: Sequence[LineNoise]) -> Normalized:
    """Remove line noise that is not periodic.

    Streaks beside periodic lines are parts of a wave that the lines do not follow. Tiles in both
    directions follow the brightness, which waves do not; in one direction they may be a wave.
    """
    tiled = {noise.axis for noise in noises if noise.kind is LineKind.TILES}
    periodic = {noise.axis for noise in noises if _periodic_share(noise) > _PERIODIC}
    if len(tiled) == 1:
        periodic |= tiled
    else:
        periodic -= tiled
    broad = [noise for noise in noises if noise.axis not in periodic]
    if not broad:
        return image
    shape = image.pixels.shape[0], image.pixels.shape[1]
    return replace(image, pixels=image.pixels - render_lines(broad, shape, image.pixels.device))


def _periodic_share(noise: LineNoise) -> float:
    """Share of the variance of lines at few frequencies, without what is slow.

    Odd and even lines apart are no wave, whose phase would have to be known, but lines.
    """
    if not isinstance(noise.pattern, torch.Tensor):
        return 0.0
    offsets = noise.pattern[0] - noise.pattern[0].mean()
    window = torch.hann_window(len(offsets), dtype=offsets.dtype)
    power = torch.fft.rfft(offsets * window).abs().square()
    power = power[: -1 - _LOBE]
    peaks = torch.zeros_like(power, dtype=torch.bool)
    for cycles in range(_FEWEST_CYCLES, len(power)):
        around = power[cycles // 2 : 2 * cycles + 1].median()
        if power[cycles] > _PEAK * around:
            peaks[cycles - _LOBE : cycles + _LOBE + 1] = True
    slow = _FEWEST_CYCLES - _LOBE
    return float(power[slow:][peaks[slow:]].sum() / power[slow:].sum().clamp_min(1e-30))
