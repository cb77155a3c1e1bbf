"""Candidate waves: peaks of the whitened spectral Gram matrix that most of the image shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import pad

from napari_periodic_denoise.noise.statistics.gram import is_fast, spectral_power
from napari_periodic_denoise.noise.waves.frequency import Frequency

_WINDOW = 1024
_REACH = 5
_EULER_GAMMA = 0.5772156649
_CAP = 3.0
_HIGHEST = 100.0  # log power, above which chance is nil
MIN_CYCLES = 1.5


@dataclass(frozen=True, slots=True)
class Candidate:
    """A spectral peak that may be a wave.

    Attributes
    ----------
    frequency : tuple of float
        ``(fy, fx)`` in cycles/pixel, refined off the FFT grid.
    false_alarms : float
        Expected number of peaks this high if there were no periodic noise.
    """

    frequency: Frequency
    false_alarms: float


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """What an image's features repeat, by frequency.

    Attributes
    ----------
    power : Tensor of float32, shape (h, w // 2 + 1)
        Trace of the spectral Gram matrix, see `gram.spectral_power`.
    window : tuple of int
        ``(h, w)``, pixels that it is taken of at once.
    """

    power: torch.Tensor
    window: tuple[int, int]


def find_candidates(
    features: torch.Tensor, *, sensitivity: float, looks: int = 1, most: int = 32
) -> list[Candidate]:
    """Peaks of the features' spectral Gram matrix, see `find_peaks`.

    Parameters
    ----------
    features : Tensor of float32, shape (C, H, W)
    sensitivity, looks, most
        As for `find_peaks`.

    Returns
    -------
    list of Candidate
        Most significant first.
    """
    return find_peaks(feature_spectrum(features), sensitivity=sensitivity, looks=looks, most=most)


def feature_spectrum(features: torch.Tensor) -> Spectrum:
    """Spectrum of feature maps, of large ones in windows.

    Parameters
    ----------
    features : Tensor of float32, shape (C, H, W)

    Returns
    -------
    Spectrum
    """
    window = window_size(features.shape[1], features.shape[2])
    return Spectrum(spectral_power(features, window=window), window)


def window_size(height: int, width: int) -> tuple[int, int]:
    """Pixels of so large an image that its spectrum is taken of at once."""
    return _fast_length(min(height, _WINDOW)), _fast_length(min(width, _WINDOW))


def find_peaks(
    spectrum: Spectrum, *, sensitivity: float, looks: int = 1, most: int = 32
) -> list[Candidate]:
    """Local maxima of the whitened spectral Gram with fewer false alarms than allowed.

    A-contrario rule: without periodic noise, whitened power follows an exponential law, so that
    among n frequencies ``n·exp(−power)`` reach a given power by chance. The mean of several
    independent channels follows a gamma law, of which chance strays less.

    Parameters
    ----------
    spectrum : Spectrum
    sensitivity : float
        Number of false alarms to expect on an image without periodic noise.
    looks : int
        Independent channels that the spectrum is of.
    most : int
        Return at most this many, the strongest.

    Returns
    -------
    list of Candidate
        Most significant first.
    """
    h, w = spectrum.window
    log_power, excess = whitened(spectrum)
    fy = torch.fft.fftfreq(h, device=excess.device)[:, None]
    fx = torch.fft.rfftfreq(w, device=excess.device)
    excess[torch.hypot(fy * h, fx * w) < MIN_CYCLES] = -math.inf
    excess[h // 2 + 1 :, 0] = -math.inf  # conjugates of the first half of the column
    tests = h * w / 2
    threshold = math.log(_power_of(sensitivity / tests, looks))
    peaks = _local_maxima(excess, torch.nonzero(excess > threshold))
    if not len(peaks):
        return []
    heights = excess[peaks[:, 0], peaks[:, 1]].cpu().double()
    order = heights.argsort(descending=True, stable=True)[:most]
    return [
        Candidate(
            off_grid(log_power, int(row), int(column), (h, w)),
            _false_alarms(float(height), (h, w), looks),
        )
        for (row, column), height in zip(peaks[order].tolist(), heights[order], strict=True)
    ]


def at_frequencies(
    spectrum: Spectrum, frequencies: Sequence[Frequency], *, looks: int = 1
) -> list[Candidate]:
    """Candidates at frequencies that somebody proposes, whether they are peaks or not.

    Parameters
    ----------
    spectrum : Spectrum
    frequencies : sequence of tuple of float
        ``(fy, fx)`` in cycles/pixel.
    looks : int
        As for `find_peaks`.

    Returns
    -------
    list of Candidate
        In the order of the frequencies.
    """
    if not frequencies:
        return []
    h, w = spectrum.window
    _, excess = whitened(spectrum)
    found = []
    for fy, fx in frequencies:
        y, x = round(fy * h) % h, round(fx * w) % w
        if x > w // 2:  # the half plane that is not stored
            y, x = -y % h, w - x
        found.append(Candidate((fy, fx), _false_alarms(float(excess[y, x]), (h, w), looks)))
    return found


def whitened(spectrum: Spectrum) -> tuple[torch.Tensor, torch.Tensor]:
    """Log of a spectrum's power, and how far it lies above that around each frequency.

    Parameters
    ----------
    spectrum : Spectrum

    Returns
    -------
    log_power, excess : Tensor of float32, shape (h, w // 2 + 1)
    """
    log_power = spectrum.power.clamp_min(torch.finfo(spectrum.power.dtype).tiny).log_()
    return log_power, log_power - background(log_power)


def _false_alarms(excess: float, window: tuple[int, int], looks: int) -> float:
    """Frequencies expected to reach a height by chance."""
    return window[0] * window[1] / 2 * _chance(math.exp(min(excess, _HIGHEST)), looks)


def _chance(power: float, looks: int) -> float:
    """Probability that the mean of exponential variables of mean one reaches a power."""
    shape = torch.tensor(float(looks), dtype=torch.float64)
    return float(torch.special.gammaincc(shape, shape * power))


def _power_of(chance: float, looks: int) -> float:
    """Power that is reached with a given probability; at least one."""
    low, high = 1.0, 1e3
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if _chance(middle, looks) > chance else (low, middle)
    return high


def background(log_power: torch.Tensor) -> torch.Tensor:
    """Log of the mean power around each frequency, peaks left out by capping.

    Parameters
    ----------
    log_power : Tensor of float32, shape (h, w // 2 + 1)

    Returns
    -------
    Tensor of float32, same shape
    """
    level = _local_mean(log_power)
    level = _local_mean(torch.minimum(log_power, level.add_(_CAP)))
    # the mean of the log of an exponential variable lies γ under the log of its mean
    return level.add_(_EULER_GAMMA)


def _local_maxima(values: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Those of the positions, shape (n, 2), where no value within two bins is larger."""
    reach = torch.arange(-2, 3, device=values.device)
    rows = (positions[:, :1] + reach)[:, :, None] % values.shape[0]
    columns = (positions[:, 1:] + reach).clamp(0, values.shape[1] - 1)[:, None, :]
    largest = values[rows, columns].amax((1, 2))
    keep = values[positions[:, 0], positions[:, 1]] >= largest
    return positions[keep].cpu()


def _local_mean(values: torch.Tensor) -> torch.Tensor:
    """Mean over a square neighbourhood; rows go on around, columns are mirrored."""
    for axis, mode in ((0, "circular"), (1, "reflect")):
        reach = min(_REACH, (values.shape[axis] - 1) // 2)
        sides = (0, 0, reach + 1, reach) if axis == 0 else (reach + 1, reach, 0, 0)
        total = pad(values[None, None], sides, mode=mode)[0, 0].cumsum(axis)
        span = total.shape[axis] - (2 * reach + 1)
        values = total.narrow(axis, 2 * reach + 1, span) - total.narrow(axis, 0, span)
        values.div_(2 * reach + 1)
    return values


def _fast_length(longest: int) -> int:
    """Return the largest length not above the one given that is fast to transform."""
    return next(length for length in range(longest, 0, -1) if is_fast(length))


def off_grid(log_power: torch.Tensor, row: int, column: int, size: tuple[int, int]) -> Frequency:
    """Vertex of the parabolas through a peak and its neighbours along each axis.

    Parameters
    ----------
    log_power : Tensor of float32, shape (h, w // 2 + 1)
    row, column : int
        The peak.
    size : tuple of int
        ``(h, w)``.

    Returns
    -------
    tuple of float
        ``(fy, fx)`` in cycles/pixel.
    """
    h, w = size
    last = log_power.shape[1] - 1

    def at(y: int, x: int) -> float:
        if x < 0 or x > last:  # the half plane that is not stored
            y, x = -y, (-x) % w
        return float(log_power[y % h, x])

    shift = []
    for dy, dx in ((1, 0), (0, 1)):
        before, here, after = (at(row + s * dy, column + s * dx) for s in (-1, 0, 1))
        bend = before - 2 * here + after
        shift.append(max(-0.5, min(0.5, 0.5 * (before - after) / bend)) if bend < 0 else 0.0)
    fy = (row if row <= h // 2 else row - h) + shift[0]
    return fy / h, (column + shift[1]) / w
