"""The record of an estimate, as plain values for JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_periodic_denoise._version import __version__

if TYPE_CHECKING:
    from napari_periodic_denoise.noise.result import NoiseEstimate
    from napari_periodic_denoise.noise.waves.wave import Wave


def record(estimate: NoiseEstimate) -> dict[str, Any]:
    """Return the waves, the reasons and the settings of an estimate as values for JSON.

    Parameters
    ----------
    estimate : NoiseEstimate

    Returns
    -------
    dict
    """
    waves = [*estimate.waves, *estimate.kept_waves]
    groups, families = _groups(waves, estimate), _families(waves, estimate)
    records = [
        {**wave.to_dict(), "reason": wave.reason, "place": group, "family": family}
        for wave, group, family in zip(waves, groups, families, strict=True)
    ]
    return {
        "version": __version__,
        "settings": estimate.settings,
        "removed_variance": estimate.removed_variance,
        "remainder_variance": estimate.remainder_variance,
        "not_finite": estimate.not_finite,
        "lit_only": estimate.lit_only,
        "summary": estimate.summary,
        "warnings": list(estimate.warnings),
        "waves": records[: len(estimate.waves)],
        "off": records[len(estimate.waves) :],
        "lines": [noise.to_dict() for noise in estimate.lines],
        "rejected": [peak.to_dict() for peak in estimate.rejected],
    }


def _groups(waves: Sequence[Wave], estimate: NoiseEstimate) -> list[int]:
    """Number of each wave's group: waves of one frequency, which are switched together."""
    from napari_periodic_denoise.noise.waves.frequency import SAME_FREQUENCY, distances

    frequencies = np.array([wave.frequency for wave in waves]).reshape(-1, 2)
    near = distances(frequencies, _plane_shape(estimate)) < SAME_FREQUENCY
    groups: list[int] = []
    for i in range(len(waves)):
        first = int(near[i].argmax())
        groups.append(groups[first] if first < i else i)
    return groups


def _families(waves: Sequence[Wave], estimate: NoiseEstimate) -> list[list[str]]:
    """Words for the kind of each wave, and for its lattice or harmonic series."""
    from napari_periodic_denoise.noise.waves.lattices import fundamental, in_lattices

    shape = _plane_shape(estimate)
    families = [_kinds(wave) for wave in waves]
    for channel in {wave.channel for wave in waves}:
        members = [i for i, wave in enumerate(waves) if wave.channel == channel]
        frequencies = np.array([waves[i].frequency for i in members])
        lattice = in_lattices(frequencies, shape)
        series = fundamental(frequencies, np.array([waves[i].amplitude for i in members]), shape)
        for k, i in enumerate(members):
            if lattice[k]:
                families[i].append("lattice")
            elif series is not None and series[1][k]:
                families[i].append(f"harmonic of {1 / math.hypot(*series[0]):.1f} px")
    return families


def _plane_shape(estimate: NoiseEstimate) -> tuple[int, int]:
    """Shape ``(H, W)`` of the image without channels."""
    shape = list(estimate.noise.shape)
    axis = estimate.settings.get("channel_axis")
    if axis is not None:
        del shape[axis]
    return shape[0], shape[1]


def _kinds(wave: Wave) -> list[str]:
    """Words for the kind of a wave."""
    words = []
    if wave.profile is not None:
        words.append("hard-edged")
    if wave.envelope is not None:
        words.append("changing over the image")
    if wave.dark is not None:
        words.append("follows the brightness")
    if wave.tones is not None:
        words.append("follows the tone")
    return words or ["constant"]
