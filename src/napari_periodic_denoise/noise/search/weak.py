"""Find and fit waves that are weaker than the random noise of an image, with all its pixels.

Plain differences amplify white noise at high frequencies, and a fixed number of pixels shows less
of a wave the larger the image is. This module uses the pixels minus their surroundings, clipped,
so that edges of the specimen have little influence.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import avg_pool2d, conv2d, interpolate, pad

from napari_periodic_denoise.noise.fitting.evidence import NATS_PER_UNKNOWN
from napari_periodic_denoise.noise.fitting.gauss_newton import Fit, zero_fit
from napari_periodic_denoise.noise.fitting.standard_errors import errors_of
from napari_periodic_denoise.noise.robust import robust_scale
from napari_periodic_denoise.noise.search.channel import ChannelModel, Found, is_separate
from napari_periodic_denoise.noise.statistics.gram import spectral_power
from napari_periodic_denoise.noise.statistics.peaks import (
    Candidate,
    Spectrum,
    fast_size,
    find_peaks,
)
from napari_periodic_denoise.noise.waves.frequency import (
    LEAKAGE_FREE,
    SAME_WAVE,
    Float,
    Shape,
    distances,
    lowest_alias,
)
from napari_periodic_denoise.noise.waves.lattices import index_lattice, missing_sites
from napari_periodic_denoise.noise.waves.synthesis import phasors

Complex = NDArray[np.complex128]

# Mixed second differences of white noise are √2 times as large as first ones; of 27 clean images
# with a periodic interference at most 1.11 times.
_WHITE = 1.2
_ALIKE = 2.0  # times, by which two measures of the white noise's deviation may differ
_MORE = 2.0  # times the power of the white noise alone, so much around a wave at most
_AROUND = 5  # bins to each side; the median of 96 exponential variables scatters by 15%
_CLIPPED = 0.1  # of the pixels
_PROBED = 512  # pixels a side, in the middle, by which that is inside
_SURROUNDINGS = 8.0  # pixels, deviation of the Gaussian whose mean is taken away
_COARSE = 4  # pixels, few enough for that Gaussian
_CLIP = 2.0  # deviations: least squares for the bulk, at most 0.3 dB under it
_PARTS = 8  # per axis, that have to agree on a wave's phase
# Mean projection over its standard error; peaks of clean images stay under it, a wave of twice
# what a matched filter needs reaches it.
_AGREED = 8.0
_MAX_PEAKS = 128
_ROUNDS = 4
_STEPS = 4
_LARGEST_STEP = 0.3  # cycles across the image, per iteration


def in_random_noise(image: torch.Tensor) -> bool:
    """Whether white random noise is most of what differs between neighbouring pixels.

    Parameters
    ----------
    image : Tensor of float32, shape (H, W)
    """
    top, left = (max(0, (n - _PROBED) // 2) for n in image.shape)
    part = image[top : top + _PROBED, left : left + _PROBED]
    along_y, along_x = part.diff(dim=0), part.diff(dim=1)
    first = max(_bulk(along_y), _bulk(along_x))
    # as large as what differs from the surroundings: no rounding beside a specimen's edges
    if robust_scale(part - _smooth(part)) > _ALIKE * robust_scale(along_y) / math.sqrt(2):
        return False
    return _bulk(along_y.diff(dim=1)) > _WHITE * first


def _is_rounding(image: torch.Tensor, quantum: float) -> bool:
    """Whether what differs from the surroundings is smaller than half a grey level."""
    return robust_scale(image - _smooth(image)) < quantum / 2


def _is_clipped(channel: ChannelModel) -> bool:
    """Whether strong waves saturate so many pixels that the rest shows waves that are none."""
    return channel.saturated is not None and float(channel.saturated.float().mean()) > _CLIPPED


def find_weak(channel: ChannelModel, sensitivity: float) -> ChannelModel:
    """Add constant waves that only all pixels together tell, and fit all of them efficiently.

    Parameters
    ----------
    channel : ChannelModel
    sensitivity : float
        False alarms to expect, see `peaks.find_peaks`.

    Returns
    -------
    ChannelModel
        The channel itself where random noise does not dominate, or without constant waves.
    """
    left = channel.residual()
    if not in_random_noise(left) or _is_rounding(left, channel.sample.quantum):
        return channel
    if len(channel.waves()) and _is_clipped(channel):
        return channel
    for round_ in range(_ROUNDS):
        flat, scale = _flat(left, channel.saturated)
        spectrum = _spectrum(flat)
        peaks = find_peaks(spectrum, sensitivity=sensitivity, max_peaks=_MAX_PEAKS)
        white = _white_around(spectrum, np.array([c.frequency for c in peaks]).reshape(-1, 2))
        peaks = [c for c, noise in zip(peaks, white, strict=True) if noise]
        new = _apart(_agreed(flat, peaks), channel)
        if new:
            alarms = np.array([candidate.false_alarms for candidate in new])
            trial = zero_fit(np.array([candidate.frequency for candidate in new]))
            found = channel.found.join(Found(trial, alarms, np.zeros(len(new))))
            channel = replace(channel, found=found)
        elif not len(channel.found):
            return channel
        elif round_:
            break
        weak = np.abs(channel.found.fit.coefficients) < scale / _CLIP
        weak &= _white_around(spectrum, channel.found.fit.frequencies)
        channel = _fitted(channel, weak)
        left = channel.residual()
    if weak.sum() == len(channel.waves()):
        channel = _on_lattices(channel, spectrum, sensitivity)
        weak = np.ones(len(channel.found), dtype=bool)
    errors = _errors(channel, channel.residual(), weak)
    return replace(channel, found=replace(channel.found, errors=errors))


def _on_lattices(channel: ChannelModel, spectrum: Spectrum, sensitivity: float) -> ChannelModel:
    """Tie waves to the bases of lattices, and add the sites that the image shows.

    All waves are weak. Beside strong ones, weak sites are mostly what clipping makes of those, and
    the lattice of what is left says nothing about the specimen.
    """
    for _ in range(_ROUNDS):
        found = channel.found
        fit = _tied(found.fit, found.evidence, channel.shape)
        flat, _ = _flat(channel.residual(), channel.saturated)
        sites = _missing(fit, spectrum, channel.shape)
        alarms = _false_alarms(flat, sites @ fit.bases)
        sites, alarms = sites[alarms < sensitivity], alarms[alarms < sensitivity]
        if not len(sites) and len(fit.bases) == len(found.fit.bases):
            break
        found = Found(
            zero_fit(fit.bases, np.concatenate([fit.ties, sites])),
            np.concatenate([found.false_alarms, alarms]),
            np.concatenate([found.evidence, np.zeros(len(sites))]),
        )
        weak = np.ones(len(found), dtype=bool)
        channel = _fitted(replace(channel, found=found), weak)
    return channel


def _tied(fit: Fit, evidence: Float, shape: Shape) -> Fit:
    """Describe waves as lattices, of amplitude zero, where that costs less than it saves."""
    frequencies = fit.frequencies
    bases, ties = index_lattice(frequencies, np.abs(fit.coefficients), shape, thorough=True)
    lattice = Fit(bases, ties, fit.coefficients)
    bases = bases + _of_bases(lattice, lowest_alias(frequencies - lattice.frequencies))
    off = lowest_alias(frequencies - ties @ bases) * shape
    # f cycles beside its frequency, a wave has sinc²(f) of its evidence, 1 − (πf)²/3
    lost = evidence * (np.pi**2 / 3) * (off**2).sum(1)
    free = lost > 2 * NATS_PER_UNKNOWN * math.log(shape[0] * shape[1])
    ties = np.concatenate([np.where(free[:, None], 0, ties), np.eye(len(ties))[:, free]], 1)
    return zero_fit(np.concatenate([bases, frequencies[free]]), ties).take(np.arange(len(ties)))


def _missing(fit: Fit, spectrum: Spectrum, shape: Shape) -> Float:
    """Missing sites of lattices in white noise, off the axes, shape (M, G)."""
    sites = missing_sites(fit.bases, fit.ties, shape)
    # noise of rows and columns is on the axes
    off_axes = np.abs(lowest_alias(sites @ fit.bases) * shape).min(1)
    sites = sites[off_axes > LEAKAGE_FREE]
    white: Float = sites[_white_around(spectrum, sites @ fit.bases)]
    return white


def _false_alarms(flat: torch.Tensor, frequencies: Float) -> Float:
    """Number of the frequencies that random noise would show as clearly as each, shape (K,).

    They are few, so they need little evidence.
    """
    sums = [_sums_of_parts(flat, frequency) for frequency in frequencies]
    return len(frequencies) * _chance(np.array(sums).reshape(-1, _PARTS**2))


def _chance(sums: Complex) -> Float:
    """Chance that the parts' sums of random noise agree as well, shape (K,).

    The mean's power and the variance of n parts are independent, exponential and of n − 1 times
    two degrees of freedom, so their ratio r is reached with probability (1 + r)^(1 − n).
    """
    count = sums.shape[1]
    mean = sums.mean(1)
    spread = (np.abs(sums - mean[:, None]) ** 2).sum(1)
    ratio = count * np.abs(mean) ** 2 / np.maximum(spread, np.finfo(np.float64).tiny)
    chance: Float = (1 + ratio) ** (1 - count)
    return chance


def _apart(candidates: list[Candidate], channel: ChannelModel) -> list[Candidate]:
    """Those of the candidates, strongest first, that are no wave's, nor that of another."""
    waves, shape = channel.waves(), channel.shape
    new = [c for c in candidates if all(is_separate(c.frequency, wave, shape) for wave in waves)]
    near = distances(np.array([c.frequency for c in new]).reshape(-1, 2), shape) < SAME_WAVE
    return [c for i, c in enumerate(new) if not near[i, :i].any()]


