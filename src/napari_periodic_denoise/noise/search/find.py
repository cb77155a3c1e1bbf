"""Which waves an image holds: detect, fit, subtract, and again on what is left."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

from napari_periodic_denoise.noise.areas import Rectangle
from napari_periodic_denoise.noise.fitting.evidence import evidence
from napari_periodic_denoise.noise.fitting.gauss_newton import fit_waves, polish_together, unfitted
from napari_periodic_denoise.noise.fitting.sample import GradientSample
from napari_periodic_denoise.noise.input import Normalized
from napari_periodic_denoise.noise.progress import Stage, Step
from napari_periodic_denoise.noise.search.acceptance import assess_waves, evidence_threshold
from napari_periodic_denoise.noise.search.channel import (
    SEARCH_PIXELS,
    ChannelModel,
    Found,
    channel_model,
    outside,
    refit,
)
from napari_periodic_denoise.noise.search.kinds import (
    fold,
    modulate,
    multiply,
    refine_all,
)
from napari_periodic_denoise.noise.search.specimen import (
    reject_incomplete,
    reject_outside_exemplar,
)
from napari_periodic_denoise.noise.statistics.features import edges
from napari_periodic_denoise.noise.statistics.local_energy import present_in_most
from napari_periodic_denoise.noise.statistics.peaks import (
    Candidate,
    Spectrum,
    at_frequencies,
    find_peaks,
)
from napari_periodic_denoise.noise.statistics.spectra import FeatureExtractor
from napari_periodic_denoise.noise.waves.frequency import APART, Frequency, distances
from napari_periodic_denoise.noise.waves.wave import Rejected
from napari_periodic_denoise.noise.wording import Cause, plural

_SEARCH_SIZE = 2048  # pixels a side around the centre, from which a fit is widened step by step
_WIDEN = 4
_ROUNDS = 40
_BATCH = 8
_TRIES = 2
# nats that a wave must save in an image, once others have shown it; chance, whose law is
# exponential, does so in one of 400
TOLD = 6.0
_HOPEFUL = 0.25  # share of the needed evidence that a rough fit must show
APPROACH = (3.0, 6)  # of a Gauss–Newton fit: softening at first, and steps


def find_waves(
    images: Sequence[Normalized],
    extract: FeatureExtractor,
    *,
    noise_model: str,
    sensitivity: float,
    seed: int,
    exemplar: torch.Tensor | None = None,
    known: Sequence[Candidate] = (),
    proposed: Sequence[Frequency] = (),
    clear: Rectangle | None = None,
) -> Generator[Step, None, list[ChannelModel]]:
    """Find all waves of an image that pay for themselves.

    Waves are found as constant ones. Those that others are harmonics of may have hard edges,
    those that follow the brightness may multiply, those that leave something behind may drift
    and fade; each is described by what makes the image's description the shortest.

    Parameters
    ----------
    images : sequence of Normalized
        Channels of one image. Frequencies are looked for in all of them together, in the trace
        of their spectral Gram matrix; each channel keeps the waves that pay in itself.
    extract : FeatureExtractor
        Features that the spectral Gram matrix is taken of.
    noise_model : {"auto", "additive", "multiplicative"}
        Whether waves may, or have to, multiply.
    sensitivity : float
        False alarms to expect, see `detect.find_peaks`.
    seed : int
        Of the random choice of pixels.
    exemplar : Tensor of bool, shape (H, W), optional
        Pixels where only noise is seen: waves that they don't show are not the noise's.
    known : sequence of Candidate
        Waves that are there, as other images tell, and which the search goes on from.
    proposed : sequence of tuple of float
        Frequencies that are examined besides the peaks of the spectrum.
    clear : tuple of int, optional
        Rectangle ``(y0, x0, y1, x1)`` that the spectrum is taken of: in that of an image with
        large gaps, each wave would be drowned in what the gaps make of it.

    Yields
    ------
    stage, message : str
        What is done next.

    Returns
    -------
    list of Channel
        With all their waves, in the unit of their pixels.
    """
    channels = [channel_model(image, seed, exemplar) for image in images]
    for round_ in range(_ROUNDS):
        before = channels
        if known and not round_:
            channels = [_with_known(channel, known) for channel in channels]
        else:
            channels = yield from _grown(channels, extract, sensitivity, proposed, clear)
        if any(len(new.found) > len(old.found) for new, old in zip(channels, before, strict=True)):
            for i, channel in enumerate(channels):
                if channel.found is before[i].found:
                    continue
                channels[i] = yield from fold(channel)
                if noise_model != "additive":
                    forced = noise_model == "multiplicative"
                    channels[i] = yield from multiply(channels[i], forced=forced)
            continue
        changed = False
        for i, channel in enumerate(channels):
            finished = yield from refine_all(channel)
            channels[i] = yield from modulate(finished)
            changed |= channels[i] is not finished
        if not changed:
            break
    for i, channel in enumerate(channels):
        seen = yield from reject_incomplete(channel)
        channels[i] = yield from reject_outside_exemplar(seen)
    return channels


def _with_known(channel: ChannelModel, known: Sequence[Candidate]) -> ChannelModel:
    """Fit waves that are known to be there."""
    few = channel.sample.first(SEARCH_PIXELS)
    fit = fit_waves(few, unfitted(np.array([candidate.frequency for candidate in known])))
    nats, _ = evidence([few], [fit])
    found = Found(fit, np.array([candidate.false_alarms for candidate in known]), nats)
    return refit(replace(channel, found=found.take(nats > TOLD)))


def _grown(
    channels: list[ChannelModel],
    extract: FeatureExtractor,
    sensitivity: float,
    proposed: Sequence[Frequency],
    clear: Rectangle | None,
) -> Generator[Step, None, list[ChannelModel]]:
    """Add some of the constant waves that the channels still hold, and fit all again."""
    shape = channels[0].shape
    waves = [channel.waves() for channel in channels]
    count = max(map(len, waves))
    residuals: list[torch.Tensor] = []
    spectrum: Spectrum | None = None
    for channel in channels:
        yield Step(Stage.DETECT, f"looking for waves ({count} found)")
        residuals.append(channel.residual())
        seen = extract(*_clear_part(residuals[-1], channel.saturated, clear))
        if spectrum is not None:
            seen.power.add_(spectrum.power)
        spectrum = seen
    message = f"looking for waves ({count} found)"
    yield Step(Stage.DETECT, message, residuals=residuals if count else None)
    assert spectrum is not None
    peaks = find_peaks(spectrum, sensitivity=sensitivity, looks=len(channels))
    candidates = [
        candidate
        for candidate in [*peaks, *at_frequencies(spectrum, proposed, looks=len(channels))]
        if any(all(outside(candidate.frequency, w, shape) for w in known) for known in waves)
    ]
    if not candidates:
        return channels
    # a peak at the edge of the half plane has a twin on its other edge
    near = distances(np.array([c.frequency for c in candidates]), shape) < APART
    candidates = [c for i, c in enumerate(candidates) if not near[i, :i].any()]
    # whatever has found them: of differences, each part of the image has its own
    joint = torch.cat([c.counted(edges(r)) for c, r in zip(channels, residuals, strict=True)])
    for start in range(0, len(candidates), _BATCH):
        batch = candidates[start : start + _BATCH]
        yield Step(Stage.FIT, f"fitting {plural(len(batch))} ({count} found)")
        present = present_in_most(joint, batch, _untold(channels))
        absent = tuple(
            Rejected(c.frequency, c.false_alarms, Cause.FEW_PARTS)
            for c in batch
            if c not in present
        )
        for i, channel in enumerate(channels):
            own = [
                c
                for c in present
                if all(outside(c.frequency, w, shape) for w in waves[i])
                and not _hopeless(c, channel)
            ]
            (accepted,), rejected = fit_candidates([channel.sample.of(residuals[i])], own, clear)
            channel = replace(channel, rejected=(*channel.rejected, *absent, *rejected))
            if len(accepted):
                channel = refit(replace(channel, found=channel.found.join(accepted)))
            channels = [*channels[:i], channel, *channels[i + 1 :]]
        if any(len(channel.waves()) > len(w) for channel, w in zip(channels, waves, strict=True)):
            break
    return channels


def _hopeless(candidate: Candidate, channel: ChannelModel) -> bool:
    """Whether a peak has been rejected again and again, while other waves were found."""
    places = np.array([candidate.frequency, *(r.frequency for r in channel.rejected)])
    near = distances(places, channel.shape)[0, 1:] < 0.5 * APART
    return int(near.sum()) >= _TRIES


def _clear_part(
    image: torch.Tensor, saturated: torch.Tensor | None, clear: Rectangle | None
) -> tuple[torch.Tensor, torch.Tensor | None]:
    if clear is None:
        return image, saturated
    y0, x0, y1, x1 = clear
    return image[y0:y1, x0:x1], None if saturated is None else saturated[y0:y1, x0:x1]


def _untold(channels: Sequence[ChannelModel]) -> torch.Tensor | None:
    """Pixels of which no channel tells anything."""
    masks = [channel.saturated for channel in channels if channel.saturated is not None]
    return torch.stack(masks).all(0) if len(masks) == len(channels) else None


def fit_candidates(
    samples: Sequence[GradientSample],
    candidates: Sequence[Candidate],
    clear: Rectangle | None = None,
) -> tuple[list[Found], tuple[Rejected, ...]]:
    """Those of the candidates that pay for themselves, fitted to what is left of images.

    Parameters
    ----------
    samples : sequence of GradientSample
        Of images that share the waves' frequencies.
    candidates : sequence of Candidate
    clear : tuple of int, optional
        Rectangle ``(y0, x0, y1, x1)`` that the candidates were found in.

    Returns
    -------
    found : list of Found
        The same waves in each image.
    rejected : tuple of Rejected
    """
    alarms = np.array([candidate.false_alarms for candidate in candidates])
    trial = unfitted(np.array([candidate.frequency for candidate in candidates]))
    if not candidates:
        return [Found(trial, alarms, alarms)] * len(samples), ()
    parts = _widening(samples, clear)
    few = next(parts)
    fits = [fit_waves(each, trial) for each in few]
    # a candidate off by a fraction of a cycle still saves a good part of what it can
    nats, _ = evidence(few, fits)
    hopeful = nats > _HOPEFUL * evidence_threshold(few)
    hopeless = tuple(
        Rejected(candidate.frequency, candidate.false_alarms, Cause.NO_GAIN)
        for candidate, keep in zip(candidates, hopeful, strict=True)
        if not keep
    )
    fits, alarms = [fit.take(hopeful) for fit in fits], alarms[hopeful]
    if not len(alarms):
        return [Found(fit, alarms, alarms) for fit in fits], hopeless
    *_, fits = polish_together(few, fits, *APPROACH)
    for few in parts:
        *_, fits = polish_together(few, fits, *APPROACH)
    keep, nats, rejected = assess_waves(samples, fits, alarms)
    found = [Found(fit, alarms, nats).take(keep) for fit in fits]
    return found, (*hopeless, *rejected)


def _widening(
    samples: Sequence[GradientSample], clear: Rectangle | None
) -> Iterator[list[GradientSample]]:
    """Samples of ever larger parts of images, up to all of them.

    A peak's frequency is not known well enough to follow a wave over a long image at once.
    """
    shape, size = samples[0].shape, _SEARCH_SIZE
    y0, x0, y1, x1 = (0, 0, *shape) if clear is None else clear
    while True:
        top, left = (max(0, (length - size) // 2) for length in (y1 - y0, x1 - x0))
        part = y0 + top, x0 + left, y1 - top, x1 - left
        yield [sample.within(part).first(SEARCH_PIXELS) for sample in samples]
        if size >= max(y1 - y0, x1 - x0):
            break
        size *= _WIDEN
    if clear is not None:
        yield [sample.first(SEARCH_PIXELS) for sample in samples]
