"""Fit waves whose amplitude and phase change slowly over the image: drift, fading, hum."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from napari_periodic_denoise.noise.fitting.evidence import NATS_PER_UNKNOWN, description_length
from napari_periodic_denoise.noise.fitting.sample import GradientSample
from napari_periodic_denoise.noise.fitting.schedule import Schedule, next_softening
from napari_periodic_denoise.noise.waves.frequency import lowest_alias
from napari_periodic_denoise.noise.waves.synthesis import modulated_phasors
from napari_periodic_denoise.noise.waves.wave import Order

# Orders are tried along each path while the description gets shorter: change in any direction,
# then change from line to line for either scan direction. Each order is about 1.5 times the one
# before (benchmarks.rejection: slow amplitude modulation, scan hum, phase jitter).
_PATHS: tuple[tuple[Order, ...], ...] = (
    ((2, 2), (3, 3), (4, 4), (5, 5), (7, 7), (9, 9), (12, 12), (16, 16)),
    ((8, 0), (12, 0), (20, 0), (32, 0), (50, 0), (80, 0)),
    ((0, 8), (0, 12), (0, 20), (0, 32), (0, 50), (0, 80)),
)
_MIN_PIXELS = 6  # per half cycle of the envelope; three times the Nyquist limit
_SCHEDULE = Schedule(2.0, 9)  # ends at 0.4% of the mean magnitude (benchmarks.rejection)
_CONJUGATE_STEPS = 6  # per reweighting; the next one goes on (benchmarks.rejection, .speed)


@dataclass(frozen=True, slots=True)
class EnvelopeFit:
    """A modulated wave fitted to a gradient.

    Attributes
    ----------
    coefficients : ndarray of complex128, shape (J + 1, K + 1)
        Coefficients of the cosine basis. Their phases are at the image's centre.
    description : float
        Description length of the gradient with the wave, in nats.
    """

    coefficients: NDArray[np.complex128]
    description: float


def choose_envelope(
    sample: GradientSample,
    frequency: NDArray[np.float64],
    coefficient: complex,
    description: float,
    clumped: float = 1.0,
) -> Generator[Order, None, EnvelopeFit | None]:
    """Fit a carrier with a smooth envelope of the order with the shortest description.

    Parameters
    ----------
    sample : GradientSample
        Sample of the image without all other waves.
    frequency : ndarray, shape (2,)
        Frequency of the carrier in cycles/pixel.
    coefficient : complex
        Complex amplitude of the carrier as a constant wave, at the image's centre.
    description : float
        Description length to beat, in nats.
    clumped : float
        Power of the specimen's clipped differences around the carrier, in units of the power of
        independent differences. One unknown saves as many half nats by chance (Takeuchi 1976).

    Yields
    ------
    tuple of int
        Next order ``(J, K)``.

    Returns
    -------
    EnvelopeFit or None
        None if no envelope has a shorter description.
    """
    best: EnvelopeFit | None = None
    for path in _PATHS:
        # the first orders of a path may be longer than the description to beat
        last: EnvelopeFit | None = None
        for order in path:
            if not changes_slowly(order, frequency, sample.shape):
                break
            yield order
            start = [[coefficient]] if last is None else last.coefficients
            fit = fit_envelope(sample, frequency, order, start, clumped)
            if last is not None and fit.description >= last.description:
                break
            last = fit
        if last is not None and last.description < description:
            best, description = last, last.description
    return best


def fit_envelope(
    sample: GradientSample,
    frequency: NDArray[np.float64],
    order: Order,
    start: object,
    clumped: float = 1.0,
) -> EnvelopeFit:
    """Fit the envelope of a carrier by iteratively reweighted least squares.

    Minimises ``Σ |∂(I − N)|``, N = ``Re Σ_jk c_jk cos(πj(y+½)/H) cos(πk(x+½)/W) e^{2πi f·x}``,
    which is linear in c. Rows and columns of the sample separate. Conjugate gradients therefore
    need a few small matrix products per step, for any order.

    Parameters
    ----------
    sample : GradientSample
    frequency : ndarray, shape (2,)
        Frequency of the carrier in cycles/pixel.
    order : tuple of int
        ``(J, K)``, the largest j and k.
    start : array-like of complex, shape (J' + 1, K' + 1)
        Coefficients of an earlier fit of any order.
    clumped : float
        See `choose_envelope`.

    Returns
    -------
    EnvelopeFit
    """
    return fit_factors(_factors(sample, frequency, order), sample, start, clumped)


def fit_factors(
    factors: Factors,
    sample: GradientSample,
    start: object,
    clumped: float = 1.0,
    more_unknowns: float = 0.0,
) -> EnvelopeFit:
    """Fit coefficients of any linear model by iteratively reweighted least squares.

    Parameters
    ----------
    factors : Factors
        The linear map from coefficients to the sample's gradient.
    sample : GradientSample
    start : array-like of complex, shape (J' + 1, K' + 1)
        Coefficients of an earlier fit of any order.
    clumped : float
        See `choose_envelope`.
    more_unknowns : float
        Unknowns of the map itself.

    Returns
    -------
    EnvelopeFit
    """
    energy = factors.energy()
    begin = np.zeros(tuple(energy.shape), dtype=np.complex128)
    given = np.asarray(start)[: begin.shape[0], : begin.shape[1]]
    begin[: given.shape[0], : given.shape[1]] = given
    coefficients = torch.from_numpy(np.stack([begin.real, begin.imag]).astype(np.float32))
    coefficients = coefficients.to(sample.gradient.device)
    residual = sample.gradient - factors.gradient(coefficients)
    softening = _SCHEDULE.softening * float(residual.abs().mean())
    for _ in range(_SCHEDULE.steps):
        weight = residual.square().add_(softening**2).rsqrt_().mul_(sample.counted)
        scale = 1 / (energy * weight.mean())
        coefficients = coefficients + _solve(factors, weight, residual, scale)
        residual = sample.gradient - factors.gradient(coefficients)
        # rows are in random order, so the first 64 represent all
        softening = next_softening(softening, residual[:, :64], sample.quantum)
    both = coefficients.cpu().double().numpy()
    fitted = both[0] + 1j * both[1]
    # An unknown saves half a nat by chance if differences are independent, and more if the
    # specimen is smooth. A sample has its share of the pixels' correlation.
    density = len(sample) / math.prod(sample.shape)
    worth = 1 + density * (clumped - 1)
    unknowns = 2 * fitted.size * max(1.0, worth / (NATS_PER_UNKNOWN * math.log(len(sample))))
    return EnvelopeFit(fitted, description_length(sample, residual, unknowns + more_unknowns))


class Factors(Protocol):
    """A linear map from coefficients to the gradient of a wave at a sample."""

    def gradient(self, coefficients: torch.Tensor) -> torch.Tensor:
        """Gradient of the wave at the sample, (2, m, n), from coefficients (2, J, K)."""

    def transpose(self, gradient: torch.Tensor) -> torch.Tensor:
        """Transpose of the linear map `gradient`."""

    def energy(self) -> torch.Tensor:
        """Mean square of each basis function's gradient, summed over the sample; (J, K)."""


