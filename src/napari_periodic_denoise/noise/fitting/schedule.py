"""Step schedules and shared numerics of the reweighted least-squares fits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

# The softening halves at each step, until it is half of the residual's median magnitude. Below
# that the weights 1/√(r² + d²) of L1 regression hold on to the residuals of the step before
# (graduated optimisation, Blake & Zisserman 1987). benchmarks.rejection checks both factors.
SHRINK = 0.5
_BULK = 0.5
_RIDGE = 1e-4  # Levenberg's damping of the scaled normal equations; the optimum is unchanged
# Cycles across the image per step. The linearisation in frequency holds while the phase at the
# border (half the image away) moves by less than a radian: 0.3 · π = 0.94.
_MAX_SHIFT = 0.3


@dataclass(frozen=True, slots=True)
class Schedule:
    """Softening and number of steps of an iteratively reweighted fit.

    Attributes
    ----------
    softening : float
        d of the first step, in mean magnitudes of the gradient. The larger it is, the further
        the start may be from the optimum.
    steps : int
        Number of steps. The softening shrinks after each one.
    """

    softening: float
    steps: int


#: First fit of amplitudes and phases at known frequencies; ends at 1% of the mean magnitude.
LINEAR = Schedule(3.0, 8)
#: First fit of frequencies, from the peaks of a spectrum (benchmarks.rejection).
APPROACH = Schedule(3.0, 6)
#: Repeated fit after other waves were added or removed (benchmarks.rejection, .speed).
REFIT = Schedule(0.5, 3)
#: Last fit, to the final sample (benchmarks.rejection, .speed).
FINAL = Schedule(0.2, 5)


def next_softening(softening: float, residual: torch.Tensor, quantum: float) -> float:
    """Softening of the next step, ``max(d/2, median|r|/2, quantum)``.

    Parameters
    ----------
    softening : float
        d of this step, in units of the residual.
    residual : Tensor of float32
        Residual r before this step. A random part of it is enough.
    quantum : float
        Step between two grey levels.

    Returns
    -------
    float
    """
    bulk = max(_BULK * float(residual.abs().median()), quantum)
    return max(SHRINK * softening, bulk)


def solve_damped(
    normal: torch.Tensor, moment: torch.Tensor, scale: torch.Tensor
) -> NDArray[np.float64]:
    """Solve scaled normal equations with Levenberg's damping.

    Parameters
    ----------
    normal : Tensor of float64, shape (n, n)
    moment : Tensor of float64, shape (n,)
    scale : Tensor of float64, shape (n,)
        Scale of each unknown, which makes the diagonal of the system about one.

    Returns
    -------
    ndarray of float64, shape (n,)
    """
    system = normal * scale * scale[:, None]
    system.diagonal().add_(_RIDGE)
    solution: NDArray[np.float64] = (torch.linalg.solve(system, moment * scale) * scale).numpy()
    return solution


def shifted_bases(
    bases: NDArray[np.float64],
    ties: NDArray[np.float64],
    shift: NDArray[np.float64],
    shape: tuple[int, int],
) -> NDArray[np.float64]:
    """Add a bounded step to base frequencies.

    Parameters
    ----------
    bases : ndarray, shape (G, 2)
        Cycles/pixel.
    ties : ndarray of whole numbers, shape (K, G)
        Multiples of the bases. The step of a base is bounded for its highest harmonic.
    shift : ndarray, shape (2·G,)
        Steps along y, then along x, in cycles across the image.
    shape : tuple of int
        ``(H, W)`` of the image.

    Returns
    -------
    ndarray, shape (G, 2)
    """
    largest = _MAX_SHIFT / np.abs(ties).max(0)[:, None]
    bounded = np.clip(shift.reshape(2, -1).T, -largest, largest)
    shifted: NDArray[np.float64] = bases + bounded / np.array(shape)
    return shifted
