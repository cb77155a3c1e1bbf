"""Fit fringes: a wave with a smooth phase of any bend, and a slow envelope."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from napari_periodic_denoise.noise.fitting.envelope import (
    changes_slowly,
    fit_factors,
)
from napari_periodic_denoise.noise.fitting.phase import (
    SmoothPhase,
    phase_of_envelope,
    phase_of_frequencies,
)
from napari_periodic_denoise.noise.fitting.sample import GradientSample
from napari_periodic_denoise.noise.statistics.local_frequency import LocalFrequencies
from napari_periodic_denoise.noise.waves.frequency import LEAKAGE_FREE, Float, Shape
from napari_periodic_denoise.noise.waves.wave import Order

# benchmarks.lines, curved fringes, checks these numbers.
_DEGREE = 5  # highest of the phase
_MOST = 2.0  # ratio of the highest to the mean frequency, and of the mean to the lowest
_ORDERS: tuple[Order, ...] = tuple((n, n) for n in (0, 1, 2, 3, 4, 5, 7, 9, 12, 16))
_START, _AGAIN = 3, 2  # index of the first order, with a rough phase and with a better one
_POINTS = 48  # a side, at which a phase is looked at; three per half cycle of the envelope
_LEFT_OUT = 3e-4  # of the power, that the wave's envelope may leave out along an axis: −35 dB
_MAX_ORDER = 80  # of that envelope, as for scan hum
_BAND = 1 << 18  # pixels that are rendered at once


@dataclass(frozen=True, slots=True, eq=False)
class Fringes:
    """Fringes ``Re e(y, x) exp(2πi Φ(y, x))`` with a slow envelope e.

    Attributes
    ----------
    phase : SmoothPhase
        Φ.
    envelope : ndarray of complex128, shape (J + 1, K + 1)
        Coefficients of e in the cosine basis.
    description : float
        Description length of the sample with the fringes, in nats.
    """

    phase: SmoothPhase
    envelope: NDArray[np.complex128]
    description: float

    def complex_amplitude(self, y: Float, x: Float) -> NDArray[np.complex128]:
        """Envelope e at the crossings of rows y and columns x, shape (m, n)."""
        rows, columns = (
            _cosines(count, length, at)
            for count, length, at in zip(
                self.envelope.shape, self.phase.shape, (y, x), strict=True
            )
        )
        amplitude: NDArray[np.complex128] = rows.T @ self.envelope @ columns
        return amplitude


def bend(
    sample: GradientSample, local: LocalFrequencies, description: float
) -> Generator[Order, None, Fringes | None]:
    """Fit fringes to a sample, starting from local frequencies.

    Parameters
    ----------
    sample : GradientSample
        A small sample.
    local : LocalFrequencies
        Frequencies of the fringes in the parts that show them.
    description : float
        Description length to beat by the first fit, in nats.

    Yields
    ------
    tuple of int
        Next order of the envelope.

    Returns
    -------
    Fringes or None
        None if no smooth phase has such frequencies, or the first fit is not shorter.
    """
    phase = _start(local, sample.shape)
    if phase is None:
        return None
    first = Fringes(phase, np.zeros((1, 1), dtype=np.complex128), math.inf)
    first = with_order(sample, first, local.clumped, _ORDERS[_START])
    if first.description >= description:
        return None
    best = yield from _longer(sample, phase, local.clumped, _START)
    for degree in range(phase.degree, _DEGREE + 1):
        y, x = ((np.arange(_POINTS) + 0.5) * n / _POINTS - 0.5 for n in sample.shape)
        change = phase_of_envelope(best.complex_amplitude(y, x), degree)
        phase = best.phase.plus(change)
        if not _is_even(phase):
            continue
        again = yield from _longer(sample, phase, local.clumped, _AGAIN)
        if again.description < best.description:
            best = again
    return best


def refit_fringes(
    sample: GradientSample, fringes: Fringes, clumped: float
) -> Generator[Order, None, Fringes]:
    """Fit the envelope of fringes again, to a larger sample, by the order that describes it best.

    Parameters
    ----------
    sample : GradientSample
    fringes : Fringes
    clumped : float
        See `envelope.choose_envelope`.

    Yields
    ------
    tuple of int
        Next order of the envelope.

    Returns
    -------
    Fringes
    """
    order = fringes.envelope.shape[0] - 1, fringes.envelope.shape[1] - 1
    return (yield from _longer(sample, fringes.phase, clumped, _ORDERS.index(order)))


def with_order(sample: GradientSample, fringes: Fringes, clumped: float, order: Order) -> Fringes:
    """Fit the envelope of fringes again, with a given order.

    Parameters
    ----------
    sample : GradientSample
    fringes : Fringes
    clumped : float
        See `envelope.choose_envelope`.
    order : tuple of int

    Returns
    -------
    Fringes
    """
    phase, start = fringes.phase, fringes.envelope
    fit = fit_factors(_warped(sample, phase, order), sample, start, clumped, phase.unknowns)
    # without a gradient, no coefficients are the best
    description = fit.description if np.isfinite(fit.coefficients).all() else math.inf
    return Fringes(phase, fit.coefficients, description)


def gradient_of(sample: GradientSample, fringes: Fringes) -> torch.Tensor:
    """Gradient of fringes at a sample, shape (2, m, n)."""
    order = fringes.envelope.shape[0] - 1, fringes.envelope.shape[1] - 1
    both = np.stack([fringes.envelope.real, fringes.envelope.imag]).astype(np.float32)
    coefficients = torch.from_numpy(both).to(sample.gradient.device)
    return _warped(sample, fringes.phase, order).gradient(coefficients)


def as_envelope(fringes: Fringes) -> tuple[Float, NDArray[np.complex128]] | None:
    """Describe fringes by a plane carrier with an envelope that changes fast enough.

    The envelope is the cosine transform of ``e exp(2πi (Φ − f·x))``, up to the order that has
    all but 0.0003 of its power along each axis.

    Parameters
    ----------
    fringes : Fringes

    Returns
    -------
    frequency : ndarray of float64, shape (2,)
        Mean frequency f in cycles/pixel, weighted by the power.
    coefficients : ndarray of complex128, shape (J + 1, K + 1)
        Coefficients of the cosine basis, with phases at the image's centre. None in place of
        both if an envelope of the highest order is too slow.
    """
    height, width = shape = fringes.phase.shape
    frequency = _mean_frequency(fringes)
    most = [min(_MAX_ORDER, length - 1) for length in shape]
    rows, columns = (
        _cosines(count + 1, length, np.arange(length))
        for count, length in zip(most, shape, strict=True)
    )
    x = np.arange(width, dtype=np.float64)
    total = np.zeros((most[0] + 1, most[1] + 1), dtype=np.complex128)
    power = 0.0
    band = max(1, _BAND // width)
    for top in range(0, height, band):
        y = np.arange(top, min(top + band, height), dtype=np.float64)
        plane = frequency[0] * (y[:, None] - (height - 1) / 2) + frequency[1] * (
            x - (width - 1) / 2
        )
        values = fringes.complex_amplitude(y, x) * _phasor(fringes.phase.turns(y, x) - plane)
        power += float(np.mean(np.abs(values) ** 2)) * len(y) / height
        total += rows[:, top : top + band] @ values @ columns.T
    norm_y, norm_x = (np.where(np.arange(n) > 0, 2.0, 1.0) for n in total.shape)
    total *= norm_y[:, None] * norm_x / (height * width)
    share = np.abs(total) ** 2 / (norm_y[:, None] * norm_x) / max(power, 1e-30)
    order = []
    for axis in (0, 1):
        missing = 1 - share.sum(1 - axis).cumsum()
        enough = np.flatnonzero(missing <= _LEFT_OUT + (1 - share.sum()))
        order.append(int(enough[0]))
    if 1 - share.sum() > 10 * _LEFT_OUT:
        return None
    return frequency, total[: order[0] + 1, : order[1] + 1]


def _start(local: LocalFrequencies, shape: Shape) -> SmoothPhase | None:
    """Phase of the degree with the shortest description of the local frequencies."""
    y, x = np.meshgrid(local.parts.y, local.parts.x, indexing="ij")
    at = local.followed
    best, shortest = None, math.inf
    for degree in range(1, _DEGREE + 1):
        phase, description = phase_of_frequencies(
            y[at], x[at], local.frequencies[at], shape, degree
        )
        if phase.unknowns > at.sum():
            break
        if description < shortest and _is_even(phase):
            best, shortest = phase, description
    return best


def _is_even(phase: SmoothPhase) -> bool:
    """Whether frequencies are alike all over the image, not slow, and below the Nyquist limit."""
    y, x = (np.linspace(0, n - 1, _POINTS) for n in phase.shape)
    along = phase.frequency(y, x)
    frequency = np.hypot(*along)
    mean = float(frequency.mean())
    if mean * min(phase.shape) < LEAKAGE_FREE:
        return False
    similar = frequency.max() < _MOST * mean and frequency.min() > mean / _MOST
    return bool(similar) and all(float(np.abs(f).max()) < 0.5 for f in along)


def _mean_frequency(fringes: Fringes) -> Float:
    y, x = ((np.arange(_POINTS) + 0.5) * n / _POINTS - 0.5 for n in fringes.phase.shape)
    power = np.abs(fringes.complex_amplitude(y, x)) ** 2
    along = fringes.phase.frequency(y, x)
    return np.array([float((f * power).sum() / power.sum()) for f in along])


def _longer(
    sample: GradientSample, phase: SmoothPhase, clumped: float, first: int
) -> Generator[Order, None, Fringes]:
    """Fit envelopes of higher and higher order while the description gets shorter."""
    best: Fringes | None = None
    y, x = (np.linspace(0, n - 1, _POINTS) for n in phase.shape)
    mean = np.array([float(f.mean()) for f in phase.frequency(y, x)])
    for order in _ORDERS[first:]:
        if best is not None and not changes_slowly(order, mean, sample.shape):
            break
        yield order
        start = Fringes(phase, np.zeros((1, 1), complex), 0.0) if best is None else best
        fit = with_order(sample, start, clumped, order)
        if best is not None and fit.description >= best.description:
            break
        best = fit
    assert best is not None
    return best


@dataclass(frozen=True, slots=True)
class _Warped:
    """Factors of a bent wave: phasors at each pixel of a sample, and at its two neighbours.

    Real and imaginary parts are stacked.
    """

    phasors: tuple[torch.Tensor, torch.Tensor, torch.Tensor]
    rows: tuple[torch.Tensor, torch.Tensor]
    columns: tuple[torch.Tensor, torch.Tensor]

    def gradient(self, coefficients: torch.Tensor) -> torch.Tensor:
        """Gradient of the wave at the sample, (2, m, n), from coefficients (2, J, K)."""
        here, below, right = (
            (re * values[0]).sub_(im * values[1])
            for (re, im), values in (
                (phasor, rows.T @ coefficients @ columns) for phasor, rows, columns in self._at()
            )
        )
        return torch.stack([below - here, right - here])

    def transpose(self, gradient: torch.Tensor) -> torch.Tensor:
        """Transpose of the linear map `gradient`."""
        along_y, along_x = gradient
        total = torch.zeros(2, len(self.rows[0]), len(self.columns[0]), device=gradient.device)
        for image, (phasor, rows, columns) in zip(
            (-along_y - along_x, along_y, along_x), self._at(), strict=True
        ):
            total += rows @ torch.stack([image * phasor[0], -image * phasor[1]]) @ columns.T
        return total

    def energy(self) -> torch.Tensor:
        """Mean square of each basis function's gradient, summed over the sample; (J, K)."""
        here, below, right = self.phasors
        size = ((below - here).square_() + (right - here).square_()).sum(0) / 2
        return self.rows[0].square() @ size @ self.columns[0].square().T

    def _at(self) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """Phasors and both factors here, below and to the right."""
        (y, below), (x, right) = self.rows, self.columns
        return list(zip(self.phasors, (y, below, y), (x, x, right), strict=True))


