"""Reject waves that belong to the specimen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from napari_periodic_denoise.noise.progress import Stage, Step
from napari_periodic_denoise.noise.search.channel import ChannelModel
from napari_periodic_denoise.noise.search.kinds import Steps
from napari_periodic_denoise.noise.statistics.features import edges, gradient
from napari_periodic_denoise.noise.statistics.local_energy import local_energy
from napari_periodic_denoise.noise.waves.frequency import Float
from napari_periodic_denoise.noise.waves.synthesis import render_noise
from napari_periodic_denoise.noise.waves.wave import Rejected
from napari_periodic_denoise.noise.wording import Cause

_HARMONICS = 6
_OUTSTANDING = 0.05  # of the strongest harmonic's energy, from which others are asked too
# Shares of a wave's energy that are left when it is taken away, above which it is none, where
# what is left stands out of its surroundings so many times; in clipped differences, and plain.
_LEFT, _GONE = 1 / 4, 1.8
_MOSTLY_LEFT, _STANDING = 0.6, 8.0
_SHOWN = 0.5  # of a wave, that an area of noise alone must show


def reject_incomplete(channel: ChannelModel) -> Steps:
    """Drop the waves that leave a good part of themselves behind, whatever their kind.

    Noise, taken away, is gone everywhere. What a specimen repeats is regular enough for a wave
    to pay for itself, but no wave and no envelope fits it: much stays at its frequency.
    """
    waves = channel.waves()
    if not waves:
        return channel
    # a specimen may share a harmonic with a profile, but not the most of them
    multiples = [range(1, _HARMONICS + 1 if wave.profile else 2) for wave in waves]
    frequencies = np.concatenate(
        [np.outer(each, wave.frequency) for wave, each in zip(waves, multiples, strict=True)]
    )
    pixels, residual = channel.pixels, channel.residual()
    ends = np.cumsum([len(each) for each in multiples])[:-1]
    shares = []
    # clipped, a specimen's strong repeats can look like a weak wave: plain, most of them stays
    for maps, like, standing in ((edges, (pixels,), _GONE), (gradient, (), _STANDING)):
        yield Step(Stage.DETECT, "looking what is left behind")
        at, beside = after = local_energy(channel.counted(maps(residual, *like)), frequencies)
        if (at <= standing * beside).all():
            shares.append(np.zeros(len(waves)))
            continue
        yield Step(Stage.DETECT, "looking what was there before")
        before = local_energy(channel.counted(maps(pixels)), frequencies)
        shares.append(_left(before, after, standing, ends))
    clipped, plain = shares
    drop = (clipped > _LEFT) | (plain > _MOSTLY_LEFT)
    left = np.maximum(clipped, plain)
    if not drop.any():
        return channel
    # harmonics and lattices stay or go together, by what their energy is left of
    shared = (channel.found.fit.ties != 0).astype(int)
    together = shared @ shared.T > 0
    energy = np.abs(channel.found.fit.coefficients) ** 2
    others = len(channel.gains) + len(channel.settled)
    drop[others:] = together @ (energy * drop[others:]) > 0.5 * (together @ energy)
    return _without(channel, drop, Cause.INCOMPLETE, np.minimum(left, 1.0), required=_LEFT)


def reject_outside_exemplar(channel: ChannelModel) -> Steps:
    """Drop the waves that an area of noise alone does not show: they are the specimen's.

    This comes last. Until then they are fitted like all others, or they would disturb these.
    """
    waves = channel.waves()
    if channel.exemplar is None or not waves:
        return channel
    area = channel.exemplar
    rest = area.of(channel.residual()).gradient * area.counted
    shares = np.empty(len(waves))
    for i, wave in enumerate(waves):
        yield Step(Stage.DETECT, "looking what the exemplar shows")
        own = area.of(render_noise(channel.pixels, [wave])).gradient * area.counted
        energy = own.square().sum().clamp_min(torch.finfo(torch.float32).tiny)
        shares[i] = 1 + float((rest * own).sum() / energy)
    drop = shares < _SHOWN
    return _without(channel, drop, Cause.OUTSIDE_EXEMPLAR, shares.clip(0, 1), required=_SHOWN)


def _without(
    channel: ChannelModel,
    drop: NDArray[np.bool_],
    cause: Cause,
    measured: Float,
    required: float,
) -> ChannelModel:
    """Return the channel without some of its waves, and why."""
    gains, others = len(channel.gains), len(channel.gains) + len(channel.settled)
    waves = channel.waves()
    rejected = (
        Rejected(waves[i].frequency, waves[i].false_alarms, cause, float(measured[i]), required)
        for i in np.flatnonzero(drop)
    )
    return replace(
        channel,
        gains=channel.gains.take(~drop[:gains]),
        dark=None if drop[:gains].all() else channel.dark,
        settled=tuple(np.array(channel.settled, dtype=object)[~drop[gains:others]]),
        found=channel.found.take(~drop[others:]),
        rejected=(*channel.rejected, *rejected),
    )


def _left(
    before: tuple[Float, Float],
    after: tuple[Float, Float],
    standing: float,
    ends: NDArray[np.int64],
) -> Float:
    """Share of each wave's energy that is still there when it is taken away, shape (K,).

    Energies are of the waves' harmonics one after the other, split at ``ends``, and of what is
    beside them. What stands out of its surroundings less than so many times is gone.
    """
    own = before[0] - before[1]
    at, beside = after
    share = (at - beside) / np.maximum(own, np.finfo(np.float32).tiny)
    share = np.where(at > standing * beside, share, 0.0)
    of_each = zip(np.split(share, ends), np.split(own, ends), strict=True)
    return np.array(
        [np.median(shares[e >= min(_OUTSTANDING * e.max(), e.max())]) for shares, e in of_each]
    )