def agreement(maps: torch.Tensor, frequencies: Float) -> Float:
    """How well the parts of maps agree on the phase of waves: mean over standard error.

    Each part's Fourier sum is projected onto the sum of all others. The parts of a row of parts
    share the noise of lines, and layers of a specimen, so rows and columns of parts have to agree
    too: the least agreement counts.

    Parameters
    ----------
    maps : Tensor of float32, shape (H, W)
    frequencies : ndarray, shape (K, 2)
        Cycles/pixel.

    Returns
    -------
    ndarray, shape (K,)
        A wave of power P, in units of the noise's at its frequency, has about √(2 P).
    """
    sums = np.array([_sums_of_parts(maps, frequency) for frequency in frequencies])
    grid = sums.reshape(len(frequencies), _PARTS, _PARTS)
    least: Float = np.min([_ratio(part) for part in (sums, grid.sum(1), grid.sum(2))], 0)
    return least


def _ratio(sums: Complex) -> Float:
    """Mean over standard error of each part's projection onto the others, shape (K,)."""
    others = sums.sum(1, keepdims=True) - sums
    projected = (sums * others.conj()).real
    error = projected.std(1, ddof=1) / math.sqrt(projected.shape[1])
    ratio: Float = projected.mean(1) / np.maximum(error, np.finfo(np.float64).tiny)
    return ratio


