"""What was found in an image, as plain values for JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_periodic_denoise._version import __version__

if TYPE_CHECKING:
    from napari_periodic_denoise.noise.result import NoiseEstimate
    from napari_periodic_denoise.noise.waves.wave import Wave


def record(estimate: NoiseEstimate, off: Sequence[Wave] = ()) -> dict[str, Any]:
    """Return what was found, why, and with which settings, ready for JSON.

    Parameters
    ----------
    estimate : NoiseEstimate
    off : sequence of Wave
        Those that were found too, but are left in the image.
    """
    waves = [*estimate.waves, *off]
    places, families = _places(waves, estimate), _families(waves, estimate)
    told = [
        {**wave.to_dict(), "reason": wave.reason, "place": place, "family": family}
        for wave, place, family in zip(waves, places, families, strict=True)
    ]
    return {
        "version": __version__,
        "settings": estimate.settings,
        "removed_variance": estimate.removed_variance,
        "remainder_variance": estimate.remainder_variance,
        "summary": estimate.summary,
        "warnings": list(estimate.warnings),
        "waves": told[: len(estimate.waves)],
        "off": told[len(estimate.waves) :],
        "lines": [line.to_dict() for line in estimate.lines],
        "rejected": [peak.to_dict() for peak in estimate.rejected],
    }


def _places(waves: Sequence[Wave], estimate: NoiseEstimate) -> list[int]:
    """Number of the frequency at which each wave is, of those that are switched together."""
    from napari_periodic_denoise.noise.waves.frequency import APART, distances

    frequencies = np.array([wave.frequency for wave in waves]).reshape(-1, 2)
    near = distances(frequencies, _plane_shape(estimate)) < APART / 2
    places: list[int] = []
    for i in range(len(waves)):
        first = int(near[i].argmax())
        places.append(places[first] if first < i else i)
    return places


def _families(waves: Sequence[Wave], estimate: NoiseEstimate) -> list[list[str]]:
    """What kind of wave each is, and what it belongs to."""
    from napari_periodic_denoise.noise.waves.lattices import fundamental, in_lattices

    shape = _plane_shape(estimate)
    families = [_nature(wave) for wave in waves]
    for channel in {wave.channel for wave in waves}:
        own = [i for i, wave in enumerate(waves) if wave.channel == channel]
        frequencies = np.array([waves[i].frequency for i in own])
        lattice = in_lattices(frequencies, shape)
        series = fundamental(frequencies, np.array([waves[i].amplitude for i in own]), shape)
        for k, i in enumerate(own):
            if lattice[k]:
                families[i].append("lattice")
            elif series is not None and series[1][k]:
                families[i].append(f"harmonic of {1 / math.hypot(*series[0]):.1f} px")
    return families


def _plane_shape(estimate: NoiseEstimate) -> tuple[int, int]:
    shape = list(estimate.noise.shape)
    axis = estimate.settings.get("channel_axis")
    if axis is not None:
        del shape[axis]
    return shape[0], shape[1]


def _nature(wave: Wave) -> list[str]:
    words = []
    if wave.profile is not None:
        words.append("hard-edged")
    if wave.envelope is not None:
        words.append("changing over the image")
    if wave.dark is not None:
        words.append("follows the brightness")
    return words or ["constant"]
