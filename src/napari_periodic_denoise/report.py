"""What was found in an image: as plain values for files, and in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from napari_periodic_denoise import __version__

if TYPE_CHECKING:
    from napari_periodic_denoise.noise.estimate import NoiseEstimate
    from napari_periodic_denoise.noise.waves import Wave


_SAME = 1e-4  # cycles/pixel, within which the frequencies of two channels are the same


def record(estimate: NoiseEstimate) -> dict[str, Any]:
    """Return what was found, why, and with which settings, ready for JSON.

    Parameters
    ----------
    estimate : NoiseEstimate
    """
    return {
        "version": __version__,
        "settings": estimate.settings,
        "removed_variance": estimate.removed_variance,
        "remainder_variance": estimate.remainder_variance,
        "waves": [{**wave.to_dict(), "reason": wave.reason} for wave in estimate.waves],
        "rejected": [
            {**asdict(peak), "frequency": list(peak.frequency)} for peak in estimate.rejected
        ],
    }


def in_words(estimate: NoiseEstimate, channels: Sequence[str], most: int = 8) -> str:
    """Return what was found for a person: a line for each wave, and one for the remainder.

    Parameters
    ----------
    estimate : NoiseEstimate
    channels : sequence of str
        Names of the channels, told where an image has several.
    most : int
        How many lines of waves there are at most.
    """
    groups: list[list[Wave]] = []
    for wave in estimate.waves:
        group = next((group for group in groups if _is_of(wave, group)), None)
        if group is None:
            groups.append([wave])
        else:
            group.append(wave)
    names = [f" ({name})" for name in channels] if estimate.noise.ndim > 2 else [""]
    told = []
    for group in groups:
        first = group[0]
        place = f"{first.period:.1f} px at {round(first.angle) % 180}°"
        heights = (f"{_amplitude(wave)}{names[wave.channel]}" for wave in group)
        told.append(f"{', '.join([place, *_nature(first)])}: {', '.join(heights)}")
    if len(told) > most:
        told[most:] = [f"and {len(told) - most} more"]
    if estimate.remainder_variance:
        kind = estimate.settings["remainder"]
        words = kind if kind == "stripes" else f"{kind} noise"
        if estimate.settings.get("method") == "texture":
            words = "texture"
        told.append(f"{words}: {100 * estimate.remainder_variance:.3g}% of the variance")
    return "\n".join(told)


def _is_of(wave: Wave, group: list[Wave]) -> bool:
    """Whether a wave is the same as that of other channels, each of which has fitted it anew."""
    return all(
        wave.channel != other.channel
        and math.dist(wave.frequency, other.frequency) < _SAME
        and _nature(wave) == _nature(other)
        for other in group
    )


def _nature(wave: Wave) -> list[str]:
    words = []
    if wave.profile is not None:
        words.append("hard-edged")
    if wave.envelope is not None:
        words.append("changing over the image")
    return words


def _amplitude(wave: Wave) -> str:
    if wave.dark is not None:
        return f"±{100 * wave.amplitude:.3g}% of the brightness"
    return f"±{wave.amplitude:.3g}"