def _spectrum(flat: torch.Tensor) -> Spectrum:
    """Spectrum of the whole image, however large it is."""
    window = fast_size(flat.shape[0], flat.shape[1])
    return Spectrum(spectral_power(flat[None], window=window), window)


def _white_around(spectrum: Spectrum, frequencies: Float) -> NDArray[np.bool_]:
    """Whether around each frequency white noise is most of the power, shape (K,).

    Medians, without the main lobe of the frequency itself, since a wave must not count.
    """
    h, w = spectrum.window
    reach = np.arange(-_AROUND, _AROUND + 1)
    steps = np.stack(np.meshgrid(reach, reach), -1).reshape(-1, 2)
    steps = steps[np.abs(steps).max(1) >= LEAKAGE_FREE]
    at = np.rint(frequencies * (h, w)).astype(int)[:, None] + steps
    other = at[..., 1:] % w > w // 2  # the half plane that is not stored
    y, x = np.moveaxis(np.where(other, -at, at) % (h, w), 2, 0)
    power = spectrum.power[torch.from_numpy(y), torch.from_numpy(x)].cpu().double().numpy()
    level = np.median(power, 1) / _response(frequencies) ** 2
    white: NDArray[np.bool_] = level < _MORE * float(spectrum.power.median())
    return white


