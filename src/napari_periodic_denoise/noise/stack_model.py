"""One model for all planes of a stack: which waves there are is told by many planes together.

The spectral Gram matrices of sampled planes are summed, so that noise too weak for any one plane
stands out; a wave has one frequency in all planes, and its own amplitude and phase in each.
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
    unfitted,
)
from napari_periodic_denoise.noise.fitting.sample import GradientSample, sample_gradient
from napari_periodic_denoise.noise.input import Normalized, as_image, normalize
from napari_periodic_denoise.noise.progress import Progress, Stage, Step
from napari_periodic_denoise.noise.result import NoiseEstimate
from napari_periodic_denoise.noise.search.acceptance import assess_waves
from napari_periodic_denoise.noise.search.channel import (
    REFIT,
    SEARCH_PIXELS,
    ChannelModel,
    Found,
    no_waves,
)
from napari_periodic_denoise.noise.search.find import APPROACH, TOLD, find_waves, fit_candidates
from napari_periodic_denoise.noise.statistics.peaks import Candidate, Spectrum, find_peaks
from napari_periodic_denoise.noise.statistics.spectra import feature_extractor
from napari_periodic_denoise.noise.waves.frequency import APART, distances
from napari_periodic_denoise.noise.waves.synthesis import synthesize
from napari_periodic_denoise.noise.waves.wave import Rejected, Wave
from napari_periodic_denoise.noise.wording import plural
from napari_periodic_denoise.runtime.device import resolve_device
from napari_periodic_denoise.runtime.steps import mapped

Float = NDArray[np.float64]

#: Reads a plane of a stack, given its number.
Read = Callable[[int], Any]

SAMPLED = 32  # planes, at most, that frequencies are found in
_WINDOW = 6  # planes side by side that share their frequencies, though these drift
_PIXELS = 200_000  # of each plane, that tell whether there is a wave
_JOINT_PIXELS = 1_000_000  # of all planes, that frequencies are fitted to
# pixels of one plane, that all its waves together are fitted to; at least, and at first
_PLANE_PIXELS, _LEAST, _FEW = 100_000, 45_000, 8_000
_EXAMPLES = 3  # planes, with the strongest waves, that tell whether these are constant
_ROUNDS = 12
_BATCH = 8
# of a Gauss–Newton fit: softening at first, and steps
_FINISH, _ROUGH, _SETTLE = (0.2, 5), (3.0, 4), (0.2, 2)
_WIDER = (1 / 4, 1 / 2, 1.0)  # of a plane's size, that a drifting wave is followed over


@dataclass(frozen=True, slots=True, eq=False)
class SharedModel:
    """Waves that the planes of a stack share.

    Attributes
    ----------
    shape : tuple of int
        ``(H, W)`` of a plane.
    planes : ndarray of int64, shape (Q,)
        Planes at which frequencies are known, ascending; one, where these don't drift.
    frequencies : ndarray of float64, shape (Q, K, 2)
        Of each wave there, in cycles/pixel.
    false_alarms, evidence : ndarray of float64, shape (K,)
        See `Wave`; of all sampled planes together.
    rejected : tuple of Rejected
        Peaks of the summed spectrum that were not taken for waves, and why.
    plain : bool
        Whether the waves are constant ones. If they have hard edges, multiply, fade or drift
        within a plane, each plane is searched, from these waves on.
    features, noise_model, sensitivity
        That they were found with, see `find_shared`.
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

    @property
    def drifts(self) -> bool:
        """Whether frequencies change from plane to plane."""
        return len(self.planes) > 1

    def at(self, plane: int) -> Float:
        """Frequencies in a plane, between those that are known; shape (K, 2)."""
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
    sensitivity: float = 1e-3,
    seed: int = 0,
    device: str = "auto",
) -> Generator[Step, None, SharedModel]:
    """Find the waves that the planes of a stack share.

    Planes are read one at a time, and again in each round of the search; of each only a sample
    of its pixels is held.

    Parameters
    ----------
    read : function of int to array-like, shape (H, W), or with one more axis of channels
        Plane of that number.
    count : int
        Number of planes.
    drifting : bool
        Waves are found in a few planes in the middle, and followed from there through the
        stack, by as much as a cycle across the image from one sampled plane to the next.
    channel_axis : int, optional
        Axis of a plane's channels, which count as planes.
    features : {"edges", "cosines"}
        What the spectra are taken of.
    noise_model : {"auto", "additive", "multiplicative"}
        Whether waves may, or have to, multiply.
    sensitivity : float
        False alarms to expect, see `detect.find_peaks`.
    seed : int
        Of the random choice of pixels.
    device : str
        See `estimate_noise`.

    Yields
    ------
    stage, message : str
        What is done next.

    Returns
    -------
    SharedModel

    Raises
    ------
    TypeError, ValueError
        If a plane can't be taken, see `images.as_image`.
    """
    where = resolve_device(device)
    spread = np.unique(np.linspace(0, count - 1, min(count, SAMPLED)).round().astype(int))
    chosen = spread
    if drifting:
        first = max(0, (count - _WINDOW) // 2)
        chosen = np.arange(first, min(first + _WINDOW, count))

    def images_of(plane: int) -> list[Normalized]:
        try:
            array = as_image(read(plane), channel_axis)
        except (TypeError, ValueError) as error:
            error.add_note(f"This is about plane {plane} of the stack.")
            raise
        channels = array[None] if channel_axis is None else array
        return [normalize(channel, where) for channel in channels]

    samples: list[GradientSample] = []
    for plane in chosen:
        yield Step(Stage.READ, f"reading plane {plane + 1}")
        samples += (_sampled(image, seed, _PIXELS) for image in images_of(int(plane)))
    shape, channels = samples[0].shape, len(samples) // len(chosen)
    extract = feature_extractor(features)
    found = [no_waves()] * len(samples)
    rejected: tuple[Rejected, ...] = ()
    for _ in range(_ROUNDS):
        spectrum: Spectrum | None = None
        for i, plane in enumerate(chosen):
            yield Step(
                Stage.DETECT, f"looking for waves in plane {plane + 1} ({len(found[0])} found)"
            )
            own = found[i * channels : (i + 1) * channels]
            for image, waves in zip(images_of(int(plane)), own, strict=True):
                seen = extract(_residual(image, waves), image.saturated)
                if spectrum is not None:
                    seen.power.add_(spectrum.power)
                spectrum = seen
        assert spectrum is not None
        yield Step(Stage.FIT, f"fitting waves to {plural(len(chosen), 'plane')}")
        rest = [subtract_waves(s, own.fit) for s, own in zip(samples, found, strict=True)]
        looks = max(1, int(independent_images(rest)))
        known = [*found[0].fit.frequencies, *(np.array(r.frequency) for r in rejected)]
        candidates = [
            candidate
            for candidate in find_peaks(spectrum, sensitivity=sensitivity, looks=looks)
            if (distances(np.array([candidate.frequency, *known]), shape)[0, 1:] > APART).all()
        ]
        if not candidates:
            break
        accepted, refused = fit_candidates(rest, candidates[:_BATCH])
        rejected += refused
        if len(accepted[0]):
            found = [old.join(new) for old, new in zip(found, accepted, strict=True)]
            found = yield from _refitted(samples, found, *REFIT)
    if len(found[0]):
        found = yield from _refitted(samples, found, *_FINISH)
        keep, nats, refused = assess_waves(
            samples, [own.fit for own in found], found[0].false_alarms
        )
        found = [replace(own, evidence=nats).take(keep) for own in found]
        rejected += refused
    model = SharedModel(
        shape=shape,
        planes=np.array([chosen[len(chosen) // 2]]),
        frequencies=found[0].fit.frequencies[None],
        false_alarms=found[0].false_alarms,
        evidence=found[0].evidence,
        rejected=rejected,
        features=features,
        noise_model=noise_model,
        sensitivity=sensitivity,
    )
    if not len(found[0]):
        return model
    strength = [float(np.sum(np.abs(own.fit.coefficients) ** 2)) for own in found]
    for sample in np.argsort(strength)[::-1][:_EXAMPLES]:
        image = images_of(int(chosen[sample // channels]))[sample % channels]
        (channel,) = yield from _searched(model, model.frequencies[0], image, seed)
        changing = bool(channel.settled or channel.gains)
        model = replace(model, plain=model.plain and not changing)
    if drifting:
        model = yield from _followed(model, images_of, spread, seed)
    return model


def iter_estimate_plane(
    model: SharedModel,
    plane: int,
    image: Any,  # noqa: ANN401 - anything array-like
    *,
    channel_axis: int | None = None,
    seed: int = 0,
    device: str = "auto",
) -> Generator[Progress, None, NoiseEstimate]:
    """Noise of one plane, of the waves that the stack has, step by step.

    Amplitudes and phases are fitted, and, where frequencies drift, these too. A wave is left
    out of a plane, or a channel, whose description it does not shorten.

    Parameters
    ----------
    model : SharedModel
    plane : int
        Number of the plane.
    image : array-like, shape (H, W), or with one more axis of channels
        Its pixels.
    channel_axis : int, optional
        Axis of the channels.
    seed : int
        Of the random choice of pixels.
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
        If the plane can't be taken, see `images.as_image`, or is of another shape.
    """
    array = as_image(image, channel_axis)
    channels = array[None] if channel_axis is None else array
    if channels.shape[1:] != model.shape:
        raise ValueError(
            f"the model is of planes of {model.shape[0]}×{model.shape[1]} pixels, and this one "
            f"has {channels.shape[1]}×{channels.shape[2]}"
        )
    where = resolve_device(device)
    images = [normalize(channel, where) for channel in channels]
    found = []
    for done, image_of in enumerate(images):
        steps = _waves_in(model, plane, image_of, seed)
        waves = yield from mapped(steps, partial(_progress, done, len(images) + 1))
        found.append(ChannelNoise(waves))
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
            "model": "drifting" if model.drifts else "shared",
            "plane": int(plane),
            "frequencies": model.at(plane).tolist(),
            "channel_axis": channel_axis,
            "device": str(where),
            "seed": int(seed),
        },
        gram={},
    )


def _progress(done: int, total: int, step: Step) -> Progress:
    return Progress(step.stage, done, total, step.message)


def _waves_in(
    model: SharedModel, plane: int, image: Normalized, seed: int
) -> Generator[Step, None, list[Wave]]:
    """Waves of the model as they are in one channel of a plane, in the unit of its pixels."""
    frequencies = model.at(plane)
    if not len(frequencies):
        return []
    yield Step(Stage.FIT, f"fitting {plural(len(frequencies))} that the stack has")
    pixels = max(_LEAST, _PLANE_PIXELS // len(frequencies))
    sample = _sampled(image, seed, pixels)
    few = sample.first(_FEW)
    *_, fit = polish_waves(few, unfitted(frequencies), *_ROUGH, move=False)
    *_, fit = polish_waves(sample, fit, *_SETTLE, move=model.drifts)
    if not model.plain:
        (channel,) = yield from _searched(model, fit.frequencies, image, seed)
        return channel.waves()
    nats, _ = evidence([sample], [fit])
    return Found(fit, model.false_alarms, nats).take(nats > TOLD).waves(model.shape)


def _searched(
    model: SharedModel, frequencies: Float, image: Normalized, seed: int
) -> Generator[Step, None, list[ChannelModel]]:
    """Search one channel of a plane by itself, from the model's waves on."""
    # from the first on, as were it found here: of many harmonics none is seen to be a profile's
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
    """Differences of some of a plane's pixels; of the same ones in each plane."""
    return sample_gradient(image.pixels, count, seed, image.quantum, image.saturated)


def _residual(image: Normalized, found: Found) -> torch.Tensor:
    if not len(found):
        return image.pixels
    shape = image.pixels.shape[0], image.pixels.shape[1]
    return image.pixels - synthesize(found.waves(shape), shape, image.pixels.device)


def _refitted(
    samples: Sequence[GradientSample], found: Sequence[Found], softening: float, steps: int
) -> Generator[Step, None, list[Found]]:
    """Fit all waves again, to some of the samples, with the frequencies they share."""
    few = [sample.first(_JOINT_PIXELS // len(samples)) for sample in samples]
    fits = [own.fit for own in found]
    for fits in polish_together(few, fits, softening, steps):  # noqa: B020 - each from the last
        yield Step(Stage.FIT, f"refining {plural(len(fits[0]))}")
    return [replace(own, fit=fit) for own, fit in zip(found, fits, strict=True)]


def _followed(
    model: SharedModel,
    images_of: Callable[[int], list[Normalized]],
    planes: NDArray[np.int64],
    seed: int,
) -> Generator[Step, None, SharedModel]:
    """Model whose waves are followed from its plane to both ends of the stack."""
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
            samples = [_sampled(image, seed, _PIXELS) for image in images_of(plane)]
            known[plane] = _near(samples, expected)
            last.append(plane)
    order = sorted(known)
    return replace(
        model,
        planes=np.array(order, dtype=np.int64),
        frequencies=np.array([known[plane] for plane in order]),
    )


def _near(samples: Sequence[GradientSample], expected: Float) -> Float:
    """Frequencies of waves in one plane's channels, near those expected there."""
    fits = [unfitted(expected)] * len(samples)
    for share in _WIDER:
        # over fewer pixels a frequency may be off by more cycles across the image
        part = [s.central(int(share * max(s.shape))).first(SEARCH_PIXELS) for s in samples]
        fits = [fit_waves(sample, fits[0]) for sample in part]
        *_, fits = polish_together(part, fits, *APPROACH)
    nats, _ = evidence(part, fits)
    seen = nats > math.log(sum(map(len, part)))
    return np.where(seen[:, None], fits[0].frequencies, expected)
