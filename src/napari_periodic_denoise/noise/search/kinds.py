"""What kind of waves constant ones are: parts of a lattice or profile, multiplying, changing.

Every function takes a channel with constant waves and returns it with those of them that turned
out to be of the kind; the description length decides.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from napari_periodic_denoise.noise.fitting.envelope import EnvelopeFit, choose_envelope
from napari_periodic_denoise.noise.fitting.evidence import description_length
from napari_periodic_denoise.noise.fitting.gain import GainFit, fit_gain
from napari_periodic_denoise.noise.fitting.gauss_newton import (
    fit_waves,
    polish_waves,
    subtract_waves,
    unfitted,
)
from napari_periodic_denoise.noise.fitting.profile import fit_profile
from napari_periodic_denoise.noise.fitting.sample import GradientSample, sample_gradient
from napari_periodic_denoise.noise.progress import Stage, Step
from napari_periodic_denoise.noise.search.acceptance import accept_waves, evidence_threshold
from napari_periodic_denoise.noise.search.channel import (
    FINAL_PIXELS,
    REFIT,
    SEARCH_PIXELS,
    ChannelModel,
    Found,
    refit,
)
from napari_periodic_denoise.noise.statistics.features import edges
from napari_periodic_denoise.noise.statistics.local_energy import (
    independent_energy,
    local_energy,
    local_excess,
)
from napari_periodic_denoise.noise.waves.frequency import APART, Shape, distances
from napari_periodic_denoise.noise.waves.lattices import fundamental, index_lattice, missing_sites
from napari_periodic_denoise.noise.waves.synthesis import divide_by_gain, synthesize
from napari_periodic_denoise.noise.waves.wave import Order, profile_at_centre, wave_at_centre
from napari_periodic_denoise.noise.wording import plural
from napari_periodic_denoise.runtime.steps import mapped

Float = NDArray[np.float64]
Steps = Generator[Step, None, ChannelModel]
_LEAST_FINAL, _FINAL_WORK = 60_000, 2_400_000  # pixels, and pixels times waves
_FINISH = (0.2, 5)  # softening at first, and steps
_START = (3.0, 6)
_UNEXPLAINED = 1.5  # local excess at a place of a lattice, above which a wave is tried there
_GROWTH = 3  # times that a lattice is filled up
_LEADING = 1  # waves, the strongest, that may multiply
_PART, _PART_PIXELS = 384, 15_000
_BLACK = 0.1  # of the way from the darkest to the middle intensity, above which none is dark
_CHANGING = 2.0  # local excess of what is left of a wave, above which its envelope is fitted
_PATIENCE = 2  # suspects that turn out constant, after which the weaker ones are left alone
_DOUBT = 60.0  # nats that the lowest order may be short of on few pixels, and pay on all
_SIDEBAND = 16.0  # cycles across the image, within which waves may be parts of a changing one
_SIDEBAND_STRENGTH = 0.5  # of the carrier's amplitude, at most


def refine_all(channel: ChannelModel) -> Steps:
    """Tie harmonics and lattices together, fit all constant waves exactly, test them again."""
    if not len(channel.found):
        return channel
    yield Step(Stage.FIT, "looking for harmonics and lattices")
    full = channel.sample.of(channel.before_constant())
    full = full.first(max(_LEAST_FINAL, _FINAL_WORK // len(channel.found)))
    channel = _tied(channel, full.first(SEARCH_PIXELS))
    found = channel.found
    for step, fit in enumerate(polish_waves(full, found.fit, *_FINISH)):
        yield Step(Stage.FIT, f"refining {plural(len(fit))}, step {step + 1} of {_FINISH[1]}")
        found = replace(found, fit=fit)
    found, rejected = accept_waves(full, found)
    return replace(channel, found=found, rejected=(*channel.rejected, *rejected))


def _tied(channel: ChannelModel, few: GradientSample) -> ChannelModel:
    """Let waves share base frequencies, and add what is missing of a lattice."""
    found = channel.found
    bases, ties = index_lattice(
        found.fit.frequencies, np.abs(found.fit.coefficients), channel.shape
    )
    if len(bases) == len(found):
        return channel
    *_, fit = polish_waves(few, fit_waves(few, unfitted(bases, ties)), *REFIT)
    free, tied = (
        description_length(few, subtract_waves(few, f).gradient, 2 * (len(f) + len(f.bases)))
        for f in (found.fit, fit)
    )
    if tied > free:
        return channel
    channel = replace(channel, found=replace(found, fit=fit))
    for _ in range(_GROWTH):
        grown = _filled(channel, few)
        if len(grown.found) <= len(channel.found):
            break
        channel = grown
    return channel


def _filled(channel: ChannelModel, few: GradientSample) -> ChannelModel:
    """Add waves at places of a lattice where something is left."""
    found = channel.found
    missing = missing_sites(found.fit.bases, found.fit.ties, channel.shape)
    if len(missing):
        excess = local_excess(_edges(channel), missing @ found.fit.bases)
        missing = missing[excess > _UNEXPLAINED]
    if not len(missing):
        return channel
    fit = unfitted(found.fit.bases, np.concatenate([found.fit.ties, missing]))
    # a place of a lattice is not found among all frequencies: it can be no false alarm of its own
    alarms = np.full(len(missing), found.false_alarms.max())
    grown = Found(
        fit_waves(few, fit), np.concatenate([found.false_alarms, alarms]), np.zeros(len(fit))
    )
    return replace(channel, found=accept_waves(few, grown)[0])


def fold(channel: ChannelModel) -> Steps:
    """Replace harmonics by one profile where that describes the image shorter."""
    found, shape = channel.found, channel.shape
    hint = fundamental(found.fit.frequencies, np.abs(found.fit.coefficients), shape)
    if hint is None:
        return channel
    base, members = hint
    if _among(base, channel.folded, shape):
        return channel
    channel = replace(channel, folded=(*channel.folded, base))
    others = replace(channel, found=found.take(~members))
    own = channel.sample.of(others.residual())
    folds = fit_profile(own, base, found.fit.take(members))
    fit = yield from mapped(folds, partial(Step, Stage.FIT))
    if fit is None:
        return channel
    wave = profile_at_centre(
        fit.frequency,
        fit.starts,
        fit.values,
        shape,
        false_alarms=float(found.false_alarms[members].min()),
        evidence=float(found.evidence[members].sum() + fit.saved),
    )
    return _reconsidered(replace(others, settled=(*channel.settled, wave)))


def multiply(channel: ChannelModel, *, forced: bool) -> Steps:
    """Let constant waves multiply where that describes the image shorter, or wherever it can."""
    clean: torch.Tensor | None = None
    while True:
        found = channel.found
        for carrier in np.argsort(-np.abs(found.fit.coefficients))[:_LEADING]:
            frequency = found.fit.frequencies[carrier]
            if not _among(frequency, channel.multiplied, channel.shape):
                break
        else:
            return channel
        yield Step(Stage.FIT, "looking whether the noise follows the brightness")
        if clean is None:
            clean = channel.residual()
        tried = replace(channel, multiplied=(*channel.multiplied, frequency))
        channel = yield from _multiplied(tried, clean, int(carrier), forced=forced)
        if channel is not tried:
            clean = None


def _multiplied(
    channel: ChannelModel, clean: torch.Tensor, carrier: int, *, forced: bool
) -> Steps:
    """Let one constant wave, and those that it may have been found with, multiply.

    Returns the channel itself where they don't.
    """
    found, shape = channel.found, channel.shape
    parts = distances(found.fit.frequencies, shape)[carrier] < _SIDEBAND
    wave, beside = found.take(np.arange(len(parts)) == carrier), found.take(parts)
    levels = channel.sample.levels(channel.pixels)
    # numpy's takes a third of the time of torch's, which sorts
    darkest, middle = np.quantile(levels.cpu().numpy(), (0.01, 0.5)).tolist()
    dark = min(channel.zero, darkest) if channel.dark is None else channel.dark
    if middle <= dark:
        return channel
    relative = replace(wave.fit, coefficients=wave.fit.coefficients / (middle - dark))
    fit = GainFit(channel.gains.fit.join(relative), dark, math.inf)
    gains = channel.gains.join(wave)

    for whole in (False, True):  # a part of the image tells where it is not worth while
        region = clean if whole else _middle(clean)
        size = region.shape[0], region.shape[1]
        gain = synthesize(channel.gains.waves(size, channel.dark), size, clean.device).add_(1)
        # the image with these waves alone
        lit = synthesize(beside.waves(size), size, clean.device).add_(region)
        lit.sub_(dark).mul_(gain).add_(dark)
        if whole:
            own = channel.sample.of(lit)
            # beside what the fit to a part has cleaned
            region = divide_by_gain(lit, replace(gains, fit=fit.waves).waves(shape, fit.dark))
        else:
            own = sample_gradient(lit, _PART_PIXELS, 0, channel.sample.quantum)
        yield Step(Stage.FIT, "fitting waves that follow the brightness")
        *_, fit = fit_gain(lit, region, own, fit, *(REFIT if whole else _START))
        # where the light is weak, dividing by the gain has raised what noise there is
        rest = own.of(clean if whole else _middle(clean)).gradient * own.levels(gain)
        unknowns = 4 * (len(channel.gains) + len(beside))
        before = description_length(own, rest, unknowns)
        margin = evidence_threshold([own]) if whole else 0.0
        if not forced and fit.description > before - margin:
            return channel
    yield Step(Stage.FIT, "fitting waves that follow the brightness")
    clean = divide_by_gain(lit, replace(gains, fit=fit.waves).waves(shape, fit.dark))
    *_, fit = fit_gain(lit, clean, own, fit, *REFIT)
    brightest = float(np.abs(fit.waves.coefficients).sum())
    darkest += _BLACK * (middle - darkest)
    if brightest >= 1 or not 2 * channel.zero - middle < fit.dark < darkest:
        return channel
    if not forced:
        envelope = yield from _enveloped(own, wave, before)
        if envelope is not None and envelope.description < fit.description:
            return channel
    # what a wave that multiplies does to a specimen was found as waves beside it
    gains = replace(gains, fit=fit.waves)
    return _reconsidered(replace(channel, found=found.take(~parts), gains=gains, dark=fit.dark))


def _middle(image: torch.Tensor) -> torch.Tensor:
    """The middle of an image, with the same centre, at most about `_PART` pixels a side."""
    top, left = (max(0, (n - _PART) // 2) for n in image.shape)
    return image[top : image.shape[0] - top, left : image.shape[1] - left]


def modulate(channel: ChannelModel) -> Steps:
    """Give those of the constant waves an envelope that are not constant.

    Returns the channel itself where all are.
    """
    if not len(channel.found):
        return channel
    yield Step(Stage.DETECT, "looking for drift and fading")
    shape, device, frequencies = (
        channel.shape,
        channel.pixels.device,
        channel.found.fit.frequencies,
    )
    left = _edges(channel)
    at, beside = local_energy(left, frequencies)
    tiny = np.finfo(np.float32).tiny
    excess = at / np.maximum(beside, tiny)
    clumped = beside / max(independent_energy(left), tiny)
    near = distances(frequencies, shape) < _SIDEBAND
    strength = np.abs(channel.found.fit.coefficients)
    # a wave that changes leaves something behind, or was found with weaker ones at its sides
    sidebands = near & (strength < _SIDEBAND_STRENGTH * strength[:, None])
    suspect = (near & (excess > _CHANGING)).any(1) | sidebands.any(1)
    failures = 0
    while suspect.any() and failures < _PATIENCE:
        found = channel.found
        carrier = int(np.where(suspect, np.abs(found.fit.coefficients), 0).argmax())
        parts = near[carrier]
        wave = found.take(np.arange(len(parts)) == carrier)
        rest = channel.residual()
        constant = channel.sample.of(rest)
        own = channel.sample.of(rest + synthesize(found.take(parts).waves(shape), shape, device))
        unknowns = 4 * int(parts.sum())
        fit = None
        # few pixels tell where it is not worth while, though not all that more would tell
        for count, doubt in ((SEARCH_PIXELS, _DOUBT), (FINAL_PIXELS, 0.0)):
            some = constant.first(count)
            before = description_length(some, some.gradient, unknowns)
            fit = yield from _enveloped(
                own.first(count), wave, before + doubt, float(clumped[carrier])
            )
            if fit is None:
                break
        if fit is None:
            suspect &= ~parts
            failures += 1
            continue
        changing = wave_at_centre(
            wave.fit.frequencies[0],
            fit.coefficients,
            shape,
            false_alarms=float(found.false_alarms[parts].min()),
            evidence=float(found.evidence[parts].sum() + before - fit.description),
        )
        channel = replace(channel, found=found.take(~parts), settled=(*channel.settled, changing))
        suspect, near, clumped = suspect[~parts], near[~parts][:, ~parts], clumped[~parts]
    return channel


def _edges(channel: ChannelModel) -> torch.Tensor:
    """Clipped differences of what is left of the image."""
    return channel.counted(edges(channel.residual()))


def _enveloped(
    sample: GradientSample, wave: Found, description: float, clumped: float = 1.0
) -> Generator[Step, None, EnvelopeFit | None]:
    coefficient = complex(wave.fit.coefficients[0])
    tries = choose_envelope(sample, wave.fit.frequencies[0], coefficient, description, clumped)

    def step(order: Order) -> Step:
        return Step(Stage.FIT, f"fitting drift and fading of order {order[0]}, {order[1]}")

    return (yield from mapped(tries, step))


def _reconsidered(channel: ChannelModel) -> ChannelModel:
    """Test the constant waves again, now that others of their neighbours are known better."""
    channel = refit(channel)
    if not len(channel.found):
        return channel
    found, rejected = accept_waves(channel.sample.of(channel.before_constant()), channel.found)
    return replace(channel, found=found, rejected=(*channel.rejected, *rejected))


def _among(frequency: Float, others: tuple[Float, ...], shape: Shape) -> bool:
    return bool((distances(np.array([frequency, *others]), shape)[0, 1:] < APART).any())
