"""One noise model for all planes of a stack.

The spectral Gram matrices of sampled planes are summed, so noise that is too weak in each plane
stands out in the sum. A wave has one frequency in all planes, and an amplitude and phase in each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_periodic_denoise.noise.assemble import ChannelNoise, assemble_estimate
from napari_periodic_denoise.noise.fitting.evidence import evidence, independent_images
from napari_periodic_denoise.noise.fitting.gauss_newton import (
    fit_waves,
    polish_together,
    polish_waves,
    subtract_waves,
    zero_fit,
)
from napari_periodic_denoise.noise.fitting.sample import GradientSample, sample_gradient
from napari_periodic_denoise.noise.fitting.schedule import APPROACH, FINAL, REFIT, Schedule
from napari_periodic_denoise.noise.input import Normalized, as_image, normalize
from napari_periodic_denoise.noise.lines.channels import (
    lines_before_waves,
    lines_beside_waves,
    without_lines,
)
from napari_periodic_denoise.noise.lines.result import LineNoise
from napari_periodic_denoise.noise.outcome import Outcome, kept, removed
from napari_periodic_denoise.noise.progress import Progress, Stage, Step
from napari_periodic_denoise.noise.result import NoiseEstimate
from napari_periodic_denoise.noise.search.acceptance import assess_waves
from napari_periodic_denoise.noise.search.channel import (
    SEARCH_PIXELS,
    ChannelModel,
    Found,
    no_waves,
)
from napari_periodic_denoise.noise.search.crystal import with_suggestions
from napari_periodic_denoise.noise.search.find import (
    KNOWN_WAVE_EVIDENCE,
    find_waves,
    fit_candidates,
)
from napari_periodic_denoise.noise.statistics.peaks import Candidate, Spectrum, find_peaks
from napari_periodic_denoise.noise.statistics.spectra import feature_extractor
from napari_periodic_denoise.noise.waves.frequency import Float, is_near_any
from napari_periodic_denoise.noise.waves.synthesis import synthesize
from napari_periodic_denoise.noise.waves.wave import Rejected, Wave
from napari_periodic_denoise.noise.wording import plural
from napari_periodic_denoise.runtime.device import resolve_device
from napari_periodic_denoise.runtime.steps import mapped

#: Reads a plane of a stack by its number.
Read = Callable[[int], Any]
#: Returns the normalised channels of a plane by its number.
ReadChannels = Callable[[int], list[Normalized]]
#: Noise of rows and columns of each channel of the planes that were read.
Lines = dict[int, list[list[LineNoise]]]

# benchmarks.shared and benchmarks.stacks check these numbers.
MAX_SAMPLED = 32  # planes in which frequencies are found; power of 32 planes scatters by 18%
_WINDOW = 6  # neighbouring planes that share their frequencies although these drift
_PIXELS = 200_000  # pixels per plane for the evidence
_JOINT_PIXELS = 1_000_000  # pixels of all planes together for the fit of frequencies
# Pixels of one plane for the fit of amplitudes: shared among its waves, at least, and at first.
_PLANE_PIXELS, _MIN_PIXELS, _ROUGH_PIXELS = 100_000, 45_000, 8_000
_EXAMPLES = 3  # planes with the strongest waves, which decide whether waves are constant
_ROUNDS = 12  # upper limit; the search ends when a round finds no candidate
_BATCH = 8  # candidates per joint fit
_ROUGH, _SETTLE = Schedule(3.0, 4), Schedule(0.2, 2)  # amplitudes of a plane: first and last fit
_WIDENING = (1 / 4, 1 / 2, 1.0)  # shares of a plane's size to which a drifting wave is fitted


@dataclass(frozen=True, slots=True, eq=False)
class SharedModel:
    """Waves that the planes of a stack share.

    Attributes
    ----------
    shape : tuple of int
        ``(H, W)`` of a plane.
    planes : ndarray of int64, shape (Q,)
        Planes with known frequencies, ascending. One plane if frequencies do not drift.
    frequencies : ndarray of float64, shape (Q, K, 2)
        Frequency of each wave in these planes, in cycles/pixel.
    false_alarms, evidence : ndarray of float64, shape (K,)
        See `Wave`. They are those of all sampled planes together.
    rejected : tuple of Rejected
        Peaks of the summed spectrum that were not accepted, with the reasons.
    plain : bool
        Whether all waves are constant. Otherwise some have hard edges, multiply, fade or drift
        within a plane, and each plane is searched, starting with these waves.
    features, noise_model, sensitivity, suggestions
        Options of the search, see `find_shared`.
    suggested : tuple of int
        Numbers of the waves that may be part of the specimen. They stay in the image.
    lines : bool
        Whether some sampled planes have noise of rows or columns. Each plane is searched for its
        own then.
    """

    shape: tuple[int, int]
    planes: NDArray[np.int64]
    frequencies: Float
    false_alarms: Float
    evidence: Float
    rejected: tuple[Rejected, ...] = ()
    plain: bool = True
    features: str = "edges"
    noise_model: str = "auto"
    sensitivity: float = 1e-3
    suggestions: str = "keep"
    suggested: tuple[int, ...] = ()
    lines: bool = False

    @property
    def drifts(self) -> bool:
        """Whether frequencies change from plane to plane."""
        return len(self.planes) > 1

    def at(self, plane: int) -> Float:
        """Interpolate the frequencies of a plane, shape (K, 2), in cycles/pixel."""
        flat = self.frequencies.reshape(len(self.planes), -1)
        between = [np.interp(plane, self.planes, column) for column in flat.T]
        return np.array(between, dtype=np.float64).reshape(-1, 2)


def find_shared(
    read: Read,
    count: int,
    *,
    drifting: bool = False,
    channel_axis: int | None = None,
    features: str = "edges",
    noise_model: str = "auto",
    remainder: str = "auto",
    suggestions: str = "keep",
    sensitivity: float = 1e-3,
    seed: int = 0,
    device: str = "auto",
) -> Generator[Step, None, SharedModel]:
    """Find the waves that the planes of a stack share.

    Planes are read one at a time, and again in each round of the search. Only a sample of the
    pixels of each plane stays in memory.

    Parameters
    ----------
    read : function of int to array-like, shape (H, W), or with one more axis of channels
        Returns the plane of a number.
    count : int
        Number of planes.
    drifting : bool
        Whether frequencies drift. Waves are then found in a few planes in the middle, and
        followed through the stack by up to a cycle across the image per sampled plane.
    channel_axis : int, optional
        Axis of a plane's channels. Channels count as planes.
    features : {"edges", "cosines"}
        Features of the spectral Gram matrix.
    noise_model : {"auto", "additive", "multiplicative"}
        Whether waves may or must multiply.
    remainder : {"auto", "none"}
        Whether noise of rows and columns is removed, if there is any.
    suggestions : {"keep", "remove"}
        Treatment of lattices, and of noise of rows and columns, that may be part of the specimen.
    sensitivity : float
        Expected number of false alarms, see `peaks.find_peaks`.
    seed : int
        Seed of the random choice of pixels.
    device : str
        See `estimate_noise`.

    Yields
    ------
    Step
        Before each step.

    Returns
    -------
    SharedModel

    Raises
    ------
    TypeError, ValueError
        If a plane is not a valid image, see `input.as_image`.
    """
    lines: Lines | None = {} if remainder == "auto" else None
    channels_of = _channel_reader(read, channel_axis, resolve_device(device), lines, suggestions)
    spread, chosen = _choose_planes(count, drifting=drifting)
    samples: list[GradientSample] = []
    for plane in chosen:
        yield Step(Stage.READ, f"reading plane {plane + 1}")
        samples += (_sampled(image, seed, _PIXELS) for image in channels_of(int(plane)))
    found, rejected = yield from _search(samples, chosen, channels_of, features, sensitivity)
    model = SharedModel(
        shape=samples[0].shape,
        planes=np.array([chosen[len(chosen) // 2]]),
        frequencies=found[0].fit.frequencies[None],
        false_alarms=found[0].false_alarms,
        evidence=found[0].evidence,
        rejected=rejected,
        features=features,
        noise_model=noise_model,
        sensitivity=sensitivity,
        suggestions=suggestions,
        lines=any(removed(noises) for plane in (lines or {}).values() for noises in plane),
    )
    if not len(found[0]):
        return model
    channels = len(samples) // len(chosen)
    strength = [float(np.sum(np.abs(each.fit.coefficients) ** 2)) for each in found]
    for sample in np.argsort(strength)[::-1][:_EXAMPLES]:
        image = channels_of(int(chosen[sample // channels]))[sample % channels]
        (channel,) = yield from _search_channel(model, model.frequencies[0], image, seed)
        changing = bool(channel.settled or channel.gains)
        suggested = {*model.suggested, *_suggested(channel, model)}
        model = replace(
            model, plain=model.plain and not changing, suggested=tuple(sorted(suggested))
        )
    if drifting:
        model = yield from _followed(model, channels_of, spread, seed)
    return model


def _suggested(channel: ChannelModel, model: SharedModel) -> list[int]:
    """Waves of a model that may be part of the specimen by one of its planes."""
    if model.suggestions != "keep":
        return []
    (waves,) = with_suggestions([channel])
    frequencies = [wave.frequency for wave in kept(waves)]
    return [
        number
        for number, frequency in enumerate(model.frequencies[0])
        if is_near_any(frequency, frequencies, model.shape)
    ]


def _choose_planes(count: int, *, drifting: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose planes spread over the stack, and the planes in which waves are found."""
    spread = np.unique(np.linspace(0, count - 1, min(count, MAX_SAMPLED)).round().astype(int))
    if not drifting:
        return spread, spread
    first = max(0, (count - _WINDOW) // 2)
    return spread, np.arange(first, min(first + _WINDOW, count))


def _channel_reader(
    read: Read,
    channel_axis: int | None,
    device: torch.device,
    lines: Lines | None,
    suggestions: str,
) -> ReadChannels:
    """Return the function that reads and normalises the channels of a plane.

    It removes noise of rows and columns, and puts it into ``lines``, unless this is None.
    """

    def channels_of(plane: int) -> list[Normalized]:
        try:
            array = as_image(read(plane), channel_axis)
        except (TypeError, ValueError) as error:
            raise type(error)(f"plane {plane}: {error}") from error
        channels = array[None] if channel_axis is None else array
        images = [normalize(channel, device) for channel in channels]
        if lines is None:
            return images
        if plane in lines:
            return without_lines(images, lines[plane], suggestions)
        images, lines[plane] = lines_before_waves(images, suggestions)
        return images

    return channels_of


def _search(
    samples: Sequence[GradientSample],
    planes: NDArray[np.int64],
    channels_of: ReadChannels,
    features: str,
    sensitivity: float,
) -> Generator[Step, None, tuple[list[Found], tuple[Rejected, ...]]]:
    """Search waves in the planes' summed spectrum; return them for each sample."""
    shape = samples[0].shape
    found = [no_waves()] * len(samples)
    rejected: tuple[Rejected, ...] = ()
    for _ in range(_ROUNDS):
        spectrum = yield from _summed_spectrum(planes, found, channels_of, features)
        yield Step(Stage.FIT, f"fitting waves to {plural(len(planes), 'plane')}")
        residuals = [subtract_waves(s, each.fit) for s, each in zip(samples, found, strict=True)]
        independent = max(1, int(independent_images(residuals)))
        known = [*found[0].fit.frequencies, *(np.array(r.frequency) for r in rejected)]
        candidates = [
            candidate
            for candidate in find_peaks(spectrum, sensitivity=sensitivity, channels=independent)
            if not is_near_any(candidate.frequency, known, shape)
        ]
        if not candidates:
            break
        accepted, refused = fit_candidates(residuals, candidates[:_BATCH])
        rejected += refused
        if len(accepted[0]):
            found = [old.join(new) for old, new in zip(found, accepted, strict=True)]
            found = yield from _refitted(samples, found, REFIT)
    if len(found[0]):
        found = yield from _refitted(samples, found, FINAL)
        fits, alarms = [each.fit for each in found], found[0].false_alarms
        keep, nats, refused = assess_waves(samples, fits, alarms)
        found = [replace(each, evidence=nats).take(keep) for each in found]
        rejected += refused
    return found, rejected


def _summed_spectrum(
    planes: NDArray[np.int64],
    found: Sequence[Found],
    channels_of: ReadChannels,
    features: str,
) -> Generator[Step, None, Spectrum]:
    """Sum the spectra of the residuals of all planes and channels."""
    extract = feature_extractor(features)
    channels = len(found) // len(planes)
    spectrum: Spectrum | None = None
    for i, plane in enumerate(planes):
        message = f"searching for waves in plane {plane + 1} ({len(found[0])} found)"
        yield Step(Stage.DETECT, message)
        in_plane = found[i * channels : (i + 1) * channels]
        for image, waves in zip(channels_of(int(plane)), in_plane, strict=True):
            spectrum = extract(_residual(image, waves), image.saturated).plus(spectrum)
    assert spectrum is not None
    return spectrum


def iter_estimate_plane(
    model: SharedModel,
    plane: int,
    image: Any,  # noqa: ANN401 - anything array-like
    *,
    channel_axis: int | None = None,
    seed: int = 0,
    device: str = "auto",
) -> Generator[Progress, None, NoiseEstimate]:
    """Estimate the noise of one plane from the waves of the stack, step by step.

    Amplitudes and phases are fitted, and frequencies too if they drift. A wave is omitted in
    channels whose description it does not shorten.

    Parameters
    ----------
    model : SharedModel
    plane : int
        Number of the plane.
    image : array-like, shape (H, W), or with one more axis of channels
        Pixels of the plane.
    channel_axis : int, optional
        Axis of the channels.
    seed : int
        Seed of the random choice of pixels.
    device : str
        See `estimate_noise`.

    Yields
    ------
    Progress

    Returns
    -------
    NoiseEstimate

    Raises
    ------
    TypeError, ValueError
        If the plane is not a valid image (see `input.as_image`), or has another shape.
    """
    array = as_image(image, channel_axis)
    channels = array[None] if channel_axis is None else array
    if channels.shape[1:] != model.shape:
        raise ValueError(
            f"the model needs planes of {model.shape[0]}×{model.shape[1]} pixels; this plane has "
            f"{channels.shape[1]}×{channels.shape[2]}"
        )
    where = resolve_device(device)
    images = [normalize(channel, where) for channel in channels]
    found, searched = [], images
    lines: list[list[LineNoise]] = [[] for _ in images]
    if model.lines:
        message = "searching for noise of rows and columns"
        yield Progress(Stage.DETECT, 0, len(images) + 1, message)
        searched, lines = lines_before_waves(images, model.suggestions)
    for done, image_of in enumerate(searched):
        steps = _waves_in(model, plane, image_of, seed)
        waves = yield from mapped(steps, partial(_progress, done, len(images) + 1))
        found.append(ChannelNoise(_with_outcome(waves, model, plane)))
    if model.lines:
        found = lines_beside_waves(images, lines, found, model.suggestions)
    yield Progress(Stage.SUBTRACT, len(images), len(images) + 1, "subtracting the noise")
    return assemble_estimate(
        channels,
        images,
        found,
        channel_axis=channel_axis,
        settings={
            "method": "aligned",
            "features": model.features,
            "noise_model": model.noise_model,
            "sensitivity": model.sensitivity,
            "suggestions": model.suggestions,
            "model": "drifting" if model.drifts else "shared",
            "plane": int(plane),
            "frequencies": model.at(plane).tolist(),
            "channel_axis": channel_axis,
            "device": str(where),
            "seed": int(seed),
        },
        gram={},
    )


def _with_outcome(waves: Sequence[Wave], model: SharedModel, plane: int) -> list[Wave]:
    """Waves of a plane, of which those that the model only suggests stay in the image."""
    frequencies = [model.at(plane)[number] for number in model.suggested]
    return [
        replace(wave, outcome=Outcome.SUGGESTED)
        if is_near_any(wave.frequency, frequencies, model.shape)
        else wave
        for wave in waves
    ]


def _progress(done: int, total: int, step: Step) -> Progress:
    return Progress(step.stage, done, total, step.message)


def _waves_in(
    model: SharedModel, plane: int, image: Normalized, seed: int
) -> Generator[Step, None, list[Wave]]:
    """Fit the waves of the model to one channel of a plane, in the unit of its pixels."""
    frequencies = model.at(plane)
    if not len(frequencies):
        return []
    yield Step(Stage.FIT, f"fitting {plural(len(frequencies))} of the stack")
    pixels = max(_MIN_PIXELS, _PLANE_PIXELS // len(frequencies))
    sample = _sampled(image, seed, pixels)
    few = sample.first(_ROUGH_PIXELS)
    *_, fit = polish_waves(few, zero_fit(frequencies), _ROUGH, move=False)
    *_, fit = polish_waves(sample, fit, _SETTLE, move=model.drifts)
    if not model.plain:
        (channel,) = yield from _search_channel(model, fit.frequencies, image, seed)
        return channel.waves()
    nats, _ = evidence([sample], [fit])
    found = Found(fit, model.false_alarms, nats).take(nats > KNOWN_WAVE_EVIDENCE)
    return found.waves(model.shape)


def _search_channel(
    model: SharedModel, frequencies: Float, image: Normalized, seed: int
) -> Generator[Step, None, list[ChannelModel]]:
    """Search one channel of a plane, starting with the model's waves."""
    # only the first batch: the search recognises a profile by few harmonics, not by all of them
    known = [
        Candidate((fy, fx), alarms)
        for (fy, fx), alarms in zip(frequencies.tolist(), model.false_alarms.tolist(), strict=True)
    ][:_BATCH]
    return find_waves(
        [image],
        feature_extractor(model.features),
        noise_model=model.noise_model,
        sensitivity=model.sensitivity,
        seed=seed,
        known=known,
    )


def _sampled(image: Normalized, seed: int, count: int) -> GradientSample:
    """Sample the gradient of a plane, at the same pixels in each plane."""
    return sample_gradient(image.pixels, count, seed, image.quantum, image.saturated)


def _residual(image: Normalized, found: Found) -> torch.Tensor:
    """Return a channel without its waves, shape (H, W)."""
    if not len(found):
        return image.pixels
    shape = image.pixels.shape[0], image.pixels.shape[1]
    return image.pixels - synthesize(found.waves(shape), shape, image.pixels.device)


def _refitted(
    samples: Sequence[GradientSample], found: Sequence[Found], schedule: Schedule
) -> Generator[Step, None, list[Found]]:
    """Fit all waves again, jointly, to a part of the samples."""
    few = [sample.first(_JOINT_PIXELS // len(samples)) for sample in samples]
    fits = [each.fit for each in found]
    for fits in polish_together(few, fits, schedule):  # noqa: B020 - each from the last
        yield Step(Stage.FIT, f"refining {plural(len(fits[0]))}")
    return [replace(each, fit=fit) for each, fit in zip(found, fits, strict=True)]


def _followed(
    model: SharedModel,
    channels_of: ReadChannels,
    planes: NDArray[np.int64],
    seed: int,
) -> Generator[Step, None, SharedModel]:
    """Follow the waves of a model from its plane to both ends of the stack."""
    start = int(model.planes[0])
    known = {start: model.frequencies[0]}
    after = [int(plane) for plane in planes if plane > start]
    before = [int(plane) for plane in planes[::-1] if plane < start]
    for onward in (after, before):
        last = [start]
        for plane in onward:
            yield Step(
                Stage.FIT, f"following {plural(len(model.false_alarms))} to plane {plane + 1}"
            )
            expected = known[last[-1]]
            if len(last) > 1:
                rate = (known[last[-1]] - known[last[-2]]) / (last[-1] - last[-2])
                expected = expected + rate * (plane - last[-1])
            samples = [_sampled(image, seed, _PIXELS) for image in channels_of(plane)]
            known[plane] = _fit_near(samples, expected)
            last.append(plane)
    order = sorted(known)
    return replace(
        model,
        planes=np.array(order, dtype=np.int64),
        frequencies=np.array([known[plane] for plane in order]),
    )


def _fit_near(samples: Sequence[GradientSample], expected: Float) -> Float:
    """Fit frequencies in one plane's channels, starting with the expected ones.

    A wave without evidence in the plane keeps its expected frequency.
    """
    fits = [zero_fit(expected)] * len(samples)
    for share in _WIDENING:
        # a fit to a smaller part tolerates a larger error of frequency
        part = [s.central(int(share * max(s.shape))).first(SEARCH_PIXELS) for s in samples]
        fits = [fit_waves(sample, fits[0]) for sample in part]
        *_, fits = polish_together(part, fits, APPROACH)
    nats, _ = evidence(part, fits)
    significant = nats > math.log(sum(map(len, part)))
    return np.where(significant[:, None], fits[0].frequencies, expected)
