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

# benchmarks.rejection checks these numbers: on clean images no wave may remain.
_HARMONICS = 6  # highest tested harmonic of a profile
_STRONG = 0.05  # of the strongest harmonic's energy; weaker harmonics are not tested
# A wave is rejected if its removal leaves more than this share of its energy, and the residual
# exceeds its surroundings by this factor; first in clipped, then in plain differences.
MAX_LEFT, _EXCESS = 1 / 4, 1.8
_MAX_PLAIN_LEFT, _PLAIN_EXCESS = 0.6, 8.0
_MIN_SHOWN = 0.5  # share of a wave that the exemplar must show


def reject_incomplete(channel: ChannelModel) -> Steps:
    """Reject waves of any kind whose removal leaves much energy at their frequency.

    Noise is gone everywhere after subtraction. A repeating specimen is regular enough to
    support a wave, but no wave and no envelope fits it exactly.
    """
    waves = channel.waves()
    if not waves:
        return channel
    # a specimen may share one harmonic with a profile, but not most of them
    multiples = [range(1, _HARMONICS + 1 if wave.profile else 2) for wave in waves]
    frequencies = np.concatenate(
        [np.outer(each, wave.frequency) for wave, each in zip(waves, multiples, strict=True)]
    )
    pixels, residual = channel.pixels, channel.residual()
    ends = np.cumsum([len(each) for each in multiples])[:-1]
    shares = []
    # strong repeats of a specimen look like a weak wave in clipped differences only
    for maps, like, threshold in ((edges, (pixels,), _EXCESS), (gradient, (), _PLAIN_EXCESS)):
        yield Step(Stage.DETECT, "measuring the residual of each wave")
        at, beside = after = local_energy(channel.counted(maps(residual, *like)), frequencies)
        if (at <= threshold * beside).all():
            shares.append(np.zeros(len(waves)))
            continue
        yield Step(Stage.DETECT, "measuring the energy of each wave")
        before = local_energy(channel.counted(maps(pixels)), frequencies)
        shares.append(_remaining_share(before, after, threshold, ends))
    clipped, plain = shares
    drop = (clipped > MAX_LEFT) | (plain > _MAX_PLAIN_LEFT)
    left = np.maximum(clipped, plain)
    if not drop.any():
        return channel
    # waves with common bases stay or go together; most of their energy decides
    together = _together(channel)
    energy = np.array([wave.amplitude**2 for wave in waves])
    drop = together @ (energy * drop) > 0.5 * (together @ energy)
    return _without(channel, drop, Cause.INCOMPLETE, np.minimum(left, 1.0), required=MAX_LEFT)


def _together(channel: ChannelModel) -> NDArray[np.bool_]:
    """Which waves share a base: those of a lattice, and those of a screen, shape (K, K)."""
    gains, settled = len(channel.gains), len(channel.settled)
    together = np.eye(gains + settled + len(channel.found), dtype=bool)
    shared = (channel.found.fit.ties != 0).astype(int)
    together[gains + settled :, gains + settled :] = shared @ shared.T > 0
    screens = [None if w.tones is None else w.tones.screen for w in channel.settled]
    for i, screen in enumerate(screens):
        for j in range(i):
            together[gains + i, gains + j] = screen is not None and screen == screens[j]
    return together | together.T


def reject_outside_exemplar(channel: ChannelModel) -> Steps:
    """Reject waves that the exemplar, an area of noise alone, does not show.

    This test is the last one. Until then the waves are fitted, since they would disturb the fit
    of the others.
    """
    waves = channel.waves()
    if channel.exemplar is None or not waves:
        return channel
    area = channel.exemplar
    residual = area.of(channel.residual()).gradient * area.counted
    shares = np.empty(len(waves))
    for i, wave in enumerate(waves):
        yield Step(Stage.DETECT, "measuring each wave in the exemplar")
        rendered = area.of(render_noise(channel.pixels, [wave])).gradient * area.counted
        energy = rendered.square().sum().clamp_min(torch.finfo(torch.float32).tiny)
        shares[i] = 1 + float((residual * rendered).sum() / energy)
    drop = shares < _MIN_SHOWN
    cause = Cause.OUTSIDE_EXEMPLAR
    return _without(channel, drop, cause, shares.clip(0, 1), required=_MIN_SHOWN)


def _without(
    channel: ChannelModel,
    drop: NDArray[np.bool_],
    cause: Cause,
    measured: Float,
    required: float,
) -> ChannelModel:
    """Move some waves of a channel to its rejected ones."""
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


def _remaining_share(
    before: tuple[Float, Float],
    after: tuple[Float, Float],
    threshold: float,
    ends: NDArray[np.int64],
) -> Float:
    """Share of each wave's energy that remains after subtraction, shape (K,).

    ``before`` and ``after`` are the energies at the waves' harmonics, one after the other and
    split at ``ends``, and beside them. A residual below the threshold times its surroundings
    counts as zero. A wave has the median share of its strong harmonics.
    """
    energy = before[0] - before[1]
    at, beside = after
    share = (at - beside) / np.maximum(energy, np.finfo(np.float32).tiny)
    share = np.where(at > threshold * beside, share, 0.0)
    of_each = zip(np.split(share, ends), np.split(energy, ends), strict=True)
    return np.array(
        [np.median(shares[e >= min(_STRONG * e.max(), e.max())]) for shares, e in of_each]
    )