def _agreed(flat: torch.Tensor, candidates: list[Candidate]) -> list[Candidate]:
    """Those of the candidates on whose phase the parts of the image agree."""
    if not candidates:
        return []
    ratio = agreement(flat, np.array([c.frequency for c in candidates]))
    return [c for c, t in zip(candidates, ratio, strict=True) if t > _AGREED]


def _fitted(channel: ChannelModel, weak: NDArray[np.bool_]) -> ChannelModel:
    """Fit those of the constant waves to all pixels that are weaker than the white noise.

    Scoring steps of Huber's estimator: least squares where random noise dominates, and the bases'
    frequencies with amplitudes and phases. Waves are orthogonal but for what the steps settle.
    """
    fit = channel.found.fit
    power = np.zeros(len(fit))
    for _ in range(_STEPS):
        left = replace(channel, found=replace(channel.found, fit=fit)).residual()
        flat, scale = _flat(left, channel.saturated)
        inside = float((flat.abs() < 1).float().mean())
        sums, slopes = _projections(flat, fit.frequencies)
        gain = _gain(flat, scale, fit.frequencies)
        coefficients = fit.coefficients + np.where(weak, gain * sums, 0)
        size = np.array(channel.shape)
        with np.errstate(divide="ignore", invalid="ignore"):
            turns = (gain * slopes.T / coefficients).imag.T / (2 * np.pi / 12)
        turns = np.nan_to_num(turns, posinf=0.0, neginf=0.0)
        fit = replace(fit, coefficients=coefficients)
        shift = _of_bases(fit, np.where(weak[:, None], turns, 0))
        largest = _LARGEST_STEP / np.abs(fit.ties).max(0)[:, None]
        bases = fit.bases + np.clip(shift, -largest, largest) / size
        fit = replace(fit, bases=bases)
        noise = float(flat.square().mean()) * scale**2
        amplitude = np.abs(coefficients) * inside * _response(fit.frequencies)
        power = amplitude**2 * flat.numel() / (4 * noise)
    # nats that a matched filter saves
    evidence = np.where(channel.found.evidence > 0, channel.found.evidence, power)
    return replace(channel, found=replace(channel.found, fit=fit, evidence=evidence))


def _gain(flat: torch.Tensor, scale: float, frequencies: Float) -> Float:
    """Coefficients per Fourier sum of a clipped map, shape (K,): the inverse information."""
    inside = float((flat.abs() < 1).float().mean())
    return scale * 2 / (flat.numel() * inside * _response(frequencies))


def _of_bases(fit: Fit, shifts: Float) -> Float:
    """Shifts of the bases, shape (..., G, n), from those of the waves, shape (..., K, n).

    Bases move as their waves say, the more, the more they tell: least squares, since the waves of
    a lattice share two bases.
    """
    weights = fit.ties * np.abs(fit.coefficients[:, None]) ** 2
    moved: Float = np.linalg.pinv(weights.T @ fit.ties, hermitian=True) @ (weights.T @ shifts)
    return moved


def _errors(channel: ChannelModel, left: torch.Tensor, weak: NDArray[np.bool_]) -> Float:
    """Standard errors of the weak waves, see `errors_of`; NaN for the others."""
    fit = channel.found.fit.take(weak)
    flat, scale = _flat(left, channel.saturated)
    sums = np.array([_sums_of_parts(flat, frequency) for frequency in fit.frequencies])
    changes = _gain(flat, scale, fit.frequencies)[:, None] * sums.reshape(len(fit), _PARTS**2)
    centres = (np.indices((_PARTS, _PARTS)).reshape(2, 1, -1) + 0.5) / _PARTS - 0.5
    turns = (changes / fit.coefficients[:, None]).imag * centres / (2 * np.pi / 12)
    errors = np.full((len(weak), 4), np.nan)
    shifts = fit.ties @ _of_bases(fit, turns)
    errors[weak] = errors_of(fit.coefficients, changes, shifts, channel.shape)
    return errors


