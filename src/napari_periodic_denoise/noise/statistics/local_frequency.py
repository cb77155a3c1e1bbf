"""The frequency of a wave in each part of an image, followed from part to part."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from napari_periodic_denoise.noise.statistics.gram import hann
from napari_periodic_denoise.noise.statistics.peaks import PART, vertex
from napari_periodic_denoise.noise.waves.frequency import Float, Frequency

# benchmarks.lines, curved fringes of 6 to 25 pixels, checks these numbers.
_PERIODS = 4  # in a part at least: the main lobe of a Hann window is ±2 cycles
_PARTS = 16  # along the shorter side at most, side by side; they overlap by half
_REACH = 2  # cycles per part, by which the frequency may change from part to part
# Of the 13 frequencies within reach, by chance the strongest exceeds this many times the mean
# power in 3% of the parts: 13·e⁻⁶.
_LEAST = 6.0
_BAND = 1.5  # largest ratio to the wave's frequency of those that it is compared to
_NEAR = 1 / 3  # of a frequency; a peak in a part that is nearer may belong to the same wave
_TINY = 1e-30  # in place of zero power, whose logarithm is not finite
_EMPTY = 1e-3  # of the median level; a part below it has no pixels to show a wave


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """Power spectra of overlapping square parts of feature maps.

    Attributes
    ----------
    power : ndarray of float32, shape (m, n, s, s)
        Sum over the maps. The frequency of the last axes is that of `numpy.fft.fftfreq`.
    y, x : ndarray of float64, shape (m,), (n,)
        Centres of the parts in pixels.
    """

    power: NDArray[np.float32]
    y: Float
    x: Float

    @property
    def side(self) -> int:
        """Pixels of a side of a part."""
        return len(self.power[0, 0])

    def level(self, frequency: Frequency) -> Float:
        """Mean power in each part around a frequency, whatever the direction, shape (m, n).

        It is the median over ln 2, since power follows an exponential law.
        """
        at = np.fft.fftfreq(self.side)
        ratio = np.hypot(at[:, None], at) / math.hypot(*frequency)
        ring = (ratio > 1 / _BAND) & (ratio < _BAND)
        level: Float = np.median(self.power[:, :, ring], axis=2).astype(np.float64)
        return level / math.log(2)

    def at(self, frequencies: Float) -> Float:
        """Power of each part at its own frequency, shape (m, n)."""
        bins = np.rint(frequencies * self.side).astype(int) % self.side
        m, n = np.indices(bins.shape[:2])
        power: Float = self.power[m, n, bins[..., 0], bins[..., 1]].astype(np.float64)
        return power


@dataclass(frozen=True, slots=True, eq=False)
class LocalFrequencies:
    """Frequency of a wave in the parts of an image that show it.

    Attributes
    ----------
    parts : Parts
    frequencies : ndarray of float64, shape (m, n, 2)
        Cycles/pixel. Zero where the wave was not followed.
    followed : ndarray of bool, shape (m, n)
    able : ndarray of bool, shape (m, n)
        Parts with pixels that could show a wave.
    clumped : float
        Power around the wave, in units of the power of independent features.
    """

    parts: Parts
    frequencies: Float
    followed: NDArray[np.bool_]
    able: NDArray[np.bool_]
    clumped: float

    @property
    def share(self) -> float:
        """Share of the parts that show the wave, of those that could."""
        return float(self.followed.sum()) / max(int(self.able.sum()), 1)


def split(features: torch.Tensor, period: float) -> Parts | None:
    """Compute the power spectra of parts of feature maps.

    Parameters
    ----------
    features : Tensor of float32, shape (C, H, W)
    period : float
        Pixels. Parts have several periods.

    Returns
    -------
    Parts or None
        None if the image is too small for two parts along each axis, which overlap by half.
    """
    height, width = features.shape[1:]
    side = max(PART, math.ceil(_PERIODS * period), min(height, width) // _PARTS)
    side += side % 2
    if 3 * side > 2 * min(height, width):
        return None
    taper = hann(side, features.device)
    taper = taper[:, None] * taper
    step = side // 2
    rows = range(0, height - side + 1, step)
    power = []
    for top in rows:
        parts = features[:, top : top + side].unfold(2, side, step).transpose(1, 2)
        spectra = torch.fft.fft2(parts * taper)
        power.append(spectra.abs().square_().sum(0).cpu().numpy())
    y = np.array(rows) + side / 2
    return Parts(np.stack(power), y, side / 2 + step * np.arange(power[0].shape[0]))


def follow(features: torch.Tensor, start: Frequency) -> LocalFrequencies | None:
    """Follow a wave from the part that shows it best to all parts around, as far as it goes.

    The next part is always the one with the clearest peak (as in quality-guided phase
    unwrapping). Its frequency is searched around the mean of its neighbours.

    Parameters
    ----------
    features : Tensor of float32, shape (C, H, W)
        Clipped differences.
    start : tuple of float
        A frequency of the wave somewhere in the image, in cycles/pixel.

    Returns
    -------
    LocalFrequencies or None
        None if the image is too small.
    """
    parts = split(features, 1 / math.hypot(*start))
    if parts is None:
        return None
    level = parts.level(start)
    able = level > max(_EMPTY * float(np.median(level)), 0.0)
    clear = parts.power / np.where(able, level, np.inf)[:, :, None, None]
    frequencies, followed = np.zeros((*level.shape, 2)), np.zeros(level.shape, dtype=bool)
    queue = [_best(clear, start)]
    while queue:
        _, (row, column), found = heapq.heappop(queue)
        if followed[row, column]:
            continue
        followed[row, column], frequencies[row, column] = True, found
        for i in range(max(row - 1, 0), min(row + 2, len(parts.y))):
            for j in range(max(column - 1, 0), min(column + 2, len(parts.x))):
                if followed[i, j] or not able[i, j]:
                    continue
                around = np.s_[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
                fy, fx = frequencies[around][followed[around]].mean(0).tolist()
                height, peak = _peak(clear[i, j], (fy, fx))
                if height > _LEAST:
                    heapq.heappush(queue, (-height, (i, j), peak))
    power = float(parts.power[able].mean()) if able.any() else 0.0
    clumped = float(level[able].mean()) / power if power else 1.0
    return LocalFrequencies(parts, frequencies, followed, able, clumped)


def _best(
    clear: Float | NDArray[np.float32], start: Frequency
) -> tuple[float, tuple[int, int], Frequency]:
    """Clearest peak of all parts near a frequency: minus its height, its part, its frequency."""
    at = np.fft.fftfreq(clear.shape[-1])
    near = np.hypot(at[:, None] - start[0], at - start[1]) < _NEAR * math.hypot(*start)
    row, column, i, j = np.unravel_index(int(np.where(near, clear, 0).argmax()), clear.shape)
    height, found = _peak(clear[row, column], (float(at[i]), float(at[j])))
    return -height, (int(row), int(column)), found


def _peak(power: Float | NDArray[np.float32], guess: Frequency) -> tuple[float, Frequency]:
    """Height and frequency of the strongest peak within reach of a frequency."""
    side = len(power)
    steps = np.arange(-_REACH, _REACH + 1)
    y, x = round(guess[0] * side), round(guess[1] * side)
    around = power[np.ix_((y + steps) % side, (x + steps) % side)]
    around = np.where(np.hypot(steps[:, None], steps) <= _REACH, around, 0)
    i, j = np.unravel_index(int(around.argmax()), around.shape)
    y, x = y + int(steps[i]), x + int(steps[j])
    shift = []
    for dy, dx in ((1, 0), (0, 1)):
        before, here, after = (
            math.log(max(float(power[(y + s * dy) % side, (x + s * dx) % side]), _TINY))
            for s in (-1, 0, 1)
        )
        shift.append(vertex(before, here, after))
    return float(around[i, j]), ((y + shift[0]) / side, (x + shift[1]) / side)
