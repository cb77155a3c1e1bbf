"""What an estimate tells: its progress, and its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from napari_periodic_denoise.noise.lines.result import LineNoise, Outcome
from napari_periodic_denoise.noise.waves.lattices import in_lattices
from napari_periodic_denoise.noise.waves.wave import Rejected, Wave
from napari_periodic_denoise.noise.wording import plural


@dataclass(frozen=True, slots=True, eq=False)
class NoiseEstimate:
    """Periodic noise found in an image, and the image without it.

    Attributes
    ----------
    noise : ndarray of float32, shape of the image
        In the image's intensity units; ``image − noise`` is the cleaned image. Exactly zero
        where nothing was found. Of a texture, less its mean.
    cleaned : ndarray, shape and dtype of the image
        Integers are rounded and clipped to the dtype's range. Pixels at the image's limits,
        whose true intensity is not known, don't go beyond them.
    waves : tuple of Wave
        What the noise consists of; those that multiply first, then the strongest. Their
        ``reason`` says why they were kept. None of a texture.
    settings : dict
        Everything that reproduces the estimate; JSON-serialisable.
    removed_variance : float
        Variance of the noise as a share of the image's, 0 to 1.
    remainder_variance : float
        Share that noise which is no sum of few waves has, 0 to 1.
    rejected : tuple of Rejected
        Peaks of the spectrum that were not taken for waves, and why.
    lines : tuple of LineNoise
        Noise of rows and columns, removed or only suggested, in intensity units.
    gram : mapping of str to ndarray of float32, shape (C, C)
        Gram matrix of the image's feature maps, by layer, where it was asked for.
    """

    noise: np.ndarray
    cleaned: np.ndarray
    waves: tuple[Wave, ...]
    settings: dict[str, Any]
    removed_variance: float
    remainder_variance: float
    rejected: tuple[Rejected, ...]
    gram: Mapping[str, np.ndarray] = field(default_factory=dict)
    lines: tuple[LineNoise, ...] = ()

    @property
    def removed_lines(self) -> tuple[LineNoise, ...]:
        """Noise of rows and columns that is part of the noise."""
        return tuple(line for line in self.lines if line.outcome is Outcome.REMOVED)

    @property
    def suggested(self) -> tuple[LineNoise, ...]:
        """Noise of rows and columns that was found, but may be the specimen's: it is kept."""
        return tuple(line for line in self.lines if line.outcome is Outcome.SUGGESTED)

    @property
    def components(self) -> tuple[Wave | LineNoise, ...]:
        """All that was found, waves first; see the ``outcome`` of line noise."""
        return (*self.waves, *self.lines)

    @property
    def summary(self) -> str:
        """The result in one line, for a person."""
        if self.settings.get("method") == "texture":
            return "a texture that repeats what the image repeats, but elsewhere: it has no phase"
        parts = [part for part in (self._waves_in_words(), *self._lines_in_words()) if part]
        if self.remainder_variance:
            parts.append(f"{self.settings['remainder']} noise")
        if not parts:
            kept = " and ".join(dict.fromkeys(f"lines ({line.name})" for line in self.suggested))
            return f"nothing removed; suggested: {kept}" if kept else "no periodic noise found"
        removed = f"removed {100 * self.removed_variance:.1f}% of the variance"
        first = "" if self.waves else "no waves, but "
        return f"{first}{', and '.join(parts)}; {removed}"

    def _waves_in_words(self) -> str:
        if not self.waves:
            return ""
        strongest = self.waves[0]
        count = plural(len(self.waves)) + (", strongest" if len(self.waves) > 1 else ",")
        amplitude = f"{strongest.amplitude:.3g}"
        if strongest.dark is not None:
            amplitude = f"{100 * strongest.amplitude:.3g}% of the intensity"
        return (
            f"{count} {strongest.period:.1f} px at {round(strongest.angle) % 180}°, "
            f"amplitude {amplitude}"
        )

    def _lines_in_words(self) -> list[str]:
        words = (f"{line.kind} ({line.name})" for line in self.removed_lines)
        return list(dict.fromkeys(words))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should look at before the result is used, each in a sentence."""
        if self.settings.get("method") == "texture":
            return (
                "A texture has no phase: its crests fall anywhere, and the image less the "
                "texture is for comparison only.",
            )
        return (*self._lattice_warning(), *self._suggestions())

    def _suggestions(self) -> list[str]:
        names = dict.fromkeys(f"{line.kind} along the {line.name}" for line in self.suggested)
        return [
            f"There are {name}, which may be the specimen's: they were kept. If they are noise, "
            "run again with suggestions='remove'."
            for name in names
        ]

    def _lattice_warning(self) -> tuple[str, ...]:
        if self.settings.get("exemplar") is not None:
            return ()
        found = max(
            (self._lattice(channel) for channel in {w.channel for w in self.waves}), default=0
        )
        if not found:
            return ()
        return (
            f"A lattice of {found} waves was found, which may be the specimen's own: look at it, "
            "and if it is, mark an area where only noise is seen as the exemplar.",
        )

    def _lattice(self, channel: int) -> int:
        """Count the waves of a channel that belong to lattices."""
        frequencies = [wave.frequency for wave in self.waves if wave.channel == channel]
        shape, axis = list(self.noise.shape), self.settings.get("channel_axis")
        if axis is not None:
            del shape[axis]
        return int(in_lattices(np.array(frequencies), (shape[0], shape[1])).sum())
