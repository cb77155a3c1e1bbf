"""The result of an estimate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from napari_periodic_denoise.noise.lines.result import LineNoise
from napari_periodic_denoise.noise.outcome import Outcome, removed
from napari_periodic_denoise.noise.waves.lattices import in_lattices
from napari_periodic_denoise.noise.waves.wave import Rejected, Wave
from napari_periodic_denoise.noise.wording import not_finite, plural


@dataclass(frozen=True, slots=True, eq=False)
class NoiseEstimate:
    """Periodic noise found in an image, and the image without it.

    Attributes
    ----------
    noise : ndarray of float32, shape of the image
        Noise in the image's intensity units. ``image − noise`` is the cleaned image. It is
        exactly zero if nothing was found. A texture has its mean subtracted.
    cleaned : ndarray, shape and dtype of the image
        Integers are rounded and clipped to the dtype's range. Saturated pixels, whose true
        intensity is unknown, stay within the image's limits.
    waves : tuple of Wave
        Waves of the noise. Waves that multiply come first, then the strongest. A texture has
        no waves.
    kept_waves : tuple of Wave
        Waves that stay in the image: suggested, because they may be part of the specimen, or
        switched off.
    settings : dict
        All settings that reproduce the estimate, JSON-serialisable.
    removed_variance : float
        Variance of the noise as a share of the image's variance, 0 to 1.
    remainder_variance : float
        Share of the image's variance in stripes or quasi-periodic noise, 0 to 1.
    rejected : tuple of Rejected
        Peaks of the spectrum that were not accepted as waves, with the reasons.
    lines : tuple of LineNoise
        Noise of rows and columns in intensity units, removed or suggested.
    gram : mapping of str to ndarray of float32, shape (C, C)
        Gram matrix of the image's feature maps by layer, with the option ``gram``.
    lit_only : bool
        Whether the noise is only where there is light. Dark ground is unchanged in ``cleaned``,
        see `unlit.dark_ground`.
    not_finite : int
        Number of pixels that are NaN or infinite, in all channels together. The fit ignored
        them. They are unchanged in ``cleaned``, and the noise is zero there.
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
    not_finite: int = 0
    kept_waves: tuple[Wave, ...] = ()
    lit_only: bool = False

    @property
    def removed_lines(self) -> tuple[LineNoise, ...]:
        """Noise of rows and columns that is part of the noise."""
        return tuple(removed(self.lines))

    @property
    def suggested(self) -> tuple[Wave | LineNoise, ...]:
        """Components that may be part of the specimen, and stay in the image."""
        return tuple(each for each in self.components if each.outcome is Outcome.SUGGESTED)

    @property
    def components(self) -> tuple[Wave | LineNoise, ...]:
        """All waves, and all noise of rows and columns, each with its outcome."""
        return (*self.waves, *self.kept_waves, *self.lines)

    @property
    def summary(self) -> str:
        """One-line summary of the result."""
        if self.settings.get("method") == "texture":
            return "a texture with the image's statistics; it has no phase"
        kept = ", ".join(self.suggested_names)
        suggestion = f"; suggested: {kept}" if kept else ""
        names = list(dict.fromkeys(noise.name for noise in self.removed_lines))
        if self.remainder_variance:
            names.append(f"{self.settings['remainder']} noise")
        if not self.waves and not names:
            nothing = "nothing removed" if self.components else "no periodic noise found"
            return nothing + suggestion
        share = f"removed {100 * self.removed_variance:.1f}% of the variance"
        rest = " and ".join(names)
        if not self.waves:
            return f"{rest}, no single waves; {share}{suggestion}"
        strongest = self.waves[0]
        count = plural(len(self.waves)) + (", strongest" if len(self.waves) > 1 else ",")
        amplitude = f"{strongest.amplitude:.3g}"
        if strongest.dark is not None:
            amplitude = f"{100 * strongest.amplitude:.3g}% of the intensity"
        return (
            f"{count} {strongest.period:.1f} px at {round(strongest.angle) % 180}°, "
            f"amplitude {amplitude}{f', and {rest}' if rest else ''}; {share}{suggestion}"
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings to read before the result is used, one or two sentences each."""
        ignored = (f"{not_finite(self.not_finite)}.",) if self.not_finite else ()
        if self.settings.get("method") == "texture":
            return (
                *ignored,
                "A texture has no phase, so its crests do not match the image. The image minus "
                "the texture is for comparison only.",
            )
        return (*ignored, *self._lattice_warning(), *self._suggestions())

    def _suggestions(self) -> tuple[str, ...]:
        """Say what was found and kept, and how to remove it."""
        return tuple(
            f"Found and kept, since it may be part of the specimen: {name}. If it is noise, tick "
            "it in the dock's table, or run again with suggestions='remove'."
            for name in self.suggested_names
        )

    @property
    def suggested_names(self) -> list[str]:
        """Words for what is suggested: all waves together, and each kind of lines."""
        waves = {w.frequency for w in self.kept_waves if w.outcome is Outcome.SUGGESTED}
        lines = dict.fromkeys(n.name for n in self.lines if n.outcome is Outcome.SUGGESTED)
        return [*([f"a lattice of {plural(len(waves))}"] if waves else []), *lines]

    def _lattice_warning(self) -> tuple[str, ...]:
        """Ask for a look at a lattice."""
        if self.settings.get("exemplar") is not None:
            return ()
        found = max(
            (self._lattice(channel) for channel in {w.channel for w in self.waves}), default=0
        )
        if not found:
            return ()
        return (
            f"A lattice of {found} waves was found, which may be part of the specimen. Check the "
            "noise. If it shows the specimen, mark an area that contains only noise (the "
            "exemplar).",
        )

    def _lattice(self, channel: int) -> int:
        """Number of waves of a channel that belong to lattices."""
        frequencies = [wave.frequency for wave in self.waves if wave.channel == channel]
        shape, axis = list(self.noise.shape), self.settings.get("channel_axis")
        if axis is not None:
            del shape[axis]
        return int(in_lattices(np.array(frequencies), (shape[0], shape[1])).sum())
