"""Search for waves: detect, fit and subtract, then repeat on the residual."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

from napari_periodic_denoise.noise.areas import Rectangle
from napari_periodic_denoise.noise.fitting.evidence import evidence
from napari_periodic_denoise.noise.fitting.gauss_newton import fit_waves, polish_together, zero_fit
from napari_periodic_denoise.noise.fitting.sample import GradientSample
from napari_periodic_denoise.noise.fitting.schedule import APPROACH
from napari_periodic_denoise.noise.input import Normalized
from napari_periodic_denoise.noise.progress import Stage, Step
from napari_periodic_denoise.noise.search.acceptance import assess_waves, evidence_threshold
from napari_periodic_denoise.noise.search.channel import (
    SEARCH_PIXELS,
    ChannelModel,
    Found,
    channel_model,
    is_separate,
    refit,
)
from napari_periodic_denoise.noise.search.fringes import follow_fringes
from napari_periodic_denoise.noise.search.kinds import (
    fold,
    modulate,
    multiply,
    refine_all,
    with_errors,
)
from napari_periodic_denoise.noise.search.prints import follow_tones
from napari_periodic_denoise.noise.search.specimen import (
    reject_incomplete,
    reject_outside_exemplar,
)
from napari_periodic_denoise.noise.search.weak import find_weak
from napari_periodic_denoise.noise.statistics.features import edges
from napari_periodic_denoise.noise.statistics.local_energy import present_in_most
from napari_periodic_denoise.noise.statistics.peaks import (
    Candidate,
    Spectrum,
    at_frequencies,
    find_peaks,
    find_smeared,
)
from napari_periodic_denoise.noise.statistics.spectra import FeatureExtractor
from napari_periodic_denoise.noise.waves.frequency import (
    SAME_FREQUENCY,
    SAME_WAVE,
    Frequency,
    distances,
)
from napari_periodic_denoise.noise.waves.wave import Rejected
from napari_periodic_denoise.noise.wording import Cause, plural

# Pixels a side around the centre, to which a wave is fitted first. A peak is known to a few
# tenths of a bin of 1024 pixels, which is well below a cycle over twice as many.
_SEARCH_SIZE = 2048
_WIDEN = 4  # factor of the next size (benchmarks.stacks, benchmarks.field: large images)
_ROUNDS = 40  # upper limit; the search ends when a round changes nothing
_BATCH = 8  # candidates per joint fit; the residual is searched again when one is accepted
_TRIES = 2  # rejections of the same peak, after which it is no longer a candidate
# Nats that a wave must save in an image if other images prove that it exists. The chance law is
# exponential: e⁻⁶ is one in 400.
KNOWN_WAVE_EVIDENCE = 6.0
_ROUGH_SHARE = 0.25  # of the evidence threshold; a fit off by ¼ cycle still saves that much


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
    """Find all waves of an image that shorten its description.

    All waves are first found as constant waves. Waves with harmonics may become a hard-edged
    profile. Waves that follow the brightness may multiply. Waves that leave a residual may
    drift and fade. The shortest description decides.

    Parameters
    ----------
    images : sequence of Normalized
        Channels of one image. Frequencies are detected in all channels together, in the trace of
        their spectral Gram matrix. Each channel keeps the waves with evidence in that channel.
    extract : FeatureExtractor
        Features of the spectral Gram matrix.
    noise_model : {"auto", "additive", "multiplicative"}
        Whether waves may or must multiply.
    sensitivity : float
        Expected number of false alarms, see `peaks.find_peaks`.
    seed : int
        Seed of the random choice of pixels.
    exemplar : Tensor of bool, shape (H, W), optional
        Pixels that contain only noise. Waves that they do not show are rejected.
    known : sequence of Candidate
        Waves that other images prove to exist. The search starts with them.
    proposed : sequence of tuple of float
        Frequencies ``(fy, fx)`` in cycles/pixel to test in addition to the peaks.
    clear : tuple of int, optional
        Rectangle ``(y0, x0, y1, x1)`` for the spectrum. The spectrum of an image with large gaps
        spreads each wave.

    Yields
    ------
    Step
        Before each step.

    Returns
    -------
    list of ChannelModel
        Models with all waves, in the unit of their pixels.
    """
    channels = [channel_model(image, seed, exemplar) for image in images]
    spectrum: Spectrum | None = None
    for round_ in range(_ROUNDS):
        before = channels
        if known and not round_:
            channels = [_with_known(channel, known) for channel in channels]
        else:
            search = _add_waves(channels, extract, sensitivity, proposed, clear)
            channels, spectrum = yield from search
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
        if changed:
            continue
        smeared = [] if spectrum is None else find_smeared(spectrum, channels=len(channels))
        for i, channel in enumerate(channels):
            channels[i] = yield from follow_fringes(channel, smeared)
            changed |= len(channels[i].settled) > len(channel.settled)
        if changed:
            continue
        for i, channel in enumerate(channels):
            channels[i] = yield from follow_tones(channel)
            changed |= channels[i].settled is not channel.settled
        if not changed:
            break
    for i, channel in enumerate(channels):
        yield Step(Stage.DETECT, "searching for waves weaker than the random noise")
        channels[i] = find_weak(channel, sensitivity)
    for i, channel in enumerate(channels):
        complete = yield from reject_incomplete(channel)
        channels[i] = with_errors((yield from reject_outside_exemplar(complete)))
    return channels


def _with_known(channel: ChannelModel, known: Sequence[Candidate]) -> ChannelModel:
    """Fit waves that are known to exist."""
    few = channel.sample.first(SEARCH_PIXELS)
    fit = fit_waves(few, zero_fit(np.array([candidate.frequency for candidate in known])))
    nats, _ = evidence([few], [fit])
    found = Found(fit, np.array([candidate.false_alarms for candidate in known]), nats)
    return refit(replace(channel, found=found.take(nats > KNOWN_WAVE_EVIDENCE)))


def _add_waves(
    channels: list[ChannelModel],
    extract: FeatureExtractor,
    sensitivity: float,
    proposed: Sequence[Frequency],
    clear: Rectangle | None,
) -> Generator[Step, None, tuple[list[ChannelModel], Spectrum]]:
    """Find some more constant waves in the residuals, and fit all waves again.

    The function also returns the spectrum of the residuals before that.
    """
    shape = channels[0].shape
    waves = [channel.waves() for channel in channels]
    count = max(map(len, waves))
    residuals: list[torch.Tensor] = []
    spectrum: Spectrum | None = None
    for channel in channels:
        yield Step(Stage.DETECT, f"searching for waves ({count} found)")
        residuals.append(channel.residual())
        spectrum = extract(*_clear_part(residuals[-1], channel.saturated, clear)).plus(spectrum)
    message = f"searching for waves ({count} found)"
    yield Step(Stage.DETECT, message, residuals=residuals if count else None)
    assert spectrum is not None
    peaks = find_peaks(spectrum, sensitivity=sensitivity, channels=len(channels))
    candidates = [
        candidate
        for candidate in [*peaks, *at_frequencies(spectrum, proposed, channels=len(channels))]
        if any(all(is_separate(candidate.frequency, w, shape) for w in known) for known in waves)
    ]
    if not candidates:
        return channels, spectrum
    # a peak at the edge of the half plane has a twin on its other edge
    near = distances(np.array([c.frequency for c in candidates]), shape) < SAME_WAVE
    candidates = [c for i, c in enumerate(candidates) if not near[i, :i].any()]
    # first differences, for any features: they are local
    joint = torch.cat([c.counted(edges(r)) for c, r in zip(channels, residuals, strict=True)])
    for start in range(0, len(candidates), _BATCH):
        batch = candidates[start : start + _BATCH]
        yield Step(Stage.FIT, f"fitting {plural(len(batch))} ({count} found)")
        present = present_in_most(joint, batch, _ignored(channels))
        absent = tuple(
            Rejected(c.frequency, c.false_alarms, Cause.FEW_PARTS)
            for c in batch
            if c not in present
        )
        for i, channel in enumerate(channels):
            remaining = [
                c
                for c in present
                if all(is_separate(c.frequency, w, shape) for w in waves[i])
                and not _often_rejected(c, channel)
            ]
            sample = channel.sample.of(residuals[i])
            (accepted,), rejected = fit_candidates([sample], remaining, clear)
            channel = replace(channel, rejected=(*channel.rejected, *absent, *rejected))
            if len(accepted):
                channel = refit(replace(channel, found=channel.found.join(accepted)))
            channels = [*channels[:i], channel, *channels[i + 1 :]]
        if any(len(channel.waves()) > len(w) for channel, w in zip(channels, waves, strict=True)):
            break
    return channels, spectrum


def _often_rejected(candidate: Candidate, channel: ChannelModel) -> bool:
    """Whether a peak has been rejected several times, while other waves were found."""
    frequencies = np.array([candidate.frequency, *(r.frequency for r in channel.rejected)])
    near = distances(frequencies, channel.shape)[0, 1:] < SAME_FREQUENCY
    return int(near.sum()) >= _TRIES


def _clear_part(
    image: torch.Tensor, saturated: torch.Tensor | None, clear: Rectangle | None
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Crop an image and its mask to a rectangle."""
    if clear is None:
        return image, saturated
    y0, x0, y1, x1 = clear
    return image[y0:y1, x0:x1], None if saturated is None else saturated[y0:y1, x0:x1]


