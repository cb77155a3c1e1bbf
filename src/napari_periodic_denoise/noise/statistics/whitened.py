"""The whitened spectrum of an image, to look at."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_periodic_denoise.noise.input import as_image, normalize
from napari_periodic_denoise.noise.statistics.peaks import MIN_CYCLES, Spectrum, off_grid, whitened
from napari_periodic_denoise.noise.statistics.spectra import MAPS, feature_extractor
from napari_periodic_denoise.noise.waves.frequency import Frequency
from napari_periodic_denoise.options import check_choice
from napari_periodic_denoise.runtime.device import resolve_device


@dataclass(frozen=True, slots=True, eq=False)
class WhitenedSpectrum:
    """How far the power at each frequency lies above that of its surroundings.

    Attributes
    ----------
    excess : ndarray of float32, shape (h, w)
        Decimal logarithm of the whitened power; frequency zero is at ``[h // 2, w // 2]``.
        Without periodic noise it scatters about zero.
    fy, fx : ndarray of float64, shape (h,) and (w,)
        Cycles/pixel, rising.
    """

    excess: NDArray[np.float32]
    fy: NDArray[np.float64]
    fx: NDArray[np.float64]

    def nearest_peak(self, frequency: Frequency, reach: float) -> Frequency:
        """Return the highest peak around a frequency.

        Parameters
        ----------
        frequency : tuple of float
            ``(fy, fx)`` in cycles/pixel.
        reach : float
            Cycles/pixel, how far the peak may lie away along each axis.

        Returns
        -------
        tuple of float
            ``(fy, fx)``, off the grid by the parabolas through the peak and its neighbours.
            The frequency itself if nothing around it can be a wave.
        """
        h, w = self.excess.shape
        rows = np.flatnonzero(np.abs(self.fy - frequency[0]) <= reach)
        columns = np.flatnonzero(np.abs(self.fx - frequency[1]) <= reach)
        if not (len(rows) and len(columns)):
            return frequency
        around = self.excess[np.ix_(rows, columns)]
        cycles = np.hypot(self.fy[rows, None] * h, self.fx[columns] * w)
        around = np.where(cycles < MIN_CYCLES, -np.inf, around)
        if not np.isfinite(around).any():
            return frequency
        row, column = np.unravel_index(int(around.argmax()), around.shape)
        centred = rows[row] - h // 2, columns[column] - w // 2
        stored = torch.from_numpy(np.fft.ifftshift(self.excess)[:, : w // 2 + 1].copy())
        if centred[1] < 0:  # the half plane that is not stored
            fy, fx = off_grid(stored, -int(centred[0]) % h, -int(centred[1]), (h, w))
            return -fy, -fx
        return off_grid(stored, int(centred[0]) % h, int(centred[1]), (h, w))


def whitened_spectrum(
    image: Any,  # noqa: ANN401
    *,
    features: str = "edges",
    channel_axis: int | None = None,
    device: str = "auto",
) -> WhitenedSpectrum:
    """Spectral Gram matrix of an image, its trace over that of the frequencies around.

    What waves are looked for in, see `detect.find_peaks`.

    Parameters
    ----------
    image, channel_axis, device
        As for `estimate.estimate_noise`.
    features : {"edges", "cosines"}
        What the Gram matrix is taken of.

    Returns
    -------
    WhitenedSpectrum

    Raises
    ------
    TypeError, ValueError
        As `estimate.estimate_noise`.
    """
    check_choice("features", features, tuple(MAPS))
    array = as_image(image, channel_axis)
    where = resolve_device(device)
    extract = feature_extractor(features)
    total: Spectrum | None = None
    for channel in array[None] if channel_axis is None else array:
        normalized = normalize(channel, where)
        seen = extract(normalized.pixels, normalized.saturated)
        if total is not None:
            seen.power.add_(total.power)
        total = seen
    assert total is not None
    _, excess = whitened(total)
    return _centred(excess.cpu(), total.window)


def _centred(excess: torch.Tensor, window: tuple[int, int]) -> WhitenedSpectrum:
    """Both half planes, frequency zero in the middle."""
    h, w = window
    half = excess.numpy() / math.log(10)
    rows = -np.arange(h) % h
    other = half[rows][:, np.arange((w - 1) // 2, 0, -1)]
    whole = np.concatenate([other, half], axis=1)  # columns from −(w − 1) // 2 to w // 2
    if w % 2 == 0:  # the highest frequency stands first, as numpy.fft.fftshift has it
        whole = np.roll(whole, 1, axis=1)
    return WhitenedSpectrum(
        np.ascontiguousarray(np.fft.fftshift(whole, axes=0), dtype=np.float32),
        np.fft.fftshift(np.fft.fftfreq(h)),
        np.fft.fftshift(np.fft.fftfreq(w)),
    )
