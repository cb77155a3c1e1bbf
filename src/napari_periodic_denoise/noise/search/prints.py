"""Search for screens of prints, whose dots follow the tone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_periodic_denoise.noise.fitting.evidence import (
    CONSENSUS,
    consensus_of,
    description_length,
    saved_in_parts,
)
from napari_periodic_denoise.noise.fitting.sample import GradientSample
from napari_periodic_denoise.noise.fitting.tones import (
    ORDERS,
    choose_screen,
    fit_screen,
    period_of,
    sites_of,
    span_of,
    subtract_screen,
)
from napari_periodic_denoise.noise.progress import Stage, Step
from napari_periodic_denoise.noise.search.acceptance import evidence_threshold
from napari_periodic_denoise.noise.search.channel import SEARCH_PIXELS, ChannelModel
from napari_periodic_denoise.noise.search.crystal import is_unsteady, may_be_crystal
from napari_periodic_denoise.noise.search.kinds import (
    MIN_FINAL,
    SIDEBAND,
    SITE_EXCESS,
    Steps,
    reconsidered,
    residual_edges,
)
from napari_periodic_denoise.noise.statistics.local_energy import local_excess
from napari_periodic_denoise.noise.waves.frequency import Float, is_near_any, is_nyquist
from napari_periodic_denoise.noise.waves.lattices import square_lattice
from napari_periodic_denoise.noise.waves.synthesis import smooth_tone
from napari_periodic_denoise.noise.waves.wave import Order, Wave
from napari_periodic_denoise.runtime.steps import mapped

_FIRST_ORDER = 2  # of the sites, around which a screen that follows the tone leaves a residual


def follow_tones(channel: ChannelModel) -> Steps:
    """Let the waves of a square lattice follow the tone, if that shortens the description.

    Parameters
    ----------
    channel : ChannelModel

    Returns
    -------
    ChannelModel
        With the screen as settled waves.
    """
    waves = [wave for wave in channel.added() if wave.tones is None]
    frequencies = np.array([wave.frequency for wave in waves]).reshape(-1, 2)
    strengths = np.array([wave.amplitude for wave in waves])
    bases = square_lattice(frequencies, strengths, channel.shape)
    if bases is None or is_near_any(bases[0], channel.toned, channel.shape):
        return channel
    if is_nyquist(bases).any():  # signs of odd and even pixels have no phase to follow
        return channel
    yield Step(Stage.DETECT, "searching for dots that follow the tone")
    channel = replace(channel, toned=(*channel.toned, bases[0]))
    if not _changes(channel, bases):
        return channel
    return (yield from _toned(channel, bases))


def _changes(channel: ChannelModel, bases: Float) -> bool:
    """Whether waves of a lattice have envelopes, or leave a residual at its sites."""
    sites = sites_of(bases, _FIRST_ORDER, channel.shape) @ bases
    if any(is_near_any(wave.frequency, list(sites), channel.shape) for wave in channel.settled):
        return True
    return bool((local_excess(residual_edges(channel), sites) > SITE_EXCESS).any())


def _toned(channel: ChannelModel, bases: Float) -> Steps:
    """Fit a screen in place of a lattice; return the channel itself if it is not better."""
    others, members = _split(channel, bases)
    whole = channel.sample.of(others.residual()).first(MIN_FINAL)
    tone = smooth_tone(channel.pixels, period_of(bases))
    darkest, brightest = span_of(whole, tone)
    if darkest == brightest:
        return channel
    few = whole.first(SEARCH_PIXELS)
    screen = yield from mapped(choose_screen(few, tone, bases), _step)
    if screen is None or screen.description > _before(channel, few, members):
        return channel
    yield _step(screen.order)
    screen = fit_screen(whole, tone, screen.bases, screen.order)
    saved = _before(channel, whole, members) - screen.description
    each = saved_in_parts(whole, subtract_screen(whole, screen, tone))
    if saved < evidence_threshold([whole]) or consensus_of(each) < CONSENSUS:
        return channel
    waves = screen.waves(
        tone,
        false_alarms=min(wave.false_alarms for wave in members),
        evidence=sum(wave.evidence for wave in members) + saved,
    )
    if may_be_crystal(channel) and not is_unsteady(waves, channel.pixels):
        return channel
    return reconsidered(replace(others, settled=(*others.settled, *waves)))


def _step(order: Order) -> Step:
    return Step(Stage.FIT, f"fitting dots that follow the tone, {order[0]}, {order[1]}")


def _before(channel: ChannelModel, sample: GradientSample, members: list[Wave]) -> float:
    """Description length with the waves of a lattice, in nats."""
    residual = sample.of(channel.residual()).gradient
    unknowns = sum(_unknowns(wave) for wave in members)
    return description_length(sample, residual, unknowns)


def _unknowns(wave: Wave) -> int:
    """Number of unknowns of an added wave."""
    if wave.profile is not None:
        return len(wave.profile) + 2
    j, k = wave.order
    return 2 * (j + 1) * (k + 1) + 2


def _split(channel: ChannelModel, bases: Float) -> tuple[ChannelModel, list[Wave]]:
    """Take out the waves at the sites of a lattice, and their sidebands."""
    sites = list(sites_of(bases, ORDERS[-1][0], channel.shape) @ bases)

    def is_member(wave: Wave) -> bool:
        return wave.tones is None and is_near_any(wave.frequency, sites, channel.shape, SIDEBAND)

    constant = channel.found.waves(channel.shape)
    of_found = np.array([is_member(wave) for wave in constant], dtype=bool)
    members = [wave for wave in channel.added() if is_member(wave)]
    settled = tuple(wave for wave in channel.settled if not is_member(wave))
    return replace(channel, found=channel.found.take(~of_found), settled=settled), members
