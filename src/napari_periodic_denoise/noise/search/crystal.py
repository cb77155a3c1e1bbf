"""Tell lattices that may be the specimen, such as the atoms of a crystal, from those of noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from napari_periodic_denoise.noise.outcome import Outcome
from napari_periodic_denoise.noise.search.channel import ChannelModel
from napari_periodic_denoise.noise.waves.lattices import SQUARE, in_lattices, parallel
from napari_periodic_denoise.noise.waves.synthesis import polynomials, smooth_tone
from napari_periodic_denoise.noise.waves.wave import Wave
from napari_periodic_denoise.noise.wording import Cause

# Of made lattices on photographs and micrographs (`benchmarks.rejection`) none has more than 7 of
# these peaks, and most none; two atomic lattices have 15 and 31.
_REFUSED_PEAKS = 10
_REFUSED = (Cause.PARTS_DISAGREE, Cause.INCOMPLETE)  # as of a specimen that repeats
# Relative deviation of the amplitude over the image. Atoms are alike everywhere (up to 0.2 in
# three images), the dots of a print follow its tone (0.35 and more).
_STEADY = 0.25
_MOST = 2 / 3  # of the variance, from which on an image shows hardly anything else
# A screen of prints is square, and its dots are sharp: made ones have 24 to 48 waves
# (`benchmarks.lines`), the lattices of atoms 3 to 14.
_SCREEN = 18
# An oblique lattice with as many waves is sharp in all directions, as a crystal's. Devices make
# grids at right angles, or few waves; three images of atoms have 9 to 31 in crops.
_MANY_WAVES = 8
_POINTS = 32  # a side, at which an envelope is looked at
_SPACING = 4  # pixels, at which a tone is looked at


def with_suggestions(channels: Sequence[ChannelModel]) -> list[list[Wave]]:
    """Return the waves of all channels; lattices that may be the specimen are only suggested.

    A crystal repeats with the same strength all over the image. It is also less regular than
    noise from a device: near its waves are certain peaks that no wave explains, because parts of
    the image disagree, or because much would be left. Or the lattice is oblique and has many
    waves, or the image shows hardly anything else.

    Parameters
    ----------
    channels : sequence of ChannelModel
        Channels of one image. A lattice that may be the specimen in one channel is suggested in
        all.

    Returns
    -------
    list of list of Wave
        In the order of `ChannelModel.waves`.
    """
    waves = [channel.waves() for channel in channels]
    if not any(map(may_be_crystal, channels)):
        return waves
    return [
        [
            replace(wave, outcome=Outcome.SUGGESTED) if member else wave
            for wave, member in zip(of, _lattice(channel, of), strict=True)
        ]
        for channel, of in zip(channels, waves, strict=True)
    ]


def may_be_crystal(channel: ChannelModel) -> bool:
    """Whether a channel has a lattice that may be a crystal, see `with_suggestions`."""
    waves = channel.waves()
    lattice = _lattice(channel, waves)
    members = [wave for wave, member in zip(waves, lattice, strict=True) if member]
    return bool(members) and _may_be_specimen(channel, members)


def _lattice(channel: ChannelModel, waves: Sequence[Wave]) -> NDArray[np.bool_]:
    """Waves that belong to a lattice, together with the refused peaks, shape (K,)."""
    frequencies = [*(wave.frequency for wave in waves), *_refused(channel)]
    if not waves:
        return np.zeros(0, dtype=bool)
    return in_lattices(np.array(frequencies), channel.shape)[: len(waves)]


def _refused(channel: ChannelModel) -> list[tuple[float, float]]:
    """Frequencies of certain peaks that no wave explains."""
    return sorted(
        {peak.frequency for peak in channel.rejected if peak.is_certain and peak.cause in _REFUSED}
    )


def _may_be_specimen(channel: ChannelModel, members: Sequence[Wave]) -> bool:
    """Whether the waves of a channel's lattice may be those of a crystal."""
    if any(wave.dark is not None or wave.profile is not None for wave in members):
        return False
    squareness, obliqueness = _cell(members)
    if len(members) >= _SCREEN and max(squareness, obliqueness) < SQUARE:
        return False
    if is_unsteady(members, channel.pixels):
        return False
    if len(_refused(channel)) >= _REFUSED_PEAKS:
        return True
    if len(members) >= _MANY_WAVES and obliqueness > SQUARE:
        return True
    energy = sum(wave.amplitude**2 / 2 for wave in members)
    return energy > _MOST * float(channel.pixels.var())


def _cell(waves: Sequence[Wave]) -> tuple[float, float]:
    """Relative difference of the periods, and cosine of the angle, of the two strongest waves.

    The second one is the strongest of another direction. Without any, waves are at no angle.
    """
    if len(waves) < 2:
        return np.inf, 0.0
    strongest = sorted(waves, key=lambda wave: -wave.amplitude)
    frequencies = np.array([wave.frequency for wave in strongest])
    lengths = np.hypot(*frequencies.T)
    first, others = frequencies[0], frequencies[1:]
    second = 1 + int((~parallel(first, others)).argmax())
    cosine = abs(first @ frequencies[second]) / lengths[0] / lengths[second]
    return abs(lengths[0] - lengths[second]) / lengths[0], float(cosine)


def is_unsteady(waves: Sequence[Wave], pixels: torch.Tensor) -> bool:
    """Whether waves of a lattice change over the image, as those of a crystal do not.

    Parameters
    ----------
    waves : sequence of Wave
        Added waves without a profile.
    pixels : Tensor of float32, shape (H, W)
        Their image.

    Returns
    -------
    bool
    """
    energy = np.array([wave.amplitude**2 for wave in waves])
    unsteadiness = np.array([_unsteadiness(wave, pixels) for wave in waves])
    return bool(energy @ unsteadiness > _STEADY * energy.sum())


def _unsteadiness(wave: Wave, pixels: torch.Tensor) -> float:
    """Relative deviation of a wave's amplitude over the image."""
    if wave.tones is not None:
        darkest, brightest, period = wave.tones.screen
        tone = smooth_tone(pixels, period)[::_SPACING, ::_SPACING]
        coefficients = np.array(wave.tones.coefficients)
        powers = polynomials(tone, (darkest, brightest), len(coefficients))
        amplitude = np.abs(coefficients @ torch.stack(powers).flatten(1).cpu().numpy())
    elif wave.envelope is not None:
        envelope = np.array(wave.envelope)
        at = (np.arange(_POINTS) + 0.5) * (np.pi / _POINTS)
        y, x = (np.cos(at[:, None] * np.arange(count)) for count in envelope.shape)
        amplitude = np.abs(y @ envelope @ x.T)
    else:
        return 0.0
    return float(amplitude.std() / amplitude.mean())