def _ignored(channels: Sequence[ChannelModel]) -> torch.Tensor | None:
    """Pixels that are saturated or protected in all channels."""
    masks = [channel.saturated for channel in channels if channel.saturated is not None]
    return torch.stack(masks).all(0) if len(masks) == len(channels) else None


def fit_candidates(
    samples: Sequence[GradientSample],
    candidates: Sequence[Candidate],
    clear: Rectangle | None = None,
) -> tuple[list[Found], tuple[Rejected, ...]]:
    """Fit candidates to residuals, and accept those that shorten the description.

    Parameters
    ----------
    samples : sequence of GradientSample
        Samples of the residuals of images that share the waves' frequencies.
    candidates : sequence of Candidate
    clear : tuple of int, optional
        Rectangle ``(y0, x0, y1, x1)`` in which the candidates were found.

    Returns
    -------
    found : list of Found
        The same waves in each image.
    rejected : tuple of Rejected
    """
    alarms = np.array([candidate.false_alarms for candidate in candidates])
    trial = zero_fit(np.array([candidate.frequency for candidate in candidates]))
    if not candidates:
        return [Found(trial, alarms, alarms)] * len(samples), ()
    parts = _widening(samples, clear)
    few = next(parts)
    fits = [fit_waves(each, trial) for each in few]
    # a candidate with a frequency error of a fraction of a cycle still saves a good part
    nats, _ = evidence(few, fits)
    promising = nats > _ROUGH_SHARE * evidence_threshold(few)
    no_gain = tuple(
        Rejected(candidate.frequency, candidate.false_alarms, Cause.NO_GAIN)
        for candidate, keep in zip(candidates, promising, strict=True)
        if not keep
    )
    fits, alarms = [fit.take(promising) for fit in fits], alarms[promising]
    if not len(alarms):
        return [Found(fit, alarms, alarms) for fit in fits], no_gain
    *_, fits = polish_together(few, fits, APPROACH)
    for few in parts:
        *_, fits = polish_together(few, fits, APPROACH)
    keep, nats, rejected = assess_waves(samples, fits, alarms)
    found = [Found(fit, alarms, nats).take(keep) for fit in fits]
    return found, (*no_gain, *rejected)


def _widening(
    samples: Sequence[GradientSample], clear: Rectangle | None
) -> Iterator[list[GradientSample]]:
    """Yield samples of larger and larger parts of images, up to the whole images.

    The frequency of a peak is not exact enough for a fit to a large image at once.
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