def _warped(sample: GradientSample, phase: SmoothPhase, order: Order) -> _Warped:
    y, x = (lines.cpu().numpy().astype(np.float64) for lines in (sample.rows, sample.columns))
    device = sample.gradient.device

    def tensor(values: Float) -> torch.Tensor:
        return torch.from_numpy(values.astype(np.float32)).to(device)

    phasors = []
    for dy, dx in ((0, 0), (1, 0), (0, 1)):
        values = _phasor(phase.turns(y + dy, x + dx))
        phasors.append(tensor(np.stack([values.real, values.imag])))
    here, below, right = phasors
    rows, columns = (
        (tensor(_cosines(j + 1, length, at)), tensor(_cosines(j + 1, length, at + 1)))
        for j, length, at in zip(order, sample.shape, (y, x), strict=True)
    )
    return _Warped((here, below, right), rows, columns)


def _phasor(turns: Float) -> NDArray[np.complex128]:
    """``exp(2πi t)``; whole turns are subtracted first, so that it stays exact."""
    phasor: NDArray[np.complex128] = np.exp(2j * np.pi * (turns - np.rint(turns)))
    return phasor


def _cosines(count: int, length: int, at: NDArray[np.float64] | NDArray[np.int_]) -> Float:
    """Cosine basis ``cos(πj(n + ½)/N)`` at positions n, shape (count, len(at))."""
    basis: Float = np.cos(np.pi * np.outer(np.arange(count), at + 0.5) / length)
    return basis