def _flat(image: torch.Tensor, saturated: torch.Tensor | None) -> tuple[torch.Tensor, float]:
    """Pixels less their surroundings, clipped, in units of what they are clipped at; and that."""
    flat = image - _smooth(image)
    inside = flat if saturated is None else flat[~saturated]
    scale = _CLIP * max(robust_scale(inside), torch.finfo(torch.float32).tiny)
    flat.div_(scale).clamp_(-1, 1)
    return flat if saturated is None else flat.masked_fill_(saturated, 0), scale


def _smooth(image: torch.Tensor) -> torch.Tensor:
    """Mean of each pixel's surroundings, on a coarse grid; the image goes on mirrored."""
    size = [math.ceil(n / _COARSE) * _COARSE for n in image.shape]
    values = image[None, None]
    values = pad(
        values, (0, size[1] - image.shape[1], 0, size[0] - image.shape[0]), mode="reflect"
    )
    values = avg_pool2d(values, _COARSE)
    deviation = _SURROUNDINGS / _COARSE
    reach = min(math.ceil(3 * deviation), min(values.shape[2:]) - 1)
    at = torch.arange(-reach, reach + 1, device=image.device, dtype=torch.float32)
    weights = torch.exp(-0.5 * (at / deviation) ** 2)
    weights /= weights.sum()
    values = pad(values, (reach,) * 4, mode="reflect")
    values = conv2d(conv2d(values, weights.view(1, 1, -1, 1)), weights.view(1, 1, 1, -1))
    smooth = interpolate(values, size=size, mode="bilinear", align_corners=False)
    return smooth[0, 0, : image.shape[0], : image.shape[1]]


def _response(frequencies: Float) -> Float:
    """Share of waves that is left where their surroundings are taken away."""
    turns = np.hypot(*lowest_alias(frequencies).T)
    share: Float = 1 - np.exp(-2 * (np.pi * _SURROUNDINGS * turns) ** 2)
    return np.maximum(share, 0.05)


def _bulk(values: torch.Tensor) -> float:
    """Mean of the square roots of magnitudes, squared: rounding and few edges matter little."""
    return float(values.abs().sqrt().mean()) ** 2


def _phases(frequency: Float, shape: Shape, device: torch.device) -> list[torch.Tensor]:
    """Complex phases of the opposite wave along y and x, zero at the image's centre."""
    return [
        torch.from_numpy(
            phasors(-frequency[axis : axis + 1], length, origin=(length - 1) / 2)[0].astype(
                np.complex64
            )
        ).to(device)
        for axis, length in enumerate(shape)
    ]


def _projections(flat: torch.Tensor, frequencies: Float) -> tuple[Complex, Complex]:
    """Fourier sums of a map at frequencies, shape (K,), and weighed by place, (K, 2)."""
    shape = flat.shape[0], flat.shape[1]
    y, x = (
        ((torch.arange(n, device=flat.device, dtype=torch.float32) + 0.5) / n - 0.5) for n in shape
    )
    sums, slopes = [], []
    for frequency in frequencies:
        along_y, along_x = _phases(frequency, shape, flat.device)
        right = torch.stack([along_x, along_x * x], 1)
        lines = torch.complex(flat @ right.real, flat @ right.imag)
        plain, by_x = (along_y @ lines).tolist()
        by_y = complex((along_y * y) @ lines[:, 0])
        sums.append(plain)
        slopes.append((by_y, by_x))
    return np.array(sums, dtype=np.complex128), np.array(slopes, dtype=np.complex128)


def _sums_of_parts(maps: torch.Tensor, frequency: Float) -> Complex:
    """Fourier sums of 8×8 parts of a map, shape (64,)."""
    shape = maps.shape[0], maps.shape[1]
    along_y, along_x = _phases(frequency, shape, maps.device)
    rows, columns = (
        torch.nn.functional.one_hot(
            torch.arange(n, device=maps.device) * _PARTS // n, _PARTS
        ).float()
        for n in shape
    )
    right = along_x[:, None] * columns
    lines = torch.complex(maps @ right.real, maps @ right.imag)
    sums: Complex = ((along_y[:, None] * rows).T @ lines).flatten().cpu().numpy()
    return sums.astype(np.complex128)
