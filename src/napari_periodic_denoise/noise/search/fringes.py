"""Search for fringes that bend, where the spectrum has a broad maximum."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_periodic_denoise.noise.fitting.evidence import (
    CONSENSUS,
    consensus_of,
    description_length,
    saved_in_parts,
)
from napari_periodic_denoise.noise.fitting.fringes import (
    Fringes,
    as_envelope,
    bend,
    gradient_of,
    refit_fringes,
    with_order,
)
from napari_periodic_denoise.noise.fitting.sample import GradientSample
from napari_periodic_denoise.noise.progress import Stage, Step
from napari_periodic_denoise.noise.search.acceptance import evidence_threshold
from napari_periodic_denoise.noise.search.channel import (
    SEARCH_PIXELS,
    ChannelModel,
    is_separate,
)
from napari_periodic_denoise.noise.search.kinds import Steps
from napari_periodic_denoise.noise.search.specimen import MAX_LEFT
from napari_periodic_denoise.noise.statistics.features import edges
from napari_periodic_denoise.noise.statistics.local_frequency import (
    LocalFrequencies,
    follow,
    split,
)
from napari_periodic_denoise.noise.statistics.peaks import PART, Candidate
from napari_periodic_denoise.noise.waves.frequency import (
    Float,
    Frequency,
    is_near_any,
    lowest_alias,
)
from napari_periodic_denoise.noise.waves.lattices import in_lattices
from napari_periodic_denoise.noise.waves.synthesis import synthesize
from napari_periodic_denoise.noise.waves.wave import Order, Wave, wave_at_centre
from napari_periodic_denoise.noise.wording import Cause
from napari_periodic_denoise.runtime.steps import mapped

# benchmarks.lines (curved fringes, clean images and crops) checks these numbers.
_REFUSED = (Cause.FEW_PARTS, Cause.PARTS_DISAGREE, Cause.NO_GAIN, Cause.TOO_WEAK)
_PATIENCE = 2  # failures, after which no weaker peaks are tried
# Broad maxima that show a crystal. Weaker ones may be beats of fringes with lines of a text.
_FIRST = 6
_LATTICE = (2 * PART, 2 * PART)  # pixels, over which broad maxima must add up to a lattice
_STRAIGHT = 1.0  # cycles, by which straight lines may be oblique to the rows or columns
_CONSTANT_ORDER = 8  # half cycles along its lines, up to which noise of lines varies
_SMEARED = 8.0  # cycles across the image, within which two peaks are the same fringes
_BESIDE = 1 / 3  # of a peak's frequency; nearer waves may be pieces of its fringes
_MIN_SHARE = 0.6  # of the parts must show the fringes, as they must show a plane wave
# Share of what fringes save that they must save with an envelope of this order. Made fringes save
# 0.98, real ones with borders of light 0.6; a texture of a preferred period 0.4.
_STEADY, _STEADY_ORDER = 0.5, (2, 2)
_MIN_SAVING = 0.9  # of the parts must save; parts without light cannot


def follow_fringes(channel: ChannelModel, smeared: Sequence[Candidate]) -> Steps:
    """Explain broad maxima of the spectrum by fringes, if that shortens the description.

    The peak of fringes that bend is smeared, and parts of the image disagree about a plane wave.
    Nothing is tried in a channel whose waves and refused peaks form a lattice. It may be a
    crystal, which bends too.

    Parameters
    ----------
    channel : ChannelModel
    smeared : sequence of Candidate
        Broad maxima, the most significant first.

    Returns
    -------
    ChannelModel
        With the fringes as settled waves.
    """
    failures = 0
    for peak in smeared:
        known = is_near_any(peak.frequency, channel.bent, channel.shape, _SMEARED) or not all(
            is_separate(peak.frequency, wave, channel.shape) for wave in channel.waves()
        )
        if known:
            continue
        if failures == _PATIENCE or _may_be_lattice(channel, smeared):
            break
        channel = replace(channel, bent=(*channel.bent, np.array(peak.frequency)))
        found = yield from _bent(channel, peak)
        if found is None:
            failures += 1
        else:
            channel = found
    return channel


def _may_be_lattice(channel: ChannelModel, smeared: Sequence[Candidate]) -> bool:
    """Whether a lattice is among the waves, the first maxima and the certain refused peaks."""
    distinct: list[Frequency] = []
    refused = (
        peak.frequency for peak in channel.rejected if peak.is_certain and peak.cause in _REFUSED
    )
    waves = (wave.frequency for wave in channel.waves())
    for frequency in (*waves, *(peak.frequency for peak in smeared[:_FIRST]), *refused):
        if not is_near_any(frequency, distinct, _LATTICE):
            distinct.append(frequency)
    return bool(in_lattices(np.array(distinct), _LATTICE).any())


def _bent(channel: ChannelModel, peak: Candidate) -> Generator[Step, None, ChannelModel | None]:
    """Fit fringes from a peak; None if they are not certain."""
    frequency = peak.frequency
    yield Step(Stage.FIT, "following fringes that bend")
    others = _without_beside(channel, frequency)
    image = others.residual()
    local = follow(channel.counted(edges(image)), frequency)
    if local is None or local.share < _MIN_SHARE:
        return None
    whole = channel.sample.of(image)
    fringes = yield from mapped(_fitted(whole, local), _step)
    if fringes is None or math.isinf(fringes.description):
        return None
    described = as_envelope(fringes)
    if described is None or _are_lines(*described, channel.shape):
        return None
    with_pieces = channel.sample.of(channel.residual())
    before = description_length(
        with_pieces, with_pieces.gradient, _unknowns(channel) - _unknowns(others)
    )
    saved = before - fringes.description
    steady = before - with_order(whole, fringes, local.clumped, _STEADY_ORDER).description
    if saved < evidence_threshold([whole]) or steady < _STEADY * saved:
        return None
    each = saved_in_parts(whole, whole.gradient - gradient_of(whole, fringes))
    if consensus_of(each) < CONSENSUS or np.mean(each > 0) < _MIN_SAVING:
        return None
    wave = wave_at_centre(
        *described, channel.shape, false_alarms=peak.false_alarms, evidence=saved
    )
    if _left(others, wave, local, frequency) > MAX_LEFT:
        return None
    return replace(others, settled=(*others.settled, wave))


def _fitted(
    sample: GradientSample, local: LocalFrequencies
) -> Generator[Order, None, Fringes | None]:
    """Fit fringes to a part of a sample, then to all of it."""
    few = sample.first(SEARCH_PIXELS)
    fringes = yield from bend(few, local, description_length(few, few.gradient, 0))
    if fringes is None:
        return None
    return (yield from refit_fringes(sample, fringes, local.clumped))


def _step(order: Order) -> Step:
    return Step(Stage.FIT, f"fitting fringes of order {order[0]}, {order[1]}")


def _without_beside(channel: ChannelModel, frequency: Frequency) -> ChannelModel:
    """Take out the added waves near a peak, which may be pieces of its fringes."""
    reach = _BESIDE * math.hypot(*frequency)

    def apart(wave: Wave) -> bool:
        return all(
            np.hypot(*lowest_alias(np.subtract(frequency, np.multiply(sign, wave.frequency))))
            > reach
            for sign in (1, -1)
        )

    keep = np.array([apart(wave) for wave in channel.found.waves(channel.shape)], dtype=bool)
    settled = tuple(
        wave
        for wave in channel.settled
        if wave.profile is not None or wave.tones is not None or apart(wave)
    )
    return replace(channel, found=channel.found.take(keep), settled=settled)


def _are_lines(
    frequency: Float, coefficients: NDArray[np.complex128], shape: tuple[int, int]
) -> bool:
    """Whether fringes are straight rows or columns of any offset, which are noise of lines."""
    straight = np.abs(frequency * shape) < _STRAIGHT
    slow = np.array(coefficients.shape) <= _CONSTANT_ORDER + 1
    return bool((straight & slow).any())


def _unknowns(channel: ChannelModel) -> int:
    """Number of unknowns of the added waves without profile."""
    orders = [wave.order for wave in channel.settled if wave.profile is None]
    return 4 * len(channel.found) + sum(2 * (j + 1) * (k + 1) for j, k in orders)


def _left(
    channel: ChannelModel, wave: Wave, local: LocalFrequencies, frequency: Frequency
) -> float:
    """Share of the fringes' energy that their subtraction leaves, mean of the parts."""
    image = channel.residual()
    rest = image - synthesize([wave], channel.shape, image.device)
    parts = split(channel.counted(edges(rest, image)), 1 / math.hypot(*frequency))
    assert parts is not None
    beside = local.parts.level(frequency)
    before, after = (each.at(local.frequencies) - beside for each in (local.parts, parts))
    share = after.clip(0)[local.followed] / before[local.followed].clip(1e-30)
    return float(share.mean())
