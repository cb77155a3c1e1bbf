"""The whitened spectrum of an image, for display."""

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
    """Power at each frequency relative to its local background.

    Attributes
    ----------
    excess : ndarray of float32, shape (h, w)
        Decimal logarithm of the whitened power. Frequency zero is at ``[h // 2, w // 2]``.
        Without periodic noise it scatters about zero.
    fy, fx : ndarray of float64, shape (h,) and (w,)
        Frequencies in cycles/pixel, ascending.
    """

    excess: NDArray[np.float32]
    fy: NDArray[np.float64]
    fx: NDArray[np.float64]

    def nearest_peak(self, frequency: Frequency, reach: float) -> Frequency:
        """Return the highest peak near a frequency.

        Parameters
        ----------
        frequency : tuple of float
            ``(fy, fx)`` in cycles/pixel.
        reach : float
            Largest distance of the peak along each axis, in cycles/pixel.

        Returns
        -------
        tuple of float
            ``(fy, fx)``, interpolated between the bins. The given frequency is returned if no
            frequency near it can be a wave.
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
    """Trace of an image's spectral Gram matrix, divided by its local background.

    Waves are searched in this spectrum, see `peaks.find_peaks`.

    Parameters
    ----------
    image, channel_axis, device
        As for `estimate.estimate_noise`.
    features : {"edges", "cosines"}
        Features of the Gram matrix.

    Returns
    -------
    WhitenedSpectrum

    Raises
    ------
    TypeError, ValueError
        As for `estimate.estimate_noise`.
    """
    check_choice("features", features, tuple(MAPS))
    array = as_image(image, channel_axis)
    where = resolve_device(device)
    extract = feature_extractor(features)
    total: Spectrum | None = None
    for channel in array[None] if channel_axis is None else array:
        normalized = normalize(channel, where)
        total = extract(normalized.pixels, normalized.saturated).plus(total)
    assert total is not None
    _, excess = whitened(total)
    return _centred(excess.cpu(), total.window)


def _centred(excess: torch.Tensor, window: tuple[int, int]) -> WhitenedSpectrum:
    """Complete a half plane by its conjugate, with frequency zero in the middle."""
    h, w = window
    half = excess.numpy() / math.log(10)
    rows = -np.arange(h) % h
    other = half[rows][:, np.arange((w - 1) // 2, 0, -1)]
    whole = np.concatenate([other, half], axis=1)  # columns from −(w − 1) // 2 to w // 2
    if w % 2 == 0:  # the highest frequency comes first, as in numpy.fft.fftshift
        whole = np.roll(whole, 1, axis=1)
    return WhitenedSpectrum(
        np.ascontiguousarray(np.fft.fftshift(whole, axes=0), dtype=np.float32),
        np.fft.fftshift(np.fft.fftfreq(h)),
        np.fft.fftshift(np.fft.fftfreq(w)),
    )
