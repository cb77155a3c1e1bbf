"""Reclassify constant waves as lattices, profiles, gains or modulated carriers.

Each function takes a channel with constant waves and returns the channel with some of them
reclassified. The shortest description decides.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from napari_periodic_denoise.noise.fitting.envelope import EnvelopeFit, choose_envelope
from napari_periodic_denoise.noise.fitting.evidence import description_length
from napari_periodic_denoise.noise.fitting.gain import GainFit, fit_gain
from napari_periodic_denoise.noise.fitting.gauss_newton import (
    fit_waves,
    polish_waves,
    subtract_waves,
    zero_fit,
)
from napari_periodic_denoise.noise.fitting.profile import fit_profile
from napari_periodic_denoise.noise.fitting.sample import GradientSample, sample_gradient
from napari_periodic_denoise.noise.fitting.schedule import APPROACH, FINAL, REFIT
from napari_periodic_denoise.noise.fitting.standard_errors import standard_errors
from napari_periodic_denoise.noise.progress import Stage, Step
from napari_periodic_denoise.noise.search.acceptance import accept_waves, evidence_threshold
from napari_periodic_denoise.noise.search.channel import (
    FINAL_PIXELS,
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
from napari_periodic_denoise.noise.waves.frequency import (
    SAME_FREQUENCY,
    distances,
    is_near_any,
    is_nyquist,
    onto_nyquist,
    visible_at_nyquist,
)
from napari_periodic_denoise.noise.waves.lattices import fundamental, index_lattice, missing_sites
from napari_periodic_denoise.noise.waves.synthesis import divide_by_gain, synthesize
from napari_periodic_denoise.noise.waves.wave import Order, profile_at_centre, wave_at_centre
from napari_periodic_denoise.noise.wording import plural
from napari_periodic_denoise.runtime.steps import mapped

Steps = Generator[Step, None, ChannelModel]
# benchmarks.rejection and benchmarks.speed check these numbers.
MIN_FINAL, _FINAL_WORK = 60_000, 2_400_000  # pixels, and pixels times waves, of the last fit
SITE_EXCESS = 1.5  # local excess at a missing lattice site, from which on a wave is tried
_GROWTH = 3  # times that the missing sites of a lattice are tried
_LEADING = 1  # number of waves, the strongest, that may multiply
# Size in pixels of the central part, and pixels of its sample, that decide whether a gain is
# fitted to the whole image.
_PART, _PART_PIXELS = 384, 15_000
_MAX_DARK = 0.1  # highest dark level, from the darkest (0) to the median (1) intensity
_CHANGING = 2.0  # local excess of the residual at a wave, from which on an envelope is fitted
_PATIENCE = 2  # failed envelope fits, after which the weaker waves are not tried
_DOUBT = 60.0  # nats that an envelope may lack on few pixels and still gain on all
SIDEBAND = 16.0  # cycles across the image; largest distance of a sideband from its carrier
_SIDEBAND_STRENGTH = 0.5  # largest amplitude of a sideband: full modulation has one half


def refine_all(channel: ChannelModel) -> Steps:
    """Tie harmonics and lattices to bases, fit all constant waves finally, and test them."""
    if not len(channel.found):
        return channel
    yield Step(Stage.FIT, "searching for harmonics and lattices")
    full = _last_sample(channel, len(channel.found))
    channel = _tied(channel, full.first(SEARCH_PIXELS))
    found = channel.found
    for step, fit in enumerate(polish_waves(full, found.fit, FINAL)):
        yield Step(Stage.FIT, f"refining {plural(len(fit))}, step {step + 1} of {FINAL.steps}")
        found = replace(found, fit=fit)
    found = _at_nyquist(full, found)
    found, rejected = accept_waves(full, found)
    return replace(channel, found=found, rejected=(*channel.rejected, *rejected))


def with_errors(channel: ChannelModel) -> ChannelModel:
    """Measure the standard errors of the constant added waves, after the last fit."""
    found = channel.found
    errors = np.full((len(found), 4), np.nan) if found.errors is None else found.errors.copy()
    missing = np.asarray(np.isnan(errors).any(1))
    if not missing.any():
        return channel
    sample = _last_sample(channel, int(missing.sum()))
    if not missing.all():
        sample = subtract_waves(sample, found.fit.take(~missing))
    errors[missing] = standard_errors(sample, found.fit.take(missing))
    return replace(channel, found=replace(found, errors=errors))


def _last_sample(channel: ChannelModel, count: int) -> GradientSample:
    """Sample, without all other waves, for the last fit of a number of constant waves."""
    image = channel.before_constant()
    full = channel.sample if image is channel.pixels else channel.sample.of(image)
    return full.first(max(MIN_FINAL, _FINAL_WORK // count))


def _at_nyquist(sample: GradientSample, found: Found) -> Found:
    """Replace beats near the Nyquist frequency by signs of odd and even pixels.

    A beat has four unknowns, of which the pixels hardly tell two apart, so that its amplitude may
    be any. Signs have one. The shorter description decides.
    """
    moved = zero_fit(onto_nyquist(found.fit.bases, sample.shape), found.fit.ties)
    frequencies = moved.frequencies
    signs = is_nyquist(frequencies)
    if not (signs & ~is_nyquist(found.fit.frequencies)).any():
        return found
    # two beats may describe the same signs
    near = distances(frequencies, sample.shape) < SAME_FREQUENCY
    keep = ~(np.triu(near, 1).any(0) & signs)
    fewer = replace(found, fit=moved).take(keep)
    *_, fit = polish_waves(sample, fit_waves(sample, fewer.fit), REFIT, move=False)
    visible = visible_at_nyquist(fit.coefficients, frequencies[keep], sample.shape)
    fewer = replace(fewer, fit=replace(fit, coefficients=visible))
    beats, without = (
        description_length(sample, subtract_waves(sample, each).gradient, unknowns)
        for each, unknowns in (
            (found.fit, 4 * len(found)),
            (fewer.fit, 4 * len(fewer) - 3 * int(signs[keep].sum())),
        )
    )
    return fewer if without < beats else found


def _tied(channel: ChannelModel, few: GradientSample) -> ChannelModel:
    """Let waves share base frequencies, and add missing waves of a lattice."""
    found = channel.found
    bases, ties = index_lattice(
        found.fit.frequencies, np.abs(found.fit.coefficients), channel.shape
    )
    if len(bases) == len(found):
        return channel
    *_, fit = polish_waves(few, fit_waves(few, zero_fit(bases, ties)), REFIT)
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
    """Add waves at missing lattice sites that have a residual."""
    found = channel.found
    missing = missing_sites(found.fit.bases, found.fit.ties, channel.shape)
    if len(missing):
        excess = local_excess(residual_edges(channel), missing @ found.fit.bases)
        missing = missing[excess > SITE_EXCESS]
    if not len(missing):
        return channel
    fit = zero_fit(found.fit.bases, np.concatenate([found.fit.ties, missing]))
    # a lattice site was not searched among all frequencies, so it has the lattice's false alarms
    alarms = np.full(len(missing), found.false_alarms.max())
    grown = Found(
        fit_waves(few, fit), np.concatenate([found.false_alarms, alarms]), np.zeros(len(fit))
    )
    return replace(channel, found=accept_waves(few, grown)[0])


def fold(channel: ChannelModel) -> Steps:
    """Replace harmonics by one profile if that shortens the description."""
    found, shape = channel.found, channel.shape
    hint = fundamental(found.fit.frequencies, np.abs(found.fit.coefficients), shape)
    if hint is None:
        return channel
    base, members = hint
    if is_near_any(base, channel.folded, shape):
        return channel
    channel = replace(channel, folded=(*channel.folded, base))
    others = replace(channel, found=found.take(~members))
    sample = channel.sample.of(others.residual())
    folds = fit_profile(sample, base, found.fit.take(members))
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
    return reconsidered(replace(others, settled=(*channel.settled, wave)))


def multiply(channel: ChannelModel, *, forced: bool) -> Steps:
    """Let constant waves multiply if that shortens the description.

    With ``forced`` all waves multiply that can.
    """
    clean: torch.Tensor | None = None
    while True:
        found = channel.found
        for carrier in np.argsort(-np.abs(found.fit.coefficients))[:_LEADING]:
            frequency = found.fit.frequencies[carrier]
            if not is_near_any(frequency, channel.multiplied, channel.shape):
                break
        else:
            return channel
        yield Step(Stage.FIT, "testing whether the noise follows the brightness")
        if clean is None:
            clean = channel.residual()
        tried = replace(channel, multiplied=(*channel.multiplied, frequency))
        channel = yield from _multiplied(tried, clean, int(carrier), forced=forced)
        if channel is not tried:
            clean = None


def _multiplied(
    channel: ChannelModel, clean: torch.Tensor, carrier: int, *, forced: bool
) -> Steps:
    """Let one constant wave and its sidebands multiply.

    The function returns the channel itself if they do not.
    """
    found, shape = channel.found, channel.shape
    parts = distances(found.fit.frequencies, shape)[carrier] < SIDEBAND
    wave, beside = found.take(np.arange(len(parts)) == carrier), found.take(parts)
    levels = channel.sample.levels(channel.pixels)
    # numpy's quantile takes a third of the time of torch's, which sorts
    darkest, middle = np.quantile(levels.cpu().numpy(), (0.01, 0.5)).tolist()
    dark = min(channel.zero, darkest) if channel.dark is None else channel.dark
    if middle <= dark:
        return channel
    relative = replace(wave.fit, coefficients=wave.fit.coefficients / (middle - dark))
    fit = GainFit(channel.gains.fit.join(relative), dark, math.inf)
    gains = channel.gains.join(wave)

    for whole in (False, True):  # a part of the image is enough to reject
        region = clean if whole else _middle(clean)
        size = region.shape[0], region.shape[1]
        gain = synthesize(channel.gains.waves(size, channel.dark), size, clean.device).add_(1)
        # the image with these waves alone
        lit = synthesize(beside.waves(size), size, clean.device).add_(region)
        lit.sub_(dark).mul_(gain).add_(dark)
        if whole:
            sample = channel.sample.of(lit)
            # the guide is the image, cleaned by the fit to a part
            region = divide_by_gain(lit, replace(gains, fit=fit.waves).waves(shape, fit.dark))
        else:
            sample = sample_gradient(lit, _PART_PIXELS, 0, channel.sample.quantum)
        yield Step(Stage.FIT, "fitting waves that follow the brightness")
        *_, fit = fit_gain(lit, region, sample, fit, REFIT if whole else APPROACH)
        # division by the gain has amplified the random noise where the light is weak
        residual = sample.of(clean if whole else _middle(clean)).gradient * sample.levels(gain)
        unknowns = 4 * (len(channel.gains) + len(beside))
        before = description_length(sample, residual, unknowns)
        margin = evidence_threshold([sample]) if whole else 0.0
        if not forced and fit.description > before - margin:
            return channel
    yield Step(Stage.FIT, "fitting waves that follow the brightness")
    clean = divide_by_gain(lit, replace(gains, fit=fit.waves).waves(shape, fit.dark))
    *_, fit = fit_gain(lit, clean, sample, fit, REFIT)
    largest = float(np.abs(fit.waves.coefficients).sum())
    darkest += _MAX_DARK * (middle - darkest)
    if largest >= 1 or not 2 * channel.zero - middle < fit.dark < darkest:
        return channel
    if not forced:
        envelope = yield from _enveloped(sample, wave, before)
        if envelope is not None and envelope.description < fit.description:
            return channel
    # a multiplied specimen was found as sidebands of the wave
    gains = replace(gains, fit=fit.waves)
    return reconsidered(replace(channel, found=found.take(~parts), gains=gains, dark=fit.dark))


def _middle(image: torch.Tensor) -> torch.Tensor:
    """Crop an image about its centre to at most about `_PART` pixels a side."""
    top, left = (max(0, (n - _PART) // 2) for n in image.shape)
    return image[top : image.shape[0] - top, left : image.shape[1] - left]


def modulate(channel: ChannelModel) -> Steps:
    """Give an envelope to waves that are not constant.

    The function returns the channel itself if all are constant.
    """
    if not len(channel.found):
        return channel
    yield Step(Stage.DETECT, "searching for drift and fading")
    shape, device, frequencies = (
        channel.shape,
        channel.pixels.device,
        channel.found.fit.frequencies,
    )
    maps = residual_edges(channel)
    at, beside = local_energy(maps, frequencies)
    tiny = np.finfo(np.float32).tiny
    excess = at / np.maximum(beside, tiny)
    clumped = beside / max(independent_energy(maps), tiny)
    near = distances(frequencies, shape) < SIDEBAND
    strength = np.abs(channel.found.fit.coefficients)
    # a wave that changes leaves a residual, or was found together with weaker sidebands
    sidebands = near & (strength < _SIDEBAND_STRENGTH * strength[:, None])
    suspect = (near & (excess > _CHANGING)).any(1) | sidebands.any(1)
    failures = 0
    while suspect.any() and failures < _PATIENCE:
        found = channel.found
        carrier = int(np.where(suspect, np.abs(found.fit.coefficients), 0).argmax())
        parts = near[carrier]
        wave = found.take(np.arange(len(parts)) == carrier)
        residual = channel.residual()
        constant = channel.sample.of(residual)
        sample = channel.sample.of(
            residual + synthesize(found.take(parts).waves(shape), shape, device)
        )
        unknowns = 4 * int(parts.sum())
        fit = None
        # few pixels are enough to reject, with a margin for what more pixels would add
        for count, doubt in ((SEARCH_PIXELS, _DOUBT), (FINAL_PIXELS, 0.0)):
            some = constant.first(count)
            before = description_length(some, some.gradient, unknowns)
            fit = yield from _enveloped(
                sample.first(count), wave, before + doubt, float(clumped[carrier])
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


def residual_edges(channel: ChannelModel) -> torch.Tensor:
    """Clipped differences of the residual, shape (2, H − 1, W − 1)."""
    return channel.counted(edges(channel.residual()))


def _enveloped(
    sample: GradientSample, wave: Found, description: float, clumped: float = 1.0
) -> Generator[Step, None, EnvelopeFit | None]:
    """Fit an envelope to one wave, see `choose_envelope`."""
    coefficient = complex(wave.fit.coefficients[0])
    tries = choose_envelope(sample, wave.fit.frequencies[0], coefficient, description, clumped)

    def step(order: Order) -> Step:
        return Step(Stage.FIT, f"fitting drift and fading of order {order[0]}, {order[1]}")

    return (yield from mapped(tries, step))


def reconsidered(channel: ChannelModel) -> ChannelModel:
    """Fit and test the constant waves again, after other waves have changed."""
    channel = refit(channel)
    if not len(channel.found):
        return channel
    found, rejected = accept_waves(channel.sample.of(channel.before_constant()), channel.found)
    return replace(channel, found=found, rejected=(*channel.rejected, *rejected))
