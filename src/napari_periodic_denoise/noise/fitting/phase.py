"""A smooth phase over an image, as a polynomial of its two coordinates."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

from napari_periodic_denoise.noise.robust import MAD_TO_SIGMA
from napari_periodic_denoise.noise.waves.frequency import Float, Shape

_ROUNDS = 20  # of the reweighting, which converges in fewer
_CAUCHY = 2.0  # deviations, from which on a part hardly counts; 95% efficient at 2.4


@dataclass(frozen=True, slots=True, eq=False)
class SmoothPhase:
    """Phase ``Φ(y, x) = Σ_ij c_ij P_i(v) P_j(u)`` in turns, with Legendre polynomials P.

    Attributes
    ----------
    coefficients : ndarray of float64, shape (D + 1, D + 1)
        Turns. Zero for ``i + j > D`` and for the constant.
    shape : tuple of int
        ``(H, W)`` of the image, over which v and u go from −1 to 1.
    """

    coefficients: Float
    shape: Shape

    @property
    def degree(self) -> int:
        """Degree D of the polynomial."""
        return len(self.coefficients) - 1

    @property
    def unknowns(self) -> int:
        """Number of coefficients."""
        return len(_terms(self.degree))

    def turns(self, y: Float, x: Float) -> Float:
        """Phase at the crossings of rows y and columns x in turns, shape (m, n)."""
        (along_y, along_x) = self._coordinates(y, x)
        return _on_grid(along_y, along_x, self.coefficients)

    def frequency(self, y: Float, x: Float) -> tuple[Float, Float]:
        """Local frequency at the crossings of rows and columns, ``(fy, fx)`` of shape (m, n)."""
        at = self._coordinates(y, x)
        along = (
            _on_grid(*at, _slope(self.coefficients, axis)) * 2 / length
            for axis, length in enumerate(self.shape)
        )
        fy, fx = along
        return fy, fx

    def plus(self, coefficients: Float) -> SmoothPhase:
        """Add a polynomial of any degree."""
        size = max(len(coefficients), len(self.coefficients))
        total = np.zeros((size, size))
        for each in (coefficients, self.coefficients):
            total[: len(each), : len(each)] += each
        return SmoothPhase(total, self.shape)

    def _coordinates(self, y: Float, x: Float) -> tuple[Float, Float]:
        height, width = self.shape
        return (2 * y + 1) / height - 1, (2 * x + 1) / width - 1


def phase_of_frequencies(
    y: Float, x: Float, frequencies: Float, shape: Shape, degree: int
) -> tuple[SmoothPhase, float]:
    """Fit the phase whose gradient is closest to local frequencies, with robust weights.

    Parameters
    ----------
    y, x : ndarray of float64, shape (K,)
        Positions in pixels.
    frequencies : ndarray of float64, shape (K, 2)
        Cycles/pixel.
    shape : tuple of int
        ``(H, W)`` of the image.
    degree : int
        Largest degree of the polynomial.

    Returns
    -------
    phase : SmoothPhase
    description : float
        Description length of the frequencies, in nats.
    """
    v, u = (2 * y + 1) / shape[0] - 1, (2 * x + 1) / shape[1] - 1
    columns = []
    for one in _units(degree):
        slopes = (_slope(one, axis) * 2 / shape[axis] for axis in (0, 1))
        columns.append(np.concatenate([legendre.legval2d(v, u, slope) for slope in slopes]))
    system, wanted = np.stack(columns, 1), frequencies.T.ravel()
    weight: Float = np.ones(len(wanted))
    solution: Float = np.zeros(len(columns))
    for _ in range(_ROUNDS):
        solution = _least_squares(system, wanted, weight)
        residual = wanted - system @ solution
        scale = max(MAD_TO_SIGMA * float(np.median(np.abs(residual))), 1e-9)
        weight = 1 / np.hypot(1, residual / (_CAUCHY * scale))
    count = len(wanted)
    error = max(float(np.abs(residual).mean()), 1e-9)
    description = count * math.log(error) + len(solution) * math.log(count) / 2
    return SmoothPhase(_square(solution, degree), shape), description


def phase_of_envelope(envelope: NDArray[np.complex128], degree: int) -> Float:
    """Fit a polynomial to the phase of an envelope; its strength is the weight.

    The fit is to phase differences of neighbours, which need no unwrapping.

    Parameters
    ----------
    envelope : ndarray of complex128, shape (m, n)
        At points that divide the image evenly.
    degree : int
        Largest degree of the polynomial.

    Returns
    -------
    ndarray of float64, shape (degree + 1, degree + 1)
        Coefficients of a `SmoothPhase`.
    """
    v, u = ((2 * np.arange(n) + 1) / n - 1 for n in envelope.shape)
    basis = np.stack([_on_grid(v, u, one) for one in _units(degree)], -1)
    products = [envelope[1:] * envelope[:-1].conj(), envelope[:, 1:] * envelope[:, :-1].conj()]
    steps = [basis[1:] - basis[:-1], basis[:, 1:] - basis[:, :-1]]
    product = np.concatenate([each.ravel() for each in products])
    system = np.concatenate([each.reshape(-1, basis.shape[-1]) for each in steps])
    weight = np.sqrt(np.abs(product))
    turns = np.angle(product) / (2 * np.pi)
    return _square(_least_squares(system, turns, weight), degree)


def _least_squares(system: Float, wanted: Float, weight: Float) -> Float:
    """Solve weighted least squares; the weights multiply the residuals."""
    solution = np.linalg.lstsq(system * weight[:, None], wanted * weight, rcond=None)[0]
    return np.asarray(solution, dtype=np.float64)


def _on_grid(v: Float, u: Float, coefficients: Float) -> Float:
    """Polynomial at the crossings of v and u, shape (len(v), len(u))."""
    return np.asarray(legendre.leggrid2d(v, u, coefficients), dtype=np.float64)


def _slope(coefficients: Float, axis: int) -> Float:
    """Coefficients of the derivative along an axis."""
    return np.asarray(legendre.legder(coefficients, axis=axis), dtype=np.float64)


def _terms(degree: int) -> list[tuple[int, int]]:
    """Exponents of a polynomial without the constant."""
    return [(i, j) for i in range(degree + 1) for j in range(degree + 1 - i) if i + j]


def _square(solution: Float, degree: int) -> Float:
    """Coefficients as a square, shape (degree + 1, degree + 1)."""
    square = np.zeros((degree + 1, degree + 1))
    for (i, j), value in zip(_terms(degree), solution, strict=True):
        square[i, j] = value
    return square


def _units(degree: int) -> list[Float]:
    """Coefficients of each term alone."""
    return [_square(row, degree) for row in np.eye(len(_terms(degree)))]
