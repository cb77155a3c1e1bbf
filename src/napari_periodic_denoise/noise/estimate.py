"""Periodic noise estimated and taken away: the one path through the engine."""

from __future__ import annotations

import math
import numbers
import reprlib
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from napari_periodic_denoise.device import resolve_device
from napari_periodic_denoise.noise.gain import noise_of
from napari_periodic_denoise.noise.images import (
    Normalized,
    as_image,
    normalize,
    settle_limited,
    subtract,
)
from napari_periodic_denoise.noise.model import Channel, Rejected
from napari_periodic_denoise.noise.remainder import Kind, find_remainder
from napari_periodic_denoise.noise.search import find_waves
from napari_periodic_denoise.noise.waves import Wave, in_units

METHODS = ("aligned",)
FEATURES = ("edges",)
NOISE_MODELS = ("auto", "additive", "multiplicative")
REMAINDERS = ("none", "quasi-periodic", "stripes")
DEFAULT_SENSITIVITY = 1e-3

_EXPECTED_STEPS = 12


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a running estimate is.

    Attributes
    ----------
    stage : str
        ``"detect"``, ``"fit"`` or ``"subtract"``.
    done, total : int
        Steps done and expected; ``total`` is a guess that only ``done == total`` ends.
    message : str
        What is being done, in words for a person.
    """

    stage: str
    done: int
    total: int
    message: str


@dataclass(frozen=True, slots=True, eq=False)
class NoiseEstimate:
    """Periodic noise found in an image, and the image without it.

    Attributes
    ----------
    noise : ndarray of float32, shape of the image
        In the image's intensity units; ``image − noise`` is the cleaned image. Exactly zero
        where nothing was found.
    cleaned : ndarray, shape and dtype of the image
        Integers are rounded and clipped to the dtype's range. Pixels at the image's limits,
        whose true intensity is not known, don't go beyond them.
    waves : tuple of Wave
        What the noise consists of; those that multiply first, then the strongest. Their
        ``reason`` says why they were kept.
    settings : dict
        Everything that reproduces the estimate; JSON-serialisable.
    removed_variance : float
        Variance of the noise as a share of the image's, 0 to 1.
    remainder_variance : float
        Share that noise which is no sum of few waves has, 0 to 1.
    rejected : tuple of Rejected
        Peaks of the spectrum that were not taken for waves, and why.
    """

    noise: np.ndarray
    cleaned: np.ndarray
    waves: tuple[Wave, ...]
    settings: dict[str, Any]
    removed_variance: float
    remainder_variance: float
    rejected: tuple[Rejected, ...]

    @property
    def summary(self) -> str:
        """The result in one line, for a person."""
        share = f"removed {100 * self.removed_variance:.1f}% of the variance"
        rest = f"{self.settings['remainder']} noise" if self.remainder_variance else ""
        if not self.waves:
            return f"no waves, but {rest}; {share}" if rest else "no periodic noise found"
        strongest = self.waves[0]
        count = _waves(len(self.waves)) + (", strongest" if len(self.waves) > 1 else ",")
        amplitude = f"{strongest.amplitude:.3g}"
        if strongest.dark is not None:
            amplitude = f"{100 * strongest.amplitude:.3g}% of the intensity"
        return (
            f"{count} {strongest.period:.1f} px at {round(strongest.angle) % 180}°, "
            f"amplitude {amplitude}{f', and {rest}' if rest else ''}; {share}"
        )


def estimate_noise(
    image: Any,  # noqa: ANN401
    *,
    method: str = "aligned",
    features: str = "edges",
    noise_model: str = "auto",
    remainder: str = "none",
    channel_axis: int | None = None,
    exemplar: None = None,
    sensitivity: float = DEFAULT_SENSITIVITY,
    device: str = "auto",
    seed: int = 0,
) -> NoiseEstimate:
    """Find the periodic noise of an image, and the image without it.

    Parameters
    ----------
    image : array-like, shape (H, W), or with one more axis of channels
        numpy, torch or dask (computed once); any real dtype, at least 16×16 pixels. Never
        written to.
    method : {"aligned"}
        How the noise is found: from the spectral Gram matrix which waves there are, from a
        robust fit to the image where their crests lie.
    features : {"edges"}
        What the Gram matrix is taken of: clipped first differences.
    noise_model : {"auto", "additive", "multiplicative"}
        How noise and specimen combine: whether intensities are raised and lowered by the noise,
        or multiplied by one plus the noise. ``"auto"`` chooses wave by wave, by what describes
        the image shorter.
    remainder : {"none", "quasi-periodic", "stripes"}
        What else to take away that is no sum of few waves: noise of a narrow spectrum all over
        the image, or stripes of any width in one direction. See `remainder.find_remainder`; a
        specimen that is itself striped or woven is harmed by it.
    channel_axis : int, optional
        Axis of the channels, as −1 for RGB. Frequencies are found in all channels together,
        amplitudes and phases in each; a channel without the noise stays as it is, to the bit.
    exemplar : None
        An area that shows noise alone; none can be given yet.
    sensitivity : float
        How many false alarms to expect per image without periodic noise before the fit
        examines them; larger finds weaker noise.
    device : str
        ``"auto"`` takes CUDA, then MPS, then the CPU; or a name torch knows.
    seed : int
        Of the random choice of pixels; the same seed gives the same result on the same machine.

    Returns
    -------
    NoiseEstimate

    Raises
    ------
    TypeError
        If the pixels are not real numbers.
    ValueError
        If an option is not one of its choices, or the image has not as many axes, is too small,
        or holds NaN or infinite pixels.

    Notes
    -----
    The model is ``I = C + N`` with ``N = Σ a·cos(2π f·x + φ)``, amplitude a and phase φ
    constant or changing slowly over the image. Frequencies are taken from peaks
    of the spectral Gram matrix of the clipped gradient, whitened by its local background; then
    ``Σ |∂(I − N)|`` is minimised over amplitude, phase and frequency of all waves jointly. As a
    specimen's gradient is sparse, the L1 norm ignores it, and recovery is nearly exact. A wave
    is kept if it shortens the description of the n pixels that the fit looks at by more than
    ``4·ln n`` nats, with all parts of the image agreeing, and is no artefact of rounding; what
    is left is searched again until nothing is found.

    What waves of constant amplitude can't explain is described otherwise where that makes the
    description shorter: harmonics as one folded profile, waves at whole combinations of two
    base frequencies as a lattice, waves that follow the brightness as a gain,
    ``I = b + (C − b)(1 + M)``, waves that leave something behind as carriers of envelopes that
    change as slowly as will do.

    Pixels at the image's limits, saturated or clipped, are left out of the fit; cleaned, they
    get what their limit and their neighbours allow, see `images.settle_limited`.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_periodic_denoise import estimate_noise
    >>> y, x = np.mgrid[:128, :128]
    >>> specimen = 100.0 * (np.hypot(y - 60, x - 70) < 30)
    >>> estimate = estimate_noise(specimen + 5 * np.cos(2 * np.pi * (0.11 * y + 0.07 * x)))
    >>> [tuple(round(f, 4) for f in wave.frequency) for wave in estimate.waves]
    [(0.11, 0.07)]
    >>> bool(abs(estimate.cleaned - specimen).max() < 0.01)
    True
    """
    run = iter_estimate_noise(
        image,
        method=method,
        features=features,
        noise_model=noise_model,
        remainder=remainder,
        channel_axis=channel_axis,
        exemplar=exemplar,
        sensitivity=sensitivity,
        device=device,
        seed=seed,
    )
    while True:
        try:
            next(run)
        except StopIteration as end:
            estimate: NoiseEstimate = end.value
            return estimate


def iter_estimate_noise(
    image: Any,  # noqa: ANN401
    *,
    method: str = "aligned",
    features: str = "edges",
    noise_model: str = "auto",
    remainder: str = "none",
    channel_axis: int | None = None,
    exemplar: None = None,
    sensitivity: float = DEFAULT_SENSITIVITY,
    device: str = "auto",
    seed: int = 0,
) -> Generator[Progress, None, NoiseEstimate]:
    """`estimate_noise` step by step, for progress bars and to be stopped in between.

    Parameters
    ----------
    image, method, features, noise_model, remainder, channel_axis, exemplar, sensitivity, \
    device, seed
        As for `estimate_noise`.

    Yields
    ------
    Progress
        Before each step.

    Returns
    -------
    NoiseEstimate
    """
    _check_choice("method", method, METHODS)
    _check_choice("features", features, FEATURES)
    _check_choice("noise_model", noise_model, NOISE_MODELS)
    _check_choice("remainder", remainder, REMAINDERS)
    if not (channel_axis is None or isinstance(channel_axis, numbers.Integral)):
        raise ValueError(f"channel_axis must be a whole number or None, not {channel_axis!r}")
    _check_choice("exemplar", exemplar, (None,))
    if not isinstance(sensitivity, numbers.Real) or not 0 < sensitivity < math.inf:
        raise ValueError(
            f"sensitivity must be a positive number of false alarms, not {sensitivity!r}"
        )
    if not isinstance(seed, numbers.Integral) or not 0 <= seed < 2**63:
        raise ValueError(f"seed must be an integer from 0 to 2⁶³ − 1, not {seed!r}")
    where = resolve_device(device)

    yield Progress("detect", 0, _EXPECTED_STEPS, "reading the image")
    array = as_image(image, channel_axis)
    channels = array[None] if channel_axis is None else array
    images = [normalize(channel, where) for channel in channels]
    search = _found(
        images,
        noise_model=noise_model,
        remainder=remainder,
        sensitivity=float(sensitivity),
        seed=int(seed),
    )
    done = 0
    while True:
        try:
            stage, message = next(search)
        except StopIteration as end:
            found, rests = end.value
            break
        done = min(done + 1, _EXPECTED_STEPS - 2)
        yield Progress(stage, done, _EXPECTED_STEPS, message)

    yield Progress("subtract", _EXPECTED_STEPS - 1, _EXPECTED_STEPS, "subtracting the noise")
    noise = np.zeros(channels.shape, dtype=np.float32)
    cleaned = channels.copy()
    waves: list[Wave] = []
    removed = left = total = 0.0
    for i, (channel, image_of, model, rest) in enumerate(
        zip(channels, images, found, rests, strict=True)
    ):
        unit, own = image_of.unit, model.waves()
        total += unit**2 * float(image_of.pixels.var())
        if not own and rest is None:
            continue
        pattern = noise_of(image_of.pixels, own)
        if rest is not None:
            pattern.add_(rest)
            left += unit**2 * float(rest.var())
        removed += float(pattern.mul_(unit).var())
        noise[i] = pattern.cpu().numpy()
        cleaned[i] = subtract(channel, noise[i])
        if image_of.limited is not None:
            settle_limited(cleaned[i], channel, noise[i], image_of.limited)
        waves += (replace(in_units(wave, unit, image_of.centre), channel=i) for wave in own)

    def in_place(planes: np.ndarray) -> np.ndarray:
        if channel_axis is None:
            return planes[0]
        return np.ascontiguousarray(np.moveaxis(planes, 0, channel_axis))

    estimate = NoiseEstimate(
        noise=in_place(noise),
        cleaned=in_place(cleaned),
        waves=tuple(sorted(waves, key=_strength)),
        settings={
            "method": method,
            "features": features,
            "noise_model": noise_model,
            "remainder": remainder,
            "channel_axis": None if channel_axis is None else int(channel_axis),
            "exemplar": exemplar,
            "sensitivity": float(sensitivity),
            "device": str(where),
            "seed": int(seed),
        },
        removed_variance=min(1.0, removed / total) if total else 0.0,
        remainder_variance=min(1.0, left / total) if total else 0.0,
        rejected=tuple({r.frequency: r for model in found for r in model.rejected}.values()),
    )
    yield Progress("subtract", _EXPECTED_STEPS, _EXPECTED_STEPS, estimate.summary)
    return estimate


def _found(
    images: list[Normalized], *, noise_model: str, remainder: str, sensitivity: float, seed: int
) -> Generator[tuple[str, str], None, tuple[list[Channel], list[torch.Tensor | None]]]:
    """Waves of each channel, and what is left of noise that is no sum of few."""
    found = yield from find_waves(
        images, noise_model=noise_model, sensitivity=sensitivity, seed=seed
    )
    rests: list[torch.Tensor | None] = []
    for image, channel in zip(images, found, strict=True):
        if remainder == "none":
            rests.append(None)
            continue
        kind: Kind = "stripes" if remainder == "stripes" else "quasi-periodic"
        rest = yield from find_remainder(channel.residual(), image.quantum, sensitivity, kind=kind)
        rests.append(rest if bool(rest.any()) else None)
    return found, rests


def _strength(wave: Wave) -> tuple[bool, float]:
    """Order of the waves: those that multiply, then the strongest first."""
    return wave.dark is None, -wave.amplitude


def _waves(count: int) -> str:
    return "1 wave" if count == 1 else f"{count} waves"


def _check_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    if not any(isinstance(value, type(choice)) and value == choice for choice in choices):
        listed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"{name}={reprlib.repr(value)} is not one of the choices: {listed}")