@dataclass(frozen=True, slots=True)
class _Factors:
    """Row and column factors of a modulated wave, and their differences.

    Real and imaginary parts are stacked, so all products are real.
    """

    rows: torch.Tensor
    rows_difference: torch.Tensor
    columns: torch.Tensor
    columns_difference: torch.Tensor

    def gradient(self, coefficients: torch.Tensor) -> torch.Tensor:
        """Gradient of the wave at the sample, (2, m, n), from coefficients (2, J, K)."""
        re, im = coefficients
        square = torch.cat([torch.cat([re, -im], 1), torch.cat([im, re], 1)])
        along_y = self.rows_difference.T @ (square @ self.columns)
        return torch.stack([along_y, self.rows.T @ (square @ self.columns_difference)])

    def transpose(self, gradient: torch.Tensor) -> torch.Tensor:
        """Transpose of the linear map `gradient`."""
        square = (self.rows_difference @ gradient[0]) @ self.columns.T
        square += (self.rows @ gradient[1]) @ self.columns_difference.T
        j, k = square.shape[0] // 2, square.shape[1] // 2
        return torch.stack([square[:j, :k] + square[j:, k:], square[j:, :k] - square[:j, k:]])

    def energy(self) -> torch.Tensor:
        """Mean square of each basis function's gradient, summed over the sample; (J, K)."""

        def per_order(factor: torch.Tensor) -> torch.Tensor:
            return factor.square().sum(1).view(2, -1).sum(0)

        along_y = per_order(self.rows_difference)[:, None] * per_order(self.columns)
        along_x = per_order(self.rows)[:, None] * per_order(self.columns_difference)
        return (along_y + along_x) / 2


def _solve(
    factors: Factors, weight: torch.Tensor, residual: torch.Tensor, scale: torch.Tensor
) -> torch.Tensor:
    """Solve weighted least squares by conjugate gradients; ``scale`` preconditions."""
    tiny = torch.finfo(torch.float32).tiny
    left = factors.transpose(weight * residual)
    solution = torch.zeros_like(left)
    direction = left * scale
    size = (left * direction).sum()
    for _ in range(_CONJUGATE_STEPS):
        image = factors.transpose(weight * factors.gradient(direction))
        step = size / (direction * image).sum().clamp_min(tiny)
        solution = solution + step * direction
        left = left - step * image
        scaled = left * scale
        before, size = size, (left * scaled).sum()
        direction = scaled + size / before.clamp_min(tiny) * direction
    return solution


def _factors(sample: GradientSample, frequency: NDArray[np.float64], order: Order) -> _Factors:
    parts = []
    for axis, (lines, sign) in enumerate(((sample.rows, -1), (sample.columns, 1))):
        length = sample.shape[axis]
        values = modulated_phasors(
            float(frequency[axis]), order[axis], length, origin=(length - 1) / 2
        )
        at = lines.cpu().numpy()
        for factor in (values[:, at], values[:, at + 1] - values[:, at]):
            both = np.concatenate([factor.real, sign * factor.imag]).astype(np.float32)
            parts.append(torch.from_numpy(both).to(sample.gradient.device))
    return _Factors(*parts)


def changes_slowly(order: Order, frequency: NDArray[np.float64], shape: tuple[int, int]) -> bool:
    """Whether an envelope changes more slowly than its carrier and the pixel grid allow.

    Parameters
    ----------
    order : tuple of int
        ``(J, K)``, half cycles along each axis.
    frequency : ndarray, shape (2,)
        Frequency of the carrier in cycles/pixel.
    shape : tuple of int
        ``(H, W)`` of the image.

    Returns
    -------
    bool
    """
    slower = max(order) <= float(np.hypot(*(lowest_alias(frequency) * shape)))
    return slower and all(j * _MIN_PIXELS <= n for j, n in zip(order, shape, strict=True))
