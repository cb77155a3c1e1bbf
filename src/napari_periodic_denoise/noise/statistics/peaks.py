"""Candidate waves: peaks of the whitened spectral Gram matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import avg_pool2d, pad

from napari_periodic_denoise.noise.statistics.gram import fast_length_below, spectral_power
from napari_periodic_denoise.noise.waves.frequency import Frequency

_WINDOW = 1024  # pixels; larger windows cost time and hardly sharpen peaks (benchmarks.speed)
_REACH = 5  # bins to each side; the mean of 11×11 exponential variables scatters by 9%
_EULER_GAMMA = 0.5772156649  # −mean of the log of an exponential variable of mean one
_CAP = 3.0  # above the log level; e³ is exceeded by chance once in 5·10⁸ frequencies
_TINY = 1e-30  # in place of zero power, whose logarithm is not finite
PART = 64  # pixels a side; a wave that bends is narrow in the spectrum of so small a part
_AROUND = 9  # half squares to each side of a broad maximum
# Ratio of a broad maximum to its surroundings. Fringes of benchmarks.lines have 36 and more, and
# 22 of 27 clean images less than 12; the fit decides about the others.
_BROAD = 12.0
_MAX_LOG_POWER = 100.0  # chance probabilities of higher powers are zero in float64
MIN_CYCLES = 1.5  # per window; below that the tapered mean of the image leaks


@dataclass(frozen=True, slots=True)
class Candidate:
    """A spectral peak that may be a wave.

    Attributes
    ----------
    frequency : tuple of float
        ``(fy, fx)`` in cycles/pixel, refined off the FFT grid.
    false_alarms : float
        Expected number of peaks this high without periodic noise.
    """

    frequency: Frequency
    false_alarms: float


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """Power spectrum of an image's features.

    Attributes
    ----------
    power : Tensor of float32, shape (h, w // 2 + 1)
        Trace of the spectral Gram matrix, see `gram.spectral_power`.
    window : tuple of int
        Size ``(h, w)`` of its windows in pixels.
    """

    power: torch.Tensor
    window: tuple[int, int]

    def plus(self, other: Spectrum | None) -> Spectrum:
        """Add the power of another spectrum of the same windows, in place."""
        if other is not None:
            self.power.add_(other.power)
        return self


def find_candidates(
    features: torch.Tensor, *, sensitivity: float, channels: int = 1, max_peaks: int = 32
) -> list[Candidate]:
    """Find peaks of the features' spectral Gram matrix, see `find_peaks`.

    Parameters
    ----------
    features : Tensor of float32, shape (C, H, W)
    sensitivity, channels, max_peaks
        As for `find_peaks`.

    Returns
    -------
    list of Candidate
        Most significant first.
    """
    spectrum = feature_spectrum(features)
    return find_peaks(spectrum, sensitivity=sensitivity, channels=channels, max_peaks=max_peaks)


def feature_spectrum(features: torch.Tensor) -> Spectrum:
    """Spectrum of feature maps. Large maps are transformed in windows.

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
    """Size of the windows for the spectrum of an image.

    Parameters
    ----------
    height, width : int
        Pixels of the image.

    Returns
    -------
    tuple of int
        ``(h, w)``, at most 1024 pixels each, with a fast Fourier transform.
    """
    return fast_length_below(min(height, _WINDOW)), fast_length_below(min(width, _WINDOW))


def fast_size(height: int, width: int) -> tuple[int, int]:
    """Size of the largest part of an image whose spectrum is fast to compute at once.

    Parameters
    ----------
    height, width : int
        Size of the image, in pixels.

    Returns
    -------
    tuple of int
        ``(h, w)``.
    """
    return fast_length_below(height), fast_length_below(width)


def find_peaks(
    spectrum: Spectrum, *, sensitivity: float, channels: int = 1, max_peaks: int = 32
) -> list[Candidate]:
    """Find local maxima of the whitened spectral Gram that are not due to chance.

    The rule is a-contrario (Desolneux, Moisan & Morel 2000). Without periodic noise, whitened
    power follows an exponential law, and ``n·exp(−power)`` of n frequencies reach a given power
    by chance. The mean of several independent channels follows a gamma law, which is narrower.

    Parameters
    ----------
    spectrum : Spectrum
    sensitivity : float
        Expected number of false alarms in an image without periodic noise.
    channels : int
        Number of independent channels in the spectrum.
    max_peaks : int
        Largest number of peaks. The strongest ones are returned.

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
    threshold = math.log(_power_of(sensitivity / tests, channels))
    peaks = _local_maxima(excess, torch.nonzero(excess > threshold))
    if not len(peaks):
        return []
    heights = excess[peaks[:, 0], peaks[:, 1]].cpu().double()
    order = heights.argsort(descending=True, stable=True)[:max_peaks]
    return [
        Candidate(
            off_grid(log_power, int(row), int(column), (h, w)),
            _false_alarms(float(height), (h, w), channels),
        )
        for (row, column), height in zip(peaks[order].tolist(), heights[order], strict=True)
    ]


def find_smeared(spectrum: Spectrum, *, channels: int = 1) -> list[Candidate]:
    """Find broad maxima of a spectrum, as of fringes that bend.

    The power is averaged over squares of frequencies, which is the spectrum of parts of 64×64
    pixels. Its background is the mean of its logarithm all around.

    Parameters
    ----------
    spectrum : Spectrum
    channels : int
        Number of independent channels in the spectrum.

    Returns
    -------
    list of Candidate
        Most significant first. Empty for images of fewer than 128 pixels a side.
    """
    h, w = spectrum.window
    if min(h, w) < 2 * PART:
        return []
    size = h // PART, w // PART
    step_y, step_x = (max(length // 2, 1) for length in size)
    power = _padded(spectrum.power, *size)
    log_power = avg_pool2d(power, size, (step_y, step_x)).clamp_min_(_TINY).log_()[0, 0]
    excess = log_power - avg_pool2d(_padded(log_power, _AROUND, _AROUND), 2 * _AROUND + 1, 1)[0, 0]
    # centre of each square; the padding is one square wide
    y = torch.arange(excess.shape[0]) * step_y - (size[0] + 1) / 2
    x = torch.arange(excess.shape[1]) * step_x - (size[1] + 1) / 2
    fy, fx = (y / h + 0.5) % 1 - 0.5, x / w
    low = torch.hypot(fy[:, None], fx) * PART < MIN_CYCLES
    excess[(low | (fx < 0)).to(excess.device)] = -math.inf
    peaks = _local_maxima(excess, torch.nonzero(excess > math.log(_BROAD)))
    heights = excess[peaks[:, 0], peaks[:, 1]].cpu()
    order = heights.argsort(descending=True, stable=True).tolist()
    return [
        Candidate(
            (float(fy[peaks[i, 0]]), float(fx[peaks[i, 1]])),
            _false_alarms(float(heights[i]), (PART, PART), channels * size[0] * size[1]),
        )
        for i in order
    ]


def _padded(values: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Add rows, which are periodic, and columns, which are mirrored; shape (1, 1, h, w)."""
    padded = pad(values[None, None], (0, 0, rows, rows), mode="circular")
    return pad(padded, (columns, columns, 0, 0), mode="reflect")


def at_frequencies(
    spectrum: Spectrum, frequencies: Sequence[Frequency], *, channels: int = 1
) -> list[Candidate]:
    """Make candidates of proposed frequencies, whether they are peaks or not.

    Parameters
    ----------
    spectrum : Spectrum
    frequencies : sequence of tuple of float
        ``(fy, fx)`` in cycles/pixel.
    channels : int
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
        found.append(Candidate((fy, fx), _false_alarms(float(excess[y, x]), (h, w), channels)))
    return found


def whitened(spectrum: Spectrum) -> tuple[torch.Tensor, torch.Tensor]:
    """Log power of a spectrum, and its excess over the local background.

    Parameters
    ----------
    spectrum : Spectrum

    Returns
    -------
    log_power, excess : Tensor of float32, shape (h, w // 2 + 1)
        Natural logarithms.
    """
    log_power = spectrum.power.clamp_min(torch.finfo(spectrum.power.dtype).tiny).log_()
    return log_power, log_power - background(log_power)


def _false_alarms(excess: float, window: tuple[int, int], channels: int) -> float:
    """Expected number of frequencies that reach a log excess by chance."""
    chance = _chance(math.exp(min(excess, _MAX_LOG_POWER)), channels)
    return window[0] * window[1] / 2 * chance


def _chance(power: float, channels: int) -> float:
    """Probability that the mean of exponential variables of mean one reaches a power."""
    shape = torch.tensor(float(channels), dtype=torch.float64)
    return float(torch.special.gammaincc(shape, shape * power))


def _power_of(chance: float, channels: int) -> float:
    """Power that is reached with a given probability, at least one, by bisection."""
    low, high = 1.0, 1e3
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if _chance(middle, channels) > chance else (low, middle)
    return high


def background(log_power: torch.Tensor) -> torch.Tensor:
    """Log of the mean power around each frequency. Peaks are capped.

    Parameters
    ----------
    log_power : Tensor of float32, shape (h, w // 2 + 1)

    Returns
    -------
    Tensor of float32, same shape
    """
    level = _mean_around(log_power)
    level = _mean_around(torch.minimum(log_power, level.add_(_CAP)))
    # the mean of the log of an exponential variable lies γ below the log of its mean
    return level.add_(_EULER_GAMMA)


def _local_maxima(values: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Return the positions, shape (n, 2), without a larger value within two bins."""
    reach = torch.arange(-2, 3, device=values.device)
    rows = (positions[:, :1] + reach)[:, :, None] % values.shape[0]
    columns = (positions[:, 1:] + reach).clamp(0, values.shape[1] - 1)[:, None, :]
    largest = values[rows, columns].amax((1, 2))
    keep = values[positions[:, 0], positions[:, 1]] >= largest
    return positions[keep].cpu()


def _mean_around(values: torch.Tensor) -> torch.Tensor:
    """Mean over 11×11 bins by cumulative sums; rows are periodic, columns are mirrored."""
    for axis, mode in ((0, "circular"), (1, "reflect")):
        reach = min(_REACH, (values.shape[axis] - 1) // 2)
        sides = (0, 0, reach + 1, reach) if axis == 0 else (reach + 1, reach, 0, 0)
        total = pad(values[None, None], sides, mode=mode)[0, 0].cumsum(axis)
        span = total.shape[axis] - (2 * reach + 1)
        values = total.narrow(axis, 2 * reach + 1, span) - total.narrow(axis, 0, span)
        values.div_(2 * reach + 1)
    return values


def off_grid(log_power: torch.Tensor, row: int, column: int, size: tuple[int, int]) -> Frequency:
    """Interpolate a peak by parabolas through its neighbours along each axis.

    Parameters
    ----------
    log_power : Tensor of float32, shape (h, w // 2 + 1)
    row, column : int
        Position of the peak.
    size : tuple of int
        Size ``(h, w)`` of the window.

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
        shift.append(vertex(before, here, after))
    fy = (row if row <= h // 2 else row - h) + shift[0]
    return fy / h, (column + shift[1]) / w


def vertex(before: float, here: float, after: float) -> float:
    """Position of the top of the parabola through three values, −½ to ½.

    Parameters
    ----------
    before, here, after : float
        Values at −1, 0 and 1.

    Returns
    -------
    float
        Zero if the parabola has no top.
    """
    bend = before - 2 * here + after
    return max(-0.5, min(0.5, 0.5 * (before - after) / bend)) if bend < 0 else 0.0
